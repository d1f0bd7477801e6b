"""parquet files, with the types they declare."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa
from datasets import Features
from datasets.table import table_cast
from pyarrow import parquet

from hfcls.data.formats.encodings import open_bytes
from hfcls.data.formats.table import ROWS_AT_ONCE, Table, unique_names
from hfcls.errors import HfclsError
from hfcls.system.quoting import quoted

PLAIN = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}


def open_parquet(path: Path) -> Table:
    """Views and dictionaries of text come as plain text; classes that the file's metadata declares stay classes.

    Columns of a type that datasets has no name for, such as a map, are passed over.

    Raises:
        HfclsError: not parquet, or no column that can be read.
    """
    with _parquet_file(path) as source:
        schema = source.schema_arrow
        names = unique_names(schema.names)
        fields = [column.with_type(PLAIN.get(column.type, column.type)) for column in schema]
        fields = [column.with_name(name) for column, name in zip(fields, names, strict=True)]
        known = [column for column in fields if is_known(column)]
        if not known:
            raise HfclsError(f"{path} has no columns that can be read")
        metadata = schema.metadata if names == schema.names else None  # which speaks of the columns by their names
        features = Features.from_arrow_schema(pa.schema(known, metadata if known == fields else None))
    table = Table(features, _parquet_parts(path, features, names))
    if unknown := [column.name for column in fields if column not in known]:
        table.passed_over.append(f"the columns {quoted(unknown)}, of types that cannot be read")
    return table


def is_known(column: pa.Field) -> bool:
    try:
        Features.from_arrow_schema(pa.schema([column]))
    except ValueError:
        return False
    return True


def _parquet_parts(path: Path, features: Features, names: list[str]) -> Iterator[pa.Table]:
    with _parquet_file(path) as source:
        row_count = 0
        for batch in source.iter_batches(ROWS_AT_ONCE):
            row_count += len(batch)
            table = pa.Table.from_batches([batch]).rename_columns(names).select(list(features))
            yield table_cast(table, features.arrow_schema)
        if row_count != source.metadata.num_rows:
            raise HfclsError(
                f"{path} says that it has {source.metadata.num_rows:,} rows, but {row_count:,} can be read"
            )


@contextmanager
def _seekable(path: Path) -> Iterator[IO[bytes]]:
    with open_bytes(path) as file:
        yield file if path.suffix.lower() == ".parquet" else io.BytesIO(file.read())  # what was packed, in memory


@contextmanager
def _parquet_file(path: Path) -> Iterator[parquet.ParquetFile]:
    with _seekable(path) as file:  # pyarrow takes a path for an address where it looks like one
        try:
            yield parquet.ParquetFile(file)
        except HfclsError:
            raise
        except Exception as error:  # pyarrow and datasets raise many kinds for a file they cannot read
            raise HfclsError(f"could not read {path} as parquet: {' '.join(str(error).split()):.500}") from error
