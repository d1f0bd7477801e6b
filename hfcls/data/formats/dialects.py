"""How the fields of a file with delimiters are set apart, and its records under that."""

import csv
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

OpenText = Callable[[], AbstractContextManager[Iterator[str]]]  # the lines of a file
WRAPPED = re.compile(r'"([^"]*(?:""[^"]*)*)"([\r\n]*)')


@dataclass(frozen=True)
class Dialect:
    """How fields are set apart.

    Attributes:
        quoting: csv (a quote inside quotes is doubled), backslash (it has a backslash before it), none, or lines (what
            a spreadsheet makes of a table that it took for one column: whole lines in quotes, and none around fields).
    """

    delimiter: str
    quoting: str = "csv"

    def reader(self, lines: Iterator[str]) -> Any:
        """The rows of these lines, which end as they do in the file."""
        if self.quoting == "lines":
            lines = (m[1].replace('""', '"') + m[2] if (m := WRAPPED.fullmatch(line)) else line for line in lines)
        if self.quoting in ("none", "lines"):
            return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE)
        if self.quoting == "backslash":
            escaped = (self._kept_backslashes(line) if "\\" in line else line for line in lines)
            return csv.reader(escaped, delimiter=self.delimiter, doublequote=False, escapechar="\\")
        return csv.reader(lines, delimiter=self.delimiter)

    def _kept_backslashes(self, line: str) -> str:
        """The csv module drops every backslash; one before an ordinary character is part of the text."""
        special = f'"\\\r\n{self.delimiter}'
        return re.sub(r"\\(.)", lambda m: m[0] if m[1] in special else f"\\{m[0]}", line, flags=re.DOTALL)

    def well_formed(self, width: int | None = None) -> "re.Pattern[str]":
        """Matches the lines of a record of `width` fields with quotes only where who quotes in this way puts them."""
        d = re.escape(self.delimiter)
        if self.quoting == "lines":
            return WRAPPED
        if self.quoting == "backslash":
            part = rf'"[^"\\]*(?:\\.[^"\\]*)*"|(?:[^"\\{d}\r\n]|\\.)*'
        else:
            part = rf'"[^"]*(?:""[^"]*)*"|[^"{d}\r\n]*'
        times = "*" if width is None else f"{{{width - 1}}}"
        return re.compile(rf"(?:{part})(?:{d}(?:{part})){times}[\r\n]*", re.DOTALL)

    def harmless(self) -> "re.Pattern[str]":
        """The same, with quotes inside of fields that do not begin with one: they are read as they stand."""
        d = re.escape(self.delimiter)
        part = rf'"[^"]*(?:""[^"]*)*"|[^"{d}\r\n][^{d}\r\n]*|'
        return re.compile(rf"(?:{part})(?:{d}(?:{part}))*[\r\n]*", re.DOTALL)


def records(dialect: Dialect, lines: Iterator[str]) -> Iterator[tuple[list[str], list[str]]]:
    """The fields of each record, and its lines; a blank line has no fields."""
    held: list[str] = []

    def holding() -> Iterator[str]:
        for line in lines:
            held.append(line)
            yield line

    reader = dialect.reader(holding())
    while True:
        with long_fields():
            row = next(reader, None)
        if row is None:
            return
        yield row, held[:]
        held.clear()


_LIMIT = threading.Lock()


@contextmanager
def long_fields() -> Iterator[None]:
    """The csv module refuses fields above 128 KiB: its limit is the whole process's, so it is put back."""
    with _LIMIT:
        limit = csv.field_size_limit(2**31 - 1)
        try:
            yield
        finally:
            csv.field_size_limit(limit)


def fits(row: list[str], width: int) -> bool:
    """Whether a row has the header's fields; a spreadsheet may add empty ones behind them."""
    return len(row) == width or (len(row) > width and not any(row[width:]))
