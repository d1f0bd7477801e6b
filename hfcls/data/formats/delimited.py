"""Files of lines: fields set apart by a delimiter, or fastText's `__label__NAME text`."""

import csv
import re
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Features, List, Value

from hfcls.data.formats.encodings import NAMES, open_text, sniff_encoding
from hfcls.data.formats.sniffing import DELIMITERS, Dialect, OpenText, fits, records, sniff_dialect
from hfcls.data.formats.table import ROWS_AT_ONCE, ReadOptions, Table, quoted, unique_names
from hfcls.errors import HfclsError

FASTTEXT = re.compile(r"((?:__label__\S+\s+)+)(.*)", re.DOTALL)


def open_delimited(path: Path, usual: str, options: ReadOptions) -> Table:
    """All columns as text, under the names of the header, or under 1, 2, ... with `no_header`.

    A column without a name is called `Unnamed: 0` by its position, as pandas does, and several of one name `NAME (1)`,
    `NAME (2)`: neither can be chosen by mistake.
    """
    encoding = options.encoding or sniff_encoding(path)
    opened: OpenText = partial(open_text, path, encoding)
    with opened() as file:
        first = next((line for line in file if line.strip()), "")
    if not first:
        raise HfclsError(f"{path} is empty: it needs a header line and rows")
    if FASTTEXT.fullmatch(first) and options.delimiter is None:
        return _open_fasttext(path, opened)
    dialect, why = sniff_dialect(path, opened, usual=usual, delimiter=options.delimiter, quoting=options.quoting)
    rows = _rows(path, opened, dialect)
    number, header = next(rows)
    if options.no_header:
        rows, header = chain([(number, header)], rows), [str(i) for i in range(1, len(header) + 1)]
    if any("\0" in name for name in header):
        raise HfclsError(f"{path}, line {number}: the header holds NUL characters; name the encoding with --encoding")
    names = unique_names(header)
    table = Table(Features({name: Value("string") for name in names}), iter(()))
    if (encoding, dialect) != ("utf-8", Dialect(usual)):
        table.decided.append(_decided(encoding, dialect, why))
    table.parts = _parts(path, rows, header, names, table.passed_over)
    return table


def _decided(encoding: str, dialect: Dialect, why: str) -> str:
    quoting = {"csv": "csv quoting", "none": "no quoting", "lines": "lines quoted", "backslash": "backslash quoting"}
    delimiter = DELIMITERS.get(dialect.delimiter, repr(dialect.delimiter))
    because = f" ({why})" if why else ""
    return f"read as {NAMES.get(encoding, encoding)}, delimiter {delimiter}, {quoting[dialect.quoting]}{because}"


def _rows(path: Path, opened: OpenText, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """The number of each record's first line and its fields, a blank line as none."""
    with opened() as file:
        try:
            for began, row, _ in records(dialect, file):
                yield began, row
        except csv.Error as error:
            raise HfclsError(f"{path}: {error}") from error


def _parts(
    path: Path, rows: Iterator[tuple[int, list[str]]], header: list[str], names: list[str], passed_over: list[str]
) -> Iterator[pa.Table]:
    width, row_count = len(header), 0
    blank: list[int] = []  # the line numbers of blank lines, which are no rows
    between = 0  # how many of them have a row below
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        kept = []
        for number, row in batch:
            if len(row) != width:
                if not row:
                    blank.append(number)
                    continue
                _check_width(path, number, row, header)
                row = row[:width]
            kept.append(row)
            between = len(blank)
        row_count += len(kept)
        if kept:
            yield pa.table([pa.array(column, pa.string()) for column in zip(*kept, strict=True)], names=names)
    if not row_count:
        raise HfclsError(f"{path} has a header line but no rows")
    if between:
        passed_over.append(f"{between} blank lines between its rows, line {blank[0]} for one")


def _check_width(path: Path, number: int, row: list[str], header: list[str]) -> None:
    if not fits(row, len(header)):
        raise HfclsError(
            f"{path}, line {number}: {len(row)} fields, but the header has {len(header)} ({quoted(header)}); a field "
            "that holds the delimiter or quotes must be quoted"
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
