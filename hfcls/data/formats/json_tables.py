"""json and jsonl files: objects one a line, all in one array, one behind the other, or within one object."""

import json
import math
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Features, Json, Value

from hfcls.data.formats.encodings import NAMES, kind_of, open_text, sniff_encoding
from hfcls.data.formats.table import ROWS_AT_ONCE, ReadOptions, Table, check_columns, unique_names
from hfcls.errors import HfclsError, NoRowsError
from hfcls.system.quoting import quoted

MOST_EXACT = 2**53  # a float64 holds every integer up to it


def open_json(path: Path, options: ReadOptions) -> Table:
    """Text as text, whatever it looks like; numbers where a type of Arrow holds all of a column; else JSON as it is.

    The file is read twice: no column has a type before the last row is seen.

    Raises:
        HfclsError: not JSON, no rows, something else than objects, a name twice in one; names the line.
    """
    encoding = options.encoding or sniff_encoding(path)
    decided: list[str] = []
    read = partial(_records, path, encoding)
    seen: dict[str, Seen] = {}
    for records in _batches(read(_strict_json, decided)):
        for name, values in _columns(records, path).items():
            seen.setdefault(name, Seen()).note(values)
        check_columns(path, len(seen))
    features = Features({name: column.feature() for name, column in seen.items()})
    if encoding not in ("utf-8", "utf-8-sig"):
        decided.append(f"read as {NAMES.get(encoding, encoding)}")
    again = _batches(read(json.JSONDecoder().raw_decode, []))  # which is faster, and all was checked above
    return Table(features, (_json_part(records, features) for records in again), decided=decided)


def records_table(records: list[dict[str, Any]]) -> Table:
    """Rows that are there already, with columns as those of a file."""
    seen = {name: Seen() for name in _columns(records)}
    for name, values in _columns(records).items():
        seen[name].note(values)
    features = Features({name: column.feature() for name, column in seen.items()})
    return Table(features, iter([_json_part(records, features)]))


def _batches(records: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    records = iter(records)
    while batch := list(islice(records, ROWS_AT_ONCE)):
        yield batch


def _columns(records: list[dict[str, Any]], path: Path | None = None) -> dict[str, list[Any]]:
    """In the order in which the names appear; None where a record lacks one."""
    names = dict.fromkeys(name for record in records for name in record)
    check_columns(path, len(names))
    return {name: [record.get(name) for record in records] for name in names}


@dataclass
class Seen:
    """What kinds of values a column of JSON records holds."""

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


# The records of a file


RawDecode = Callable[[str, int], tuple[Any, int]]
_BLANK = re.compile(r"[\s\ufeff]*")


def _records(path: Path, encoding: str, decode: RawDecode, decided: list[str]) -> Iterator[dict[str, Any]]:
    row_count = 0
    values = _values(path, encoding, decode)
    first = [value for _, value in islice(values, 2)]
    if len(first) == 1:  # one value is the whole file: a table, or one row
        rows: Iterable[tuple[str, Any]] = _rows_within(path, first[0], decided)
    else:
        rows = _values(path, encoding, decode)
    values.close()
    for place, record in rows:
        row_count += 1
        if not (isinstance(record, dict) and record):
            raise HfclsError(f"{place}: must be one JSON object with fields, found {record!r:.80}")
        yield record
    if not row_count:
        raise NoRowsError(f"{path} holds no rows")


def _values(path: Path, encoding: str, decode: RawDecode) -> Generator[tuple[str, Any], None, None]:
    """Each value of a file and where it begins: streamed line by line, as long as each value ends in its line."""
    number, position = 0, 0  # of the line and within it: where an error is
    with open_text(path, encoding) as file:
        try:
            for number, line in enumerate(file, start=1):
                text, position = line, _BLANK.match(line).end()  # type: ignore[union-attr]
                while position < len(text):
                    try:
                        value, end = decode(text, position)
                    except json.JSONDecodeError as error:
                        if error.pos < len(text.rstrip()) or not (rest := file.read()):
                            raise
                        text, position = text[position:] + rest, 0  # it goes on below: the rest is read at once
                        continue
                    if "\\u" in text and text.lower().find("\\ud", position, end) >= 0:
                        json.dumps(value, ensure_ascii=False).encode("utf-8")
                    yield f"{path}, line {number}", value
                    after = _BLANK.match(text, end).end()  # type: ignore[union-attr]
                    number += text.count("\n", position, after)
                    position = after
        except UnicodeEncodeError as error:
            character = error.object[error.start]
            raise HfclsError(
                f"{path}, line {number}: holds the unpaired surrogate {character!r}, which is no character: remove it"
            ) from error
        except RecursionError as error:
            raise HfclsError(f"{path}, line {number}: nested too deeply") from error
        except json.JSONDecodeError as error:
            number += error.doc.count("\n", position, min(error.pos, len(error.doc.rstrip())))
            raise HfclsError(f"{path}, line {number}: not JSON: {error.msg}") from error
        except ValueError as error:
            raise HfclsError(f"{path}, line {number}: not JSON: {error!s:.300}") from error


def _rows_within(path: Path, value: Any, decided: list[str]) -> Iterator[tuple[str, Any]]:
    """The rows of a file that is one value: an array of them, or one of the objects in which tables are written."""
    if isinstance(value, dict) and kind_of(path) != ".jsonl":
        value, how = _table_within(path, value)
        if how:
            decided.append(how)
    for number, record in enumerate(value if isinstance(value, list) else [value], start=1):
        yield f"{path}, element {number}", record


def _table_within(path: Path, value: dict[str, Any]) -> tuple[Any, str]:
    names, parts = list(value), list(value.values())
    if set(names) >= {"columns", "data"} and all(isinstance(value[name], list) for name in ("columns", "data")):
        if not all(isinstance(row, list) and len(row) == len(value["columns"]) for row in value["data"]):
            if _is_rows(value["data"]):
                return value["data"], "its rows are what 'data' holds"
            raise HfclsError(f"{path}: each row of 'data' must be a list with a value for each of its 'columns'")
        columns = unique_names([str(name) for name in value["columns"]])
        return [dict(zip(columns, row, strict=True)) for row in value["data"]], "read as columns and data"
    tables = [name for name in names if _is_rows(value[name])]
    if len(tables) == 1:
        return value[tables[0]], f"its rows are what {tables[0]!r} holds"
    if len(tables) > 1:
        raise HfclsError(
            f"{path} holds several lists of objects ({quoted(tables)}): write the one you mean to a file of its own"
        )
    if parts and all(isinstance(part, list) for part in parts):
        if len(set(map(len, parts))) > 1:
            raise HfclsError(f"{path}: its columns have {min(map(len, parts)):,} to {max(map(len, parts)):,} rows")
        return [dict(zip(names, row, strict=True)) for row in zip(*parts, strict=True)], "read as an object of columns"
    if parts and all(isinstance(part, dict) and part for part in parts):
        if _are_columns(value):
            rows = dict.fromkeys(key for part in parts for key in part)
            return [{n: value[n].get(key) for n in names} for key in rows], "read as an object of columns"
        return parts, "read as an object of rows by their ids"
    return value, ""


def _is_rows(part: Any) -> bool:
    return isinstance(part, list) and bool(part) and all(isinstance(row, dict) for row in part)


def _are_columns(value: dict[str, Any]) -> bool:
    """Whether an object of objects has the columns outside, as `DataFrame.to_json` writes them, and the ids inside."""
    outer, inner = list(value), list(next(iter(value.values())))
    if all(name.isdecimal() for name in outer) != all(name.isdecimal() for name in inner):
        return all(name.isdecimal() for name in inner)
    return len(inner) > len(outer)


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


_strict_json = json.JSONDecoder(
    object_pairs_hook=_once, parse_float=_finite, parse_constant=_refuse_constant
).raw_decode
