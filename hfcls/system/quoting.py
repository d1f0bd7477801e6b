"""A string of the user's where another language reads it: a line of text, Markdown, Python, a spreadsheet.

HTML is escaped by `html.escape` and Jinja, a shell's word by `shlex.quote`, YAML by PyYAML.
"""

import csv
import html
import json
import re
from collections.abc import Collection, Sequence
from typing import Any

# What a terminal obeys, what XML and UTF-8 cannot hold, and what turns the direction of the text that follows.
UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
# `$` opens a formula on GitHub and on the Hub; `_` within a word opens nothing.
MARKDOWN = re.compile(r"[\\`*\[\]|~$#]|(?<![^\W_])_|_(?![^\W_])")
FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")  # OWASP's list of what makes a spreadsheet compute a cell
NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*(e[+-]?\d+)?", re.IGNORECASE)
SHOWN_NAMES = 10  # in a message, of a list that may be endless


def visible(text: str) -> str:
    """The text with U+FFFD for each control character; tabs and line ends stay."""
    return UNSEEN.sub("\ufffd", text)


def one_line(value: Any) -> str:
    """A value as visible text with single spaces for all white space."""
    return " ".join(visible(str(value)).split())


def shortened(text: str, width: int) -> str:
    """The text in one line of at most `width` characters, cut between words; within one only if it is longer."""
    line = one_line(text)
    if len(line) <= width:
        return line
    return line[: width + 1].rpartition(" ")[0] or line[:width]


def markdown(value: Any) -> str:
    """A value that shows as its own text in Markdown, also in a table, and holds no HTML, link or image."""
    return MARKDOWN.sub(r"\\\g<0>", html.escape(one_line(value), quote=False))


def markdown_code(value: Any) -> str:
    """A value as a code span of Markdown."""
    text = one_line(value)
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks} {text} {ticks}" if text.startswith("`") or text.endswith("`") else f"{ticks}{text}{ticks}"


def python_string(text: str) -> str:
    """A literal in double quotes that is this text; what cannot be seen is escaped."""
    return '"' + "".join(_python_character(char) for char in text) + '"'


def _python_character(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    return char if char.isprintable() else ascii(char)[1:-1]


def spreadsheet_cell(text: str) -> str:
    """A cell of csv that Excel shows as it is and does not compute: after an apostrophe, unless it is a number.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def label_cell(labels: Sequence[str], names: Collection[str], between: str = ",") -> str:
    """The labels of a text in one cell, with `between` between them; as JSON where one of all `names` holds that."""
    if any(between in name for name in names):
        return json.dumps(labels, ensure_ascii=False)
    return between.join(labels)


def different_names(text: str) -> list[str]:
    """The names between commas, of which one with a comma or a line break stands in double quotes; [] if they are bad.

    Bad are a name that is empty and one that is given twice.
    """
    try:
        names = [name.strip() for name in next(csv.reader([text], skipinitialspace=True))]
    except csv.Error:  # a line break outside quotes
        return []
    return names if all(names) and len(set(names)) == len(names) else []


def shown(names: Collection[object], between: str = ", ") -> str:
    """The first ten of these names for a message."""
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return between.join(str(name) for name in list(names)[:SHOWN_NAMES]) + more


def quoted(names: Collection[str], between: str = ", ") -> str:
    """The same, in quotes, and each at most 100 characters long: they may be anything, even texts."""
    return shown([repr(name if len(name) <= 100 else f"{name[:97]}...") for name in names], between)
