"""Where the rows of a corpus come from: NSMC, the demonstration, files, objects of Python, or the Hub."""

import logging
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, DatasetDict, DatasetInfo, load_dataset
from datasets.exceptions import DatasetNotFoundError
from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from hfcls.data import nsmc
from hfcls.data.formats.folders import (
    ORDER,
    class_folders,
    is_pattern,
    is_saved,
    matching_files,
    split_files,
    table_files,
    table_suffix,
)
from hfcls.data.formats.json_tables import records_table
from hfcls.data.formats.parquet import PLAIN
from hfcls.data.formats.table import ReadOptions, shown, unique_names
from hfcls.data.readers import SUFFIXES, read_tables, readable_files
from hfcls.data.splits import SPLITS
from hfcls.errors import HfclsError

logger = logging.getLogger(__name__)

BUILT_IN = ("nsmc", "demo")  # whose labels are 0 and 1, shown by the names of `nsmc`


def local_files(dataset: str, data_dir: str | None) -> dict[str, list[Path]] | None:
    """What is read for each split: files or folders; None for the id of a dataset on the Hub."""
    if data_dir is not None and dataset != "nsmc":
        raise HfclsError(f"data_dir is where nsmc lies, found dataset {dataset}: give the path of the data in dataset")
    if dataset == "nsmc":
        return {split: [path] for split, path in nsmc.nsmc_files(data_dir).items()}
    if dataset == "demo":
        folder = Path(str(resources.files("hfcls") / "demo"))
        return {split: [folder / f"{split}.tsv"] for split in ORDER}
    path = Path(os.path.expanduser(dataset))
    try:
        if path.is_dir():
            return _of_folder(path)
        if not path.exists() and is_pattern(str(path)):
            return _of_pattern(str(path))
        return {"train": [path]} if table_suffix(path) in SUFFIXES or path.exists() else None
    except OSError as error:  # no permission, or a name longer than names can be
        raise HfclsError(f"cannot look for the dataset {dataset:.200}: {error.strerror}") from error


def _of_folder(folder: Path) -> dict[str, list[Path]]:
    """Files or folders of splits, a folder for each class, or what `save_to_disk` wrote; the log names all else."""
    if is_saved(folder) or class_folders(folder):
        return {"train": [folder]}
    tables, others = table_files(folder, SUFFIXES)
    tables = [path for path in tables if path.name != "dataset_dict.json"]  # of `DatasetDict.save_to_disk`
    inner = [path for path in others if path.is_dir()]
    found, unused = split_files(tables, str(folder))
    if not found and (parts := {split: path for path in inner if (split := SPLITS.get(path.name.lower()))}):
        found = {split: _of_part(parts[split]) for split in ORDER if split in parts}
        others = [path for path in others if path not in parts.values()]
    elif not found and len(inner) == 1 and not tables:  # such as data/ of a folder that was cloned from the Hub
        return _of_folder(inner[0])
    elif not found and len(tables) == 1:
        found, unused = {"train": tables}, []
    if not found:
        raise HfclsError(
            f"{folder} holds no file of a split: name the files train, validation and test, with one of the suffixes "
            f"{' '.join(SUFFIXES)}; or give the parts of one table as a pattern, '{folder}/*.csv' in quotes"
        )
    if unused or others:
        names = [f"{path.name}/" if path.is_dir() else path.name for path in [*unused, *others]]
        logger.warning("%s: passed over %s", folder, shown(names))
    return found


def _of_part(folder: Path) -> list[Path]:
    """All tables of a folder that is one split."""
    if is_saved(folder) or class_folders(folder):
        return [folder]
    tables, _ = table_files(folder, SUFFIXES)
    if not tables:
        raise HfclsError(f"{folder} holds no table; known are {' '.join(SUFFIXES)}")
    return tables


def _of_pattern(pattern: str) -> dict[str, list[Path]]:
    """All files of a pattern are one table, unless some have the name of a split."""
    paths = [path for path in matching_files(pattern) if table_suffix(path) in SUFFIXES]
    if not paths:
        raise HfclsError(f"no file or folder {pattern}: check the path, or the pattern")
    found, unused = split_files(paths, pattern)
    if not found:
        found, unused = {"train": paths}, []
    told = "; ".join(f"{split} is {shown([path.name for path in files])}" for split, files in found.items())
    logger.info("%s: %s%s", pattern, told, f"; passed over {shown([p.name for p in unused])}" if unused else "")
    return found


def input_files(name: str) -> list[Path]:
    """The files of a name, folder or pattern, each a table of its own; a folder for each class is one table.

    Raises:
        HfclsError: a folder without a file that can be read, or a pattern of none.
    """
    path = Path(os.path.expanduser(name))
    if not path.exists() and is_pattern(str(path)):
        files = [found for paths in _of_pattern(str(path)).values() for found in paths]
    elif not path.is_dir() or is_saved(path) or class_folders(path):
        return [path]
    elif saved := [inner for inner in sorted(path.iterdir()) if is_saved(inner)]:
        files = saved
    else:
        files = readable_files(path)
    if not files:
        raise HfclsError(f"{path} holds no file to label; known are {' '.join(SUFFIXES)}")
    if twice := {path.name for path in files if [other.name for other in files].count(path.name) > 1}:
        raise HfclsError(f"{name} names several files called {shown(sorted(twice))}: label the folders one by one")
    return files


def read_splits(
    dataset: str, files: Mapping[str, Sequence[Path]] | None, dataset_config: str | None, options: ReadOptions
) -> DatasetDict:
    """The rows of local files, or of a dataset on the Hub."""
    if files is None:
        return load_from_hub(dataset, dataset_config)
    if dataset_config is not None:
        logger.warning(
            "dataset_config %s is for datasets of the Hub: %s, which is here, has none", dataset_config, dataset
        )
    if dataset not in BUILT_IN:
        return read_tables(files, options)
    return read_tables(files, ReadOptions(delimiter="\t", quoting="csv")).rename_column("document", "text")


# Objects of Python


def described(dataset: Any) -> str:
    """What to call a dataset in messages and results: its name or path, or the type of an object of Python."""
    return str(dataset) if isinstance(dataset, str | Path) else f"a {type(dataset).__name__}"


def given_splits(dataset: Any) -> DatasetDict | None:
    """The splits of a DataFrame, list of dicts, Dataset, DatasetDict or dict of such by split; None for a name or path.

    Raises:
        HfclsError: anything else, or values of several types in one column of a DataFrame.
    """
    if isinstance(dataset, str | Path):
        return None
    if isinstance(dataset, Mapping) and dataset and all(_is_split(name) for name in dataset):
        splits = {SPLITS[str(name).lower()]: _given_rows(rows) for name, rows in dataset.items()}
        return DatasetDict({split: splits[split] for split in ORDER if split in splits})
    return DatasetDict({"train": _given_rows(dataset)})


def _is_split(name: object) -> bool:
    return isinstance(name, str) and name.lower() in SPLITS


def _given_rows(rows: Any) -> Dataset:
    if isinstance(rows, Dataset):
        return rows
    if hasattr(rows, "to_arrow"):  # of polars
        rows = rows.to_arrow()
    elif hasattr(rows, "iloc") and hasattr(rows, "columns"):  # of pandas
        columns = [_given_column(rows.iloc[:, i]) for i in range(len(rows.columns))]
        rows = pa.table(columns, names=unique_names([str(name) for name in rows.columns]))
    if isinstance(rows, pa.Table):
        plain = [column.with_type(PLAIN.get(column.type, column.type)) for column in rows.schema]
        return Dataset(rows.cast(pa.schema(plain)))
    if isinstance(rows, Mapping) and rows and all(isinstance(values, list | tuple) for values in rows.values()):
        rows = [dict(zip(rows, row, strict=False)) for row in zip(*rows.values(), strict=False)]
    if isinstance(rows, list | tuple) and rows and all(isinstance(row, Mapping) for row in rows):
        table = records_table([{str(name): _plain(value) for name, value in row.items()} for row in rows])
        return Dataset(pa.concat_tables(table.parts), info=DatasetInfo(features=table.features))
    raise HfclsError(
        "dataset must be a name, a path, a DataFrame, a list of dicts, a Dataset, or a dict of these by split, such as "
        f"train and test; found {described(rows)}"
    )


def _given_column(series: Any) -> pa.Array:
    """The values of a column of pandas; of several types, as text: nobody may have asked for it."""
    values = series.astype("object") if str(series.dtype) == "category" else series
    try:
        array = pa.Array.from_pandas(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        array = pa.array(
            [None if missing else str(value) for value, missing in zip(values, values.isna(), strict=True)]
        )
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _plain(value: Any) -> Any:
    """A value of JSON: numpy's numbers as Python's, NaN as null, what JSON does not know as text."""
    value = value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    return value if value is None or type(value) in (str, int, float, bool) else str(value)


# The Hub


def load_from_hub(dataset: str, config: str | None) -> DatasetDict:
    """The splits of a dataset on the Hub that have a known name, under ours: train, validation, test.

    Raises:
        HfclsError: no id of the Hub, not found there, out of reach, or without a split of a known name.
    """
    check_hub_id(dataset)
    try:
        raw = load_dataset(dataset, config)
    except DatasetNotFoundError as error:
        raise HfclsError(
            f"no dataset {dataset!r}: neither a file or folder here nor one on the Hub ({error})"
        ) from error
    except Exception as error:  # its own errors, and those of the HTTP client and of a dozen readers, have no base
        why = " ".join(str(error).split()) or type(error).__name__
        raise HfclsError(
            f"could not load the Hub dataset {dataset!r} (there is no file or folder of that name here): {why}"
        ) from error
    return known_splits(dataset, raw)


def check_hub_id(dataset: str) -> None:
    """Raises HfclsError for what is no id of the Hub, since `load_dataset` has other uses for it.

    It looks for paths and patterns of paths, and takes `csv` to mean all csv files of the working folder.
    """
    try:
        validate_repo_id(dataset)
    except HFValidationError as error:
        raise HfclsError(f"no file or folder {dataset:.200}: check the path") from error
    if dataset in _PACKAGED_DATASETS_MODULES:
        raise HfclsError(
            f"no file or folder {dataset} here, and {dataset} is no dataset but a kind of file: give its path"
        )


def known_splits(dataset: str, raw: DatasetDict) -> DatasetDict:
    """Ours of a Hub dataset's splits; where two have one meaning, that of the more usual name, which the log tells."""
    chosen: dict[str, str] = {}
    for name, split in SPLITS.items():  # the more usual name first
        if name in raw:
            chosen.setdefault(split, name)
    if not chosen:
        raise HfclsError(
            f"the Hub dataset {dataset!r} has no split of a known name; it has {', '.join(raw)}: load it in "
            "Python, and save the splits you need as train.parquet and test.parquet in a folder"
        )
    if passed_over := [name for name in raw if name not in chosen.values()]:
        taken = ", ".join(f"{name} as {split}" for split, name in chosen.items())
        logger.warning("%s: passed over the splits %s; taken are %s", dataset, ", ".join(passed_over), taken)
    return DatasetDict({split: raw[name] for split, name in chosen.items()})
