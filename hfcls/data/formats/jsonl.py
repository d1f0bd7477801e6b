"""json and jsonl files: objects, one a line or all in one array."""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Features, Json, Value

from hfcls.data.formats.encodings import not_utf8
from hfcls.data.formats.table import ROWS_AT_ONCE, Table
from hfcls.errors import HfclsError

MOST_EXACT = 2**53  # a float64 holds every integer up to it


def open_json(path: Path) -> Table:
    """Text as text, whatever it looks like; numbers where a type holds all of a column exactly; anything else as JSON.

    The file is read twice: no column has a type before the last row is seen.

    Raises:
        HfclsError: not UTF-8, not JSON, no rows, something else than objects, a name twice in one; names the line.
    """
    seen: dict[str, _Seen] = {}
    for records in _batches(_json_records(path, _strict_json)):
        for name, values in _columns(records).items():
            seen.setdefault(name, _Seen()).note(values)
    features = Features({name: column.feature() for name, column in seen.items()})
    again = _batches(_json_records(path, json.loads))  # which is faster, and all was checked above
    return Table(features, (_json_part(records, features) for records in again))


def _batches(records: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    records = iter(records)
    while batch := list(islice(records, ROWS_AT_ONCE)):
        yield batch


def _columns(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """In the order in which the names appear; None where a record lacks one."""
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in names}


@dataclass
class _Seen:
    """What a column of JSON records holds."""

    kinds: set[type] = field(default_factory=set)
    low: int = 0
    high: int = 0

    def note(self, values: list[Any]) -> None:
        self.kinds |= set(map(type, values)) - {type(None)}
        if int in self.kinds:
            integers = [value for value in values if type(value) is int]
            self.low, self.high = min([self.low, *integers]), max([self.high, *integers])

    def feature(self) -> Value | Json:
        """A plain type that holds every value exactly, else `Json`, which keeps them as JSON."""
        if self.kinds == {str}:
            return Value("string")
        if self.kinds == {bool}:
            return Value("bool")
        if self.kinds == {int} and self.low >= -(2**63) and self.high < 2**63:
            return Value("int64")
        if self.kinds == {int} and self.low >= 0 and self.high < 2**64:
            return Value("uint64")
        if float in self.kinds <= {int, float} and self.low >= -MOST_EXACT and self.high <= MOST_EXACT:
            return Value("float64")
        return Json() if self.kinds else Value("null")


def _json_part(records: list[dict[str, Any]], features: Features) -> pa.Table:
    columns = []
    for name, feature in features.items():
        values = [record.get(name) for record in records]
        if isinstance(feature, Json):
            values = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
            columns.append(pa.ExtensionArray.from_storage(pa.json_(), pa.array(values, pa.string())))
        else:
            columns.append(pa.array(values, feature()))
    return pa.table(columns, schema=features.arrow_schema)


def _json_records(path: Path, decode: Callable[[str], Any]) -> Iterator[dict[str, Any]]:
    """The objects of a file that holds one a line, which is streamed, or all in one array."""
    place, row_count = str(path), 0
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            is_array = file.read(4096).lstrip().startswith("[")
            file.seek(0)
            for line_number, text in enumerate([file.read()] if is_array else file, start=1):
                if not text.strip():
                    continue
                place = str(path) if is_array else f"{path}, line {line_number}"
                value = decode(text)
                if "\\ud" in text or "\\uD" in text:
                    json.dumps(value, ensure_ascii=False).encode("utf-8")
                for record in value if is_array else [value]:
                    row_count += 1
                    if not (isinstance(record, dict) and record):
                        where = f"{path}, element {row_count}" if is_array else place
                        raise HfclsError(f"{where}: must be one JSON object with fields, found {record!r:.80}")
                    yield record
    except UnicodeDecodeError as error:
        raise HfclsError(not_utf8(path)) from error
    except UnicodeEncodeError as error:
        raise HfclsError(
            f"{place}: holds the unpaired surrogate {error.object[error.start]!r}, which is no character: remove it"
        ) from error
    except RecursionError as error:
        raise HfclsError(f"{place}: nested too deeply") from error
    except ValueError as error:
        raise HfclsError(f"{place}: not JSON: {error!s:.300}") from error
    if not row_count:
        raise HfclsError(f"{path} holds no rows")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"the name {next(name for name in names if names.count(name) > 1)!r} stands in one object twice"
        )
    return record


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number} is beyond the largest float")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value; write null")


_strict_json = json.JSONDecoder(object_pairs_hook=_once, parse_float=_finite, parse_constant=_refuse_constant).decode
