"""What every reader of a file gives: its columns, and its rows in parts."""

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Features

from hfcls.errors import HfclsError

MOST_COLUMNS = 2**14  # of a workbook
ROWS_AT_ONCE = 1_000  # larger parts are slower: Python looks through more objects for garbage


@dataclass(frozen=True)
class ReadOptions:
    """What is not to be told from the file itself.

    Raises:
        HfclsError: a delimiter, encoding or quoting that there is not.

    Attributes:
        delimiter: one character; `tab` or `\\t` is a tab.
        encoding: a codec of Python.
        quoting: csv, backslash or none; see `dialects.Dialect`.
        no_header: the first line is a row.
        sheet: of a workbook.
    """

    delimiter: str | None = None
    encoding: str | None = None
    quoting: str | None = None
    no_header: bool = False
    sheet: str | None = None

    def __post_init__(self) -> None:
        if self.delimiter in ("tab", "\\t"):
            object.__setattr__(self, "delimiter", "\t")
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n\\'):
            raise HfclsError(f"delimiter must be one character, such as ; or tab, found {self.delimiter!r}")
        if self.quoting not in (None, "csv", "backslash", "none"):
            raise HfclsError(f"quoting must be one of csv, backslash, none, found {self.quoting!r}")
        try:
            io.TextIOWrapper(io.BytesIO(), encoding=self.encoding or "utf-8")  # `codecs.lookup` knows hex, too
        except LookupError as error:
            raise HfclsError(f"encoding {self.encoding!r} is not known: such as utf-8, cp949 or utf-16") from error

    @classmethod
    def of(cls, config: Any) -> "ReadOptions":
        """Those of a command that has options of the same names."""
        return cls(**{f.name: getattr(config, f.name) for f in fields(cls)})


@dataclass
class Table:
    """A file: its columns, its rows in parts, what was decided, and, once all is read, what of it was passed over."""

    features: Features
    parts: Iterator[pa.Table]
    passed_over: list[str] = field(default_factory=list)
    decided: list[str] = field(default_factory=list)


def unique_names(header: list[str]) -> list[str]:
    """A name of its own for each column: those that stand once are kept.

    A column without a name is called `Unnamed: 0` by its position, as pandas does, and several of one name `NAME (1)`,
    `NAME (2)`: neither can be chosen by mistake.
    """
    names = [name if name.strip() else f"Unnamed: {i}" for i, name in enumerate(header)]
    counts = Counter(names)
    seen: dict[str, int] = {}
    unique: dict[str, None] = {}  # an ordered set
    for name in names:
        if counts[name] > 1:
            seen[name] = seen.get(name, 0) + 1
            name = f"{name} ({seen[name]})"
        while name in unique:
            name += "'"
        unique[name] = None
    return [*unique]


def check_columns(path: Path | None, count: int) -> None:
    """Raises HfclsError for more columns than the widest workbook has: what takes minutes and gigabytes is no table."""
    if count > MOST_COLUMNS:
        raise HfclsError(
            f"{path or 'the data'} has {count:,} columns, at most {MOST_COLUMNS:,} are read: is its delimiter another "
            "one, or each of its lines a table?"
        )
