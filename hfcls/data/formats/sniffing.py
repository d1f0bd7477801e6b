"""How a file with delimiters was written, told by reading all of it in every way it may have been written.

Sniffers of a sample (DuckDB's, clevercsv, the csv module's) cannot see the one quote far below that swallows the rows
behind it. So rows, fields and lines of the whole file are counted under each way of quoting, and compared.
"""

import csv
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

from hfcls.data.formats.table import ROWS_AT_ONCE
from hfcls.errors import HfclsError

DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "vertical bar"}
WRAPPED = re.compile(r'"([^"]*(?:""[^"]*)*)"([\r\n]*)')
SAMPLE = 1 << 18  # characters
OpenText = Callable[[], AbstractContextManager[IO[str]]]


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

    def well_formed(self) -> "re.Pattern[str]":
        """Matches the lines of a record that has quotes only where whoever quotes in this way puts them."""
        d = re.escape(self.delimiter)
        if self.quoting == "lines":
            return WRAPPED
        if self.quoting == "backslash":
            part = rf'"[^"\\]*(?:\\.[^"\\]*)*"|(?:[^"\\{d}\r\n]|\\.)*'
        else:
            part = rf'"[^"]*(?:""[^"]*)*"|[^"{d}\r\n]*'
        return re.compile(rf"(?:{part})(?:{d}(?:{part}))*[\r\n]*", re.DOTALL)

    def harmless(self) -> "re.Pattern[str]":
        """The same, with quotes inside of fields that do not begin with one: they are read as they stand."""
        d = re.escape(self.delimiter)
        part = rf'"[^"]*(?:""[^"]*)*"|[^"{d}\r\n][^{d}\r\n]*|'
        return re.compile(rf"(?:{part})(?:{d}(?:{part}))*[\r\n]*", re.DOTALL)


@dataclass
class Trial:
    """What a file is under one dialect; lines are numbered from 1.

    Attributes:
        rows: with the header.
        wrong: rows with another number of fields than the header.
        quoted: records with well-formed quotes.
        odd: records with quotes that this dialect does not write.
        lossy: the lines of those records of one line that lose a quote when they are read.
        swallowing: the first lines of records of several lines that seem to be rows of their own: there is text behind
            the closing quote, or each line has the fields of a row.
    """

    dialect: Dialect
    rows: int = 0
    wrong: int = 0
    quoted: int = 0
    odd: int = 0
    lossy: list[int] = field(default_factory=list)
    swallowing: list[int] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.wrong or self.odd or self.swallowing)


def records(dialect: Dialect, lines: Iterator[str]) -> Iterator[tuple[int, list[str], list[str]]]:
    """The number of the first line of each record, its fields, and its lines; a blank line has no fields."""
    held: list[str] = []

    def holding() -> Iterator[str]:
        for line in lines:
            held.append(line)
            yield line

    reader, began = dialect.reader(holding()), 1
    while True:
        batch = []
        with _long_fields():
            for row in islice(reader, ROWS_AT_ONCE):
                batch.append((began, row, held[:]))
                began += len(held)
                held.clear()
        if not batch:
            return
        yield from batch


_LIMIT = threading.Lock()


@contextmanager
def _long_fields() -> Iterator[None]:
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


def sniff_dialect(
    path: Path, open_text: OpenText, *, usual: str, delimiter: str | None = None, quoting: str | None = None
) -> tuple[Dialect, str]:
    """The dialect of a file, and why if it is not the usual one; what is given is taken as it is.

    Args:
        usual: the delimiter that goes with the suffix.

    Raises:
        HfclsError: rows are lost however it is read; names the line where the quoted field began.
    """
    delimiter = delimiter or _sniff_delimiter(open_text, usual)
    if quoting is not None:
        return Dialect(delimiter, quoting), ""
    with open_text() as file:
        with_quotes = (line for line in file if '"' in line)
        quotes = next(with_quotes, "")
        escapes = any('\\"' in line for line in (quotes, *with_quotes))
    if not quotes:
        return Dialect(delimiter), ""
    plain = _try(Dialect(delimiter), open_text)
    if plain.good:
        return plain.dialect, ""
    if escapes and (escaped := _try(Dialect(delimiter, "backslash"), open_text)).good:
        return escaped.dialect, 'quotes inside quotes are written \\"'
    if plain.wrong and (lines := _try(Dialect(delimiter, "lines"), open_text)).good:
        return lines.dialect, f"{lines.quoted:,} lines are quoted as a whole"
    return _with_or_without(path, plain, _try(Dialect(delimiter, "none"), open_text))


def _with_or_without(path: Path, plain: Trial, unquoted: Trial) -> tuple[Dialect, str]:
    """Quotes are not where a csv writer puts them: are they quotes at all?"""
    lost = unquoted.rows - plain.rows
    if not unquoted.wrong and plain.odd and (lost or plain.wrong) and plain.quoted * 2 < unquoted.rows:
        reason = f"each of its {unquoted.rows:,} lines is a row; with quotes there would be {plain.rows:,} rows"
        return unquoted.dialect, reason
    if not unquoted.wrong and not lost and plain.odd > plain.quoted:
        return unquoted.dialect, f"{plain.odd:,} lines have quotes that would be doubled if it were quoted"
    if unquoted.wrong < plain.wrong and plain.odd > plain.quoted:
        return unquoted.dialect, ""  # with a broken line, which its reader names
    if plain.swallowing and (plain.odd or plain.quoted * 2 < plain.rows):
        raise HfclsError(
            f"{path}, line {plain.swallowing[0]}: a quote opens a field there that takes in lines below, which look "
            'like rows: inside quotes write "" for a quote; or say how the file was written, with --quoting none or csv'
        )
    if plain.lossy and not plain.wrong:
        return (
            plain.dialect,
            f"{len(plain.lossy):,} lines have text behind a closing quote, line {plain.lossy[0]} for one",
        )
    return plain.dialect, ""


def _try(dialect: Dialect, open_text: OpenText) -> Trial:
    trial, width = Trial(dialect), 0
    well_formed, harmless = dialect.well_formed(), dialect.harmless()
    with open_text() as file:
        for began, row, lines in records(dialect, file):
            if not row:
                continue
            width = width or len(row)
            trial.rows += 1
            trial.wrong += not fits(row, width)
            if dialect.quoting == "none" or not any('"' in line for line in lines):
                continue
            text = "".join(lines)
            lossy = False
            if well_formed.fullmatch(text):
                trial.quoted += 1
            else:
                trial.odd += 1
                lossy = not harmless.fullmatch(text)
            if lossy and len(lines) == 1 and not _ends_within_quotes(text, dialect.delimiter):
                trial.lossy.append(began)
            elif lossy or _looks_like_rows(lines, width, dialect.delimiter):
                trial.swallowing.append(began)
    return trial


def _ends_within_quotes(text: str, delimiter: str) -> bool:
    try:
        list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "end of data" in str(error)
    return False


def _looks_like_rows(lines: list[str], width: int, delimiter: str) -> bool:
    """A text may hold a line end and a comma; hardly a tab, or a row's number of commas in each of four lines."""
    if len(lines) < 2 or width < 2 or (delimiter == "," and len(lines) < 4):
        return False
    return all(line.count(delimiter) == width - 1 for line in lines)


def _sniff_delimiter(open_text: OpenText, usual: str) -> str:
    """The one that gives most rows the fields of the header, which are two or more; else the usual one."""
    with open_text() as file:
        sample = list(_first_lines(file))
    shares: dict[str, float] = {}
    for delimiter in (usual, *(other for other in DELIMITERS if other != usual)):
        for quoting in ("csv", "none"):
            rows = [row for _, row, _ in records(Dialect(delimiter, quoting), iter(sample)) if row]
            if rows and (width := len(rows[0])) > 1:
                share = sum(fits(row, width) for row in rows) / len(rows)
                if delimiter == usual and share == 1:
                    return usual
                shares[delimiter] = max(shares.get(delimiter, 0.0), round(share, 2))
    return max(shares, key=shares.__getitem__, default=usual)  # the first of equal ones


def _first_lines(file: IO[str]) -> Iterator[str]:
    size = 0
    for line in file:
        yield line
        size += len(line)
        if size > SAMPLE:
            return
