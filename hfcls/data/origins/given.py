"""A corpus that is given as Python objects: a table, rows, or a dict of splits."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, DatasetDict, DatasetInfo

from hfcls.data.formats.folders import ORDER
from hfcls.data.formats.json_tables import records_table
from hfcls.data.formats.parquet import PLAIN, is_known
from hfcls.data.formats.table import unique_names
from hfcls.data.splits import SPLITS
from hfcls.errors import HfclsError
from hfcls.system.quoting import quoted

logger = logging.getLogger(__name__)


def described(dataset: Any) -> str:
    """What to call a dataset in messages and results: its name or path, or the type of an object of Python."""
    return str(dataset) if isinstance(dataset, str | Path) else f"a {type(dataset).__name__}"


def given_splits(dataset: Any) -> DatasetDict | None:
    """The splits of a DataFrame, list of dicts, Dataset, DatasetDict or dict of such by split; None for a name or path.

    Raises:
        HfclsError: anything else.
    """
    if isinstance(dataset, str | Path):
        return None
    if isinstance(dataset, DatasetDict):
        dataset = _known_splits(dataset)
    if isinstance(dataset, Mapping) and dataset and all(_is_split(name) for name in dataset):
        if len({SPLITS[name.lower()] for name in dataset}) < len(dataset):
            raise HfclsError(f"two of the splits {', '.join(dataset)} mean the same: give one of them")
        splits = {SPLITS[str(name).lower()]: _given_rows(rows) for name, rows in dataset.items()}
        return DatasetDict({split: splits[split] for split in ORDER if split in splits})
    return DatasetDict({"train": _given_rows(dataset)})


def _known_splits(dataset: DatasetDict) -> dict[str, Dataset]:
    known = {str(name): rows for name, rows in dataset.items() if _is_split(name)}
    if not known:
        raise HfclsError(
            f"the DatasetDict has no split of a known name; it has {', '.join(map(str, dataset)) or 'none'}: rename "
            "those you need, such as to train and test"
        )
    if passed_over := [str(name) for name in dataset if name not in known]:
        logger.warning("a DatasetDict: passed over the splits %s", ", ".join(passed_over))
    return known


def _is_split(name: object) -> bool:
    return isinstance(name, str) and name.lower() in SPLITS


def _given_rows(rows: Any) -> Dataset:
    try:
        return _as_dataset(rows)
    except UnicodeEncodeError as error:
        half = f"U+{ord(error.object[error.start]):04X}, half a character"
        raise HfclsError(f"{described(rows)} holds {half}: read its source with the right encoding") from error


def _as_dataset(rows: Any) -> Dataset:
    if isinstance(rows, Dataset):
        if rows.format["type"] == "custom":
            logger.warning("a Dataset with a transform: its rows are read as they are stored, without it")
        return rows.with_format(None)  # which would give tensors, or some columns alone
    if hasattr(rows, "to_arrow"):  # of polars
        rows = rows.to_arrow()
    elif hasattr(rows, "iloc") and hasattr(rows, "columns"):  # of pandas
        columns = [_given_column(rows.iloc[:, i]) for i in range(len(rows.columns))]
        rows = pa.table(columns, names=unique_names([str(name) for name in rows.columns]))
    if isinstance(rows, pa.Table):
        if unknown := [column.name for column in rows.schema if not is_known(column)]:
            logger.warning("passed over the columns %s, of types that cannot be read", quoted(unknown))
        rows = rows.drop_columns(unknown)
        plain = [column.with_type(PLAIN.get(column.type, column.type)) for column in rows.schema]
        return Dataset(rows.cast(pa.schema(plain)))
    if isinstance(rows, Mapping) and rows and all(isinstance(values, list | tuple) for values in rows.values()):
        if len(set(map(len, rows.values()))) > 1:
            counts = ", ".join(f"{name!s:.40} {len(values):,}" for name, values in rows.items())
            raise HfclsError(f"the columns are of different length ({counts}): give each row a value in all of them")
        rows = [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
    if isinstance(rows, list | tuple) and rows and all(isinstance(row, Mapping) for row in rows):
        table = records_table([{str(name): _plain(value) for name, value in row.items()} for row in rows])
        return Dataset(pa.concat_tables(table.parts), info=DatasetInfo(features=table.features))
    raise HfclsError(
        "dataset must be a name, a path, a DataFrame, a list of dicts, a Dataset, or a dict of these by split, such as "
        f"train and test; found {described(rows)}"
    )


def _given_column(series: Any) -> pa.Array:
    """The values of a column of pandas; of several types as text, which nobody may have asked for, or with lists as
    those of JSON."""
    values = series.astype("object") if str(series.dtype) == "category" else series
    try:
        array = pa.Array.from_pandas(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        plain = [_plain(value) for value in values]
        if any(isinstance(value, list | dict) for value in plain):
            array = next(records_table([{"": value} for value in plain]).parts).column(0)
        else:
            array = pa.array([None if value is None else str(value) for value in plain])
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _plain(value: Any) -> Any:
    """A value of JSON: numpy's as Python's, sets as lists, NaN and NA as null, what JSON does not know as text."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if (isinstance(value, float) and value != value) or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    return value if value is None or type(value) in (str, int, float, bool) else str(value)
