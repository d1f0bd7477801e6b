"""Files of lines: fields set apart by a delimiter, or fastText's `__label__NAME text`."""

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Features, List, Value

from hfcls.data.formats.dialects import Dialect, OpenText, fits, long_fields, records
from hfcls.data.formats.encodings import NAMES, open_text, sniff_encoding
from hfcls.data.formats.sniffing import DELIMITERS, sniff_dialect
from hfcls.data.formats.table import ROWS_AT_ONCE, ReadOptions, Table, check_columns, unique_names
from hfcls.errors import HfclsError, NoRowsError
from hfcls.system.quoting import quoted

SEP = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)  # the first line by which Excel is told the delimiter
QUOTE = "a field that holds the delimiter or quotes must be quoted"
ABOVE = "delete what stands above the header, if that is none"
FASTTEXT = re.compile(r"((?:__label__\S+\s+)+)(.*)", re.DOTALL)


def open_delimited(path: Path, usual: str, options: ReadOptions) -> Table:
    """All columns as text, under the names of the header, or under 1, 2, ... with `no_header`.

    A column without a name is called `Unnamed: 0` by its position, as pandas does, and several of one name `NAME (1)`,
    `NAME (2)`: neither can be chosen by mistake.
    """
    opened, encoding, delimiter = _open(path, options)
    with opened() as file:
        first = next((line for line in file if line.strip()), "")
    if not first:
        raise NoRowsError(f"{path} is empty: it needs a header line and rows")
    if FASTTEXT.fullmatch(first) and delimiter is None:
        return _open_fasttext(path, opened)
    dialect, why = sniff_dialect(path, opened, usual=usual, delimiter=delimiter, quoting=options.quoting)
    with opened() as file:
        header = next(row for row, _ in records(dialect, file) if row)
    check_columns(path, len(header))
    if any("\0" in name for name in header):
        raise HfclsError(
            f"{path}: its first line holds NUL characters; save the file as UTF-8, or name its encoding with "
            "--encoding where the command has it"
        )
    if options.no_header:
        header = [str(i) for i in range(1, len(header) + 1)]
    names = unique_names(header)
    table = Table(Features({name: Value("string") for name in names}), iter(()))
    if (encoding, dialect) != ("utf-8", Dialect(usual)):
        table.decided.append(_decided(encoding, dialect, why))
    source = _Source(path, opened, dialect)
    table.parts = _parts(source, header, names, table.passed_over, skip=not options.no_header)
    return table


def row_lines(path: Path, usual: str, options: ReadOptions) -> list[int]:
    """The first line, from 1, of each row that `open_delimited` gives: a quoted field may reach over several lines."""
    opened, _, delimiter = _open(path, options)
    with opened() as file:
        filled = [(number, line) for number, line in enumerate(file, start=1) if line.strip()]
    if delimiter is None and FASTTEXT.fullmatch(filled[0][1]):
        return [number for number, _ in filled]
    dialect, _ = sniff_dialect(path, opened, usual=usual, delimiter=delimiter, quoting=options.quoting)
    starts, line = [], 1
    with opened() as file:
        for row, lines in records(dialect, file):
            starts += [line] if row else []
            line += len(lines)
    return starts if options.no_header else starts[1:]


def _open(path: Path, options: ReadOptions) -> tuple[OpenText, str, str | None]:
    """The lines of a file, its encoding, and its delimiter if that is given or stands in a first line `sep=;`."""
    encoding = options.encoding or sniff_encoding(path)
    opened: OpenText = partial(open_text, path, encoding)
    with opened() as file:
        told = SEP.fullmatch(next(file, ""))
    if told is None:
        return opened, encoding, options.delimiter
    return partial(_first_line_blank, opened), encoding, options.delimiter or told[1]


@contextmanager
def _first_line_blank(opened: OpenText) -> Iterator[Iterator[str]]:
    """The lines with a blank one in place of the first: those below keep their numbers."""
    with opened() as file:
        next(file)
        yield chain(["\n"], file)


def _decided(encoding: str, dialect: Dialect, why: str) -> str:
    quoting = {"csv": "csv quoting", "none": "no quoting", "lines": "lines quoted", "backslash": "backslash quoting"}
    delimiter = DELIMITERS.get(dialect.delimiter, repr(dialect.delimiter))
    because = f" ({why})" if why else ""
    return f"read as {NAMES.get(encoding, encoding)}, delimiter {delimiter}, {quoting[dialect.quoting]}{because}"


@dataclass(frozen=True)
class _Source:
    """A file whose dialect is known."""

    path: Path
    opened: OpenText
    dialect: Dialect

    def batches(self) -> Iterator[list[list[str]]]:
        """The fields of the records, many at once; a blank line has none."""
        with self.opened() as file:
            reader = self.dialect.reader(file)
            while True:
                try:
                    with long_fields():
                        batch = list(islice(reader, ROWS_AT_ONCE))
                except csv.Error as error:
                    raise HfclsError(f"{self.path}, line {reader.line_num}: {error}") from error
                if not batch:
                    return
                yield batch

    def line_of(self, index: int) -> int:
        """The number of the first line of a record; found by reading again, since it is seldom asked for."""
        with self.opened() as file:
            return 1 + sum(len(lines) for _, lines in islice(records(self.dialect, file), index))


def _parts(
    source: _Source, header: list[str], names: list[str], passed_over: list[str], *, skip: bool
) -> Iterator[pa.Table]:
    """The rows; with `skip`, the first record is the header."""
    width, read, row_count, last = len(header), 0, 0, 0
    blank: list[int] = []  # which records are blank lines, which are no rows
    for batch in source.batches():
        rows = [row for row in batch if row]
        if len(rows) < len(batch):
            blank += [read + i for i, row in enumerate(batch) if not row]
        if any(len(row) != width for row in rows):
            _check_widths(source, batch, read, header)
            rows = [row[:width] for row in rows]
        if skip and rows:
            skip, rows = False, rows[1:]
            header_at = next(read + i for i, row in enumerate(batch) if row)
            blank = [index for index in blank if index > header_at]
        if rows:
            last = read + next(i for i in reversed(range(len(batch))) if batch[i])
            yield pa.table([pa.array(column, pa.string()) for column in zip(*rows, strict=True)], names=names)
        read, row_count = read + len(batch), row_count + len(rows)
    if not row_count:
        raise NoRowsError(f"{source.path} has a header line but no rows")
    if between := sum(index < last for index in blank):
        passed_over.append(f"{between} blank lines between its rows, line {source.line_of(blank[0])} for one")


def _check_widths(source: _Source, batch: list[list[str]], start: int, header: list[str]) -> None:
    """Raises HfclsError for the first of these records that has not the fields of the header."""
    for index, row in enumerate(batch, start):
        if row and not fits(row, len(header)):
            raise HfclsError(
                f"{source.path}, line {source.line_of(index)}: {len(row)} fields, but the header has {len(header)} "
                f"({quoted(header)}); {ABOVE if len(header) == 1 else QUOTE}"
            )


# fastText


def _open_fasttext(path: Path, opened: OpenText) -> Table:
    """Columns text and label; a line with several labels makes lists of them all."""
    several = any(len(labels) > 1 for _, labels in _fasttext_rows(path, opened))
    features = Features({"text": Value("string"), "label": List(Value("string")) if several else Value("string")})

    def parts() -> Iterator[pa.Table]:
        rows = _fasttext_rows(path, opened)
        while batch := list(islice(rows, ROWS_AT_ONCE)):
            labels: list[Any] = [labels if several else labels[0] for _, labels in batch]
            yield pa.table({"text": [text for text, _ in batch], "label": labels}, schema=features.arrow_schema)

    table = Table(features, parts())
    table.decided.append("read as fastText lines, __label__NAME before the text")
    return table


def _fasttext_rows(path: Path, opened: OpenText) -> Iterator[tuple[str, list[str]]]:
    with opened() as file:
        for number, line in enumerate(file, start=1):
            if match := FASTTEXT.fullmatch(line.rstrip("\r\n")):
                yield match[2], [label.removeprefix("__label__") for label in match[1].split()]
            elif line.strip():
                raise HfclsError(f"{path}, line {number}: no __label__NAME before the text, as the lines above have it")
