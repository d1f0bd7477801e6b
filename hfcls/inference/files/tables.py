"""A labelled table in a file: written whole, found whole, or made of several."""

import codecs
import json
import logging
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from hfcls.errors import HfclsError
from hfcls.system.files import remove_leftovers, whole

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 10_000


def write_table(table: pa.Table, path: Path, *, bom: bool) -> None:
    """Write a parquet, csv or jsonl file, whole or not at all; raises HfclsError for what the format cannot hold."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)  # a file is one process's
    with whole(path) as aside:
        if path.suffix == ".parquet":
            with aside.open("wb") as file:  # pyarrow takes the path `run:1/...` for an address, here and below
                parquet.write_table(table.replace_schema_metadata(), file)
            return
        if path.suffix == ".jsonl":
            with aside.open("w", encoding="utf-8", newline="\n") as lines:
                lines.writelines(_json_lines(table))
            return
        try:
            with aside.open("wb") as file:
                file.write(codecs.BOM_UTF8 if bom else b"")
                csv.write_csv(pa.table([_as_cells(column) for column in table.columns], names=table.column_names), file)
        except pa.ArrowInvalid as error:
            raise HfclsError(f"csv cannot hold these columns ({error}): use --format parquet") from error


def _as_cells(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """What is kept as JSON, as the text that it is, and labels between commas: pyarrow writes no other to csv."""
    if column.type == pa.list_(pa.string()):
        texts = pc.list_flatten(column)
        if pc.any(pc.match_substring(texts, ",")).as_py():
            raise pa.ArrowInvalid("commas stand between the texts of a list, and within them")
        if texts.null_count:
            raise pa.ArrowInvalid("a list has a null among its texts")
        return pc.binary_join(column, ",")
    if not isinstance(column.type, pa.JsonType):
        return column
    return pa.chunked_array([part.storage for part in column.chunks], column.type.storage_type)


def _json_lines(table: pa.Table) -> Iterator[str]:
    """A row a line; what was kept as JSON is an object or a list again."""
    kept = [name for name in table.column_names if isinstance(table[name].type, pa.JsonType)]
    for batch in table.to_batches(ROWS_AT_ONCE):
        for row in batch.to_pylist():
            row |= {name: row[name] and json.loads(row[name]) for name in kept}
            try:
                yield json.dumps(row, ensure_ascii=False, allow_nan=False, default=_as_text) + "\n"
            except (ValueError, TypeError) as error:
                raise HfclsError(f"jsonl cannot hold these columns ({error}): use --format parquet") from error


def _as_text(value: Any) -> str:
    """A date, time or number that JSON has no form for."""
    if isinstance(value, bytes | timedelta):
        raise TypeError(f"{type(value).__name__} has no form in JSON")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def join_tables(parts: Sequence[Path], path: Path, columns: Sequence[str], *, bom: bool) -> None:
    """Make one file of several of these columns, part by part, and delete them."""
    remove_leftovers(path)
    with whole(path) as aside, aside.open("wb") as file:
        if path.suffix == ".parquet":
            with parquet.ParquetWriter(file, _read_parquet(parts[0]).schema) as writer:
                for part in parts:
                    writer.write_table(_read_parquet(part))
        elif path.suffix == ".jsonl":
            for part in parts:
                file.write(part.read_bytes())
        else:
            file.write(codecs.BOM_UTF8 if bom else b"")
            for i, part in enumerate(parts):
                content = part.read_bytes().removeprefix(codecs.BOM_UTF8)
                file.write(content[len(_csv_header(columns)) if i else 0 :])
    for part in parts:
        part.unlink()
    if not any(parts[0].parent.iterdir()):
        parts[0].parent.rmdir()


def _read_parquet(path: Path) -> pa.Table:
    with path.open("rb") as file:
        return parquet.read_table(file)


def _csv_header(columns: Sequence[str]) -> bytes:
    header = pa.BufferOutputStream()
    csv.write_csv(pa.table({name: pa.array([], pa.string()) for name in columns}), header)
    content: bytes = header.getvalue().to_pybytes()
    return content


def is_whole(path: Path, columns: Sequence[str], row_count: int) -> bool:
    """Whether a file is there with these columns and so many rows; logs why not if it is there without them."""
    if not path.exists():
        return False
    try:
        found = _COUNTED[path.suffix](path, columns)
        why = "" if found == row_count else f"it has {found:,} rows of {row_count:,}"
    except (pa.ArrowException, OSError, ValueError) as error:
        why = " ".join(str(error).split())
    if why:
        logger.warning("%s is no whole shard and is made again: %s", path, why)
    return not why


def _parquet_rows(path: Path, columns: Sequence[str]) -> int:
    """How many rows the footer tells of; it is written last."""
    with path.open("rb") as file:
        footer = parquet.read_metadata(file)
    if (found := footer.schema.to_arrow_schema().names) != list(columns):
        raise ValueError(f"its columns are {', '.join(found)}")
    return int(footer.num_rows)


def _csv_rows(path: Path, columns: Sequence[str]) -> int:
    """How many rows a file of pyarrow's holds, from its first byte to its last: csv has no footer."""
    content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    if not content.startswith(_csv_header(columns)):
        raise ValueError("its columns are others")
    unquoted = re.sub(rb'"[^"]*"', b"", content)  # a quote within quotes is two
    if b'"' in unquoted or not unquoted.endswith(b"\n"):
        raise ValueError("its last row is cut")
    return unquoted.count(b"\n") - 1


def _jsonl_rows(path: Path, columns: Sequence[str]) -> int:
    """How many lines a file of ours holds; the first one shows its columns."""
    content = path.read_bytes()
    if content and list(json.loads(content[: content.find(b"\n") + 1])) != list(columns):
        raise ValueError("its columns are others")
    if not content.endswith(b"\n"):
        raise ValueError("its last row is cut")
    return content.count(b"\n")


_COUNTED = {".parquet": _parquet_rows, ".csv": _csv_rows, ".jsonl": _jsonl_rows}
