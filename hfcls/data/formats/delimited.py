"""csv, tsv and txt files: a header line, and rows of text as the csv module and `pandas.read_csv` understand quotes."""

import csv
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pyarrow as pa
from datasets import Features, Value

from hfcls.data.formats.encodings import not_utf8
from hfcls.data.formats.table import ROWS_AT_ONCE, Table
from hfcls.errors import HfclsError


def open_delimited(path: Path, delimiter: str) -> Table:
    """Every column as text, empty fields as "".

    Raises:
        HfclsError: not UTF-8, no usable header, no rows, a row with more or fewer fields than the header, a quote
            that is not closed; names the line. Some of it is raised while the parts are read.
    """
    records = _csv_records(path, delimiter)
    _, header = next(records, (1, []))
    if any("\0" in name for name in header):
        raise HfclsError(f"{path}, line 1: the header holds NUL characters; save the file as UTF-8")
    if not header or "" in header or len(set(header)) < len(header):
        raise HfclsError(f"{path}, line 1: the header must name each column once, found {header}")
    table = Table(Features({name: Value("string") for name in header}), iter(()))
    table.parts = _csv_parts(path, records, header, table.passed_over)
    return table


def _csv_parts(
    path: Path, records: Iterator[tuple[int, list[str]]], header: list[str], passed_over: list[str]
) -> Iterator[pa.Table]:
    row_count = between = 0  # between: blank lines with a row below
    blank: list[int] = []  # the lines that hold no character and are no rows
    while batch := list(islice(records, ROWS_AT_ONCE)):
        rows = []
        for number, row in batch:
            if len(row) == len(header):
                rows.append(row)
                between = len(blank)
            elif not row:
                blank.append(number)
            else:
                raise HfclsError(
                    f"{path}, line {number}: {len(row)} fields, but the header has {len(header)} "
                    f"({', '.join(header)}); a field that holds the delimiter or quotes must be quoted"
                )
        row_count += len(rows)
        if rows:
            yield pa.table([pa.array(column, pa.string()) for column in zip(*rows, strict=True)], names=header)
    if not row_count:
        raise HfclsError(f"{path} has a header line but no rows")
    if between:
        passed_over.append(f"{between} blank lines between its rows, line {blank[0]} for one")


def _csv_records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record as the csv module reads it, a blank line as an empty one, and the number of its last line."""
    ended = False

    def lines() -> Iterator[str]:
        nonlocal ended
        yield from file
        ended = True

    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(lines(), delimiter=delimiter)
        number = 0
        while True:
            try:
                with _long_fields():
                    batch = [(reader.line_num, row, ended) for row in islice(reader, ROWS_AT_ONCE)]
            except UnicodeDecodeError as error:
                raise HfclsError(not_utf8(path)) from error
            except csv.Error as error:
                raise HfclsError(f"{path}, line {reader.line_num}: {error}") from error
            if not batch:
                return
            for last, row, cut_off in batch:
                if cut_off:  # the csv module passes on what it has where the file ends within quotes
                    raise HfclsError(
                        f"{path}, line {number + 1}: a quote is opened there, or below, that is closed nowhere; inside "
                        'quotes write "" for a quote'
                    )
                number = last
                yield number, row


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
