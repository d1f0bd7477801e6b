"""What reading a file gives, whatever its kind."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
from datasets import Features

ROWS_AT_ONCE = 1_000  # larger parts are slower: Python looks through more objects for garbage


@dataclass
class Table:
    """A file: its columns, its rows in parts, and, once all parts are read, what of it was passed over."""

    features: Features
    parts: Iterator[pa.Table]
    passed_over: list[str] = field(default_factory=list)
