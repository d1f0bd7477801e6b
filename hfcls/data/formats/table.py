"""What every reader of a file gives: its columns, and its rows in parts."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
from datasets import Features

ROWS_AT_ONCE = 1_000  # larger parts are slower: Python looks through more objects for garbage


@dataclass(frozen=True)
class ReadOptions:
    """What is not to be told from the file itself.

    Attributes:
        delimiter: one character.
        encoding: a codec of Python.
        quoting: csv, backslash or none; see `sniffing.Dialect`.
        no_header: the first line is a row.
        sheet: of a workbook.
    """

    delimiter: str | None = None
    encoding: str | None = None
    quoting: str | None = None
    no_header: bool = False
    sheet: str | None = None


@dataclass
class Table:
    """A file: its columns, its rows in parts, what was decided, and, once all is read, what of it was passed over."""

    features: Features
    parts: Iterator[pa.Table]
    passed_over: list[str] = field(default_factory=list)
    decided: list[str] = field(default_factory=list)
