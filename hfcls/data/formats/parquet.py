"""parquet files, with the types they declare."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from datasets import Features
from datasets.table import table_cast
from pyarrow import parquet

from hfcls.data.formats.table import ROWS_AT_ONCE, Table
from hfcls.errors import HfclsError

PLAIN = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}


def open_parquet(path: Path) -> Table:
    """Views and dictionaries of text come as plain text; classes that the file's metadata declares stay classes.

    Raises:
        HfclsError: not parquet, a type that datasets does not know, or a column twice.
    """
    with _parquet_file(path) as source:
        schema = source.schema_arrow
        if not schema.names or len(set(schema.names)) < len(schema.names):
            raise HfclsError(f"{path} must name each column once, found {schema.names}")
        fields = [column.with_type(PLAIN.get(column.type, column.type)) for column in schema]
        for column in fields:
            _check_known(path, column)
        features = Features.from_arrow_schema(pa.schema(fields, schema.metadata))
    return Table(features, _parquet_parts(path, features))


def _check_known(path: Path, column: pa.Field) -> None:
    """Raises HfclsError for a type that datasets has no name for, such as a map."""
    try:
        Features.from_arrow_schema(pa.schema([column]))
    except ValueError as error:
        raise HfclsError(
            f"{path}: column {column.name!r} is of the type {column.type}, which cannot be read: leave it out, or "
            "write it as text"
        ) from error


def _parquet_parts(path: Path, features: Features) -> Iterator[pa.Table]:
    with _parquet_file(path) as source:
        row_count = 0
        for batch in source.iter_batches(ROWS_AT_ONCE):
            row_count += len(batch)
            yield table_cast(pa.Table.from_batches([batch]), features.arrow_schema)
        if row_count != source.metadata.num_rows:
            raise HfclsError(
                f"{path} says that it has {source.metadata.num_rows:,} rows, but {row_count:,} can be read"
            )


@contextmanager
def _parquet_file(path: Path) -> Iterator[parquet.ParquetFile]:
    with path.open("rb") as file:  # pyarrow takes a path for an address where it looks like one
        try:
            yield parquet.ParquetFile(file)
        except HfclsError:
            raise
        except Exception as error:  # pyarrow and datasets raise many kinds for a file they cannot read
            raise HfclsError(f"could not read {path} as parquet: {' '.join(str(error).split()):.500}") from error
