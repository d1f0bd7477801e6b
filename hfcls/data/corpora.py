"""Labelled texts from NSMC, the demonstration corpus, files or the Hub, as one kind of `DatasetDict`."""

import logging
from importlib.resources import files
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, load_dataset
from datasets.exceptions import DatasetNotFoundError

from hfcls.data import nsmc
from hfcls.data.labels import class_names
from hfcls.data.readers import SUFFIXES, read_tables, text_problem
from hfcls.data.splits import SPLITS
from hfcls.errors import HfclsError

logger = logging.getLogger(__name__)


def load_corpus(
    dataset: str = "nsmc",
    *,
    dataset_config: str | None = None,
    data_dir: str | None = None,
    text_column: str = "text",
    text_pair_column: str | None = None,
    label_column: str = "label",
) -> DatasetDict:
    """The splits (train, and validation and test where they exist) of a labelled corpus.

    Args:
        dataset: `nsmc`, `demo` (reviews that ship with hfcls), a csv, tsv, json, jsonl or parquet file, a folder of
            such files named after their split, or the id of a dataset on the Hub.
        dataset_config: configuration of a Hub dataset; for any other one log line says that it is not used.
        data_dir: where NSMC lies or is downloaded to, see `nsmc_files`; for `nsmc` only.

    Returns:
        Columns `text`, `text_pair` (if asked for) and `label`, a `ClassLabel` whose names come from the data.

    Raises:
        HfclsError: files, columns, texts or labels are not what is needed; names file, line or row, and column.
    """
    label_names: dict[str, str] = {}
    texts = [text_column, *([text_pair_column] if text_pair_column else [])]
    if len({*texts, label_column}) <= len(texts):
        raise HfclsError(
            f"text_column, text_pair_column and label_column must be different columns, found {', '.join(texts)} and "
            f"{label_column}"
        )
    if data_dir is not None and dataset != "nsmc":
        raise HfclsError(f"data_dir is where nsmc lies, found dataset {dataset}: give the path of the data in dataset")
    if dataset in ("nsmc", "demo"):
        paths = nsmc.nsmc_files(data_dir) if dataset == "nsmc" else _demo_files()
        raw = read_tables(paths).rename_column("document", "text")
        label_names = nsmc.LABEL_NAMES
    elif local := _local_files(dataset):
        raw = read_tables(local)
    else:
        raw = _load_from_hub(dataset, dataset_config)
        dataset_config = None  # used
    if dataset_config is not None:
        logger.warning(
            "dataset_config %s is for datasets of the Hub: %s, which is here, has none", dataset_config, dataset
        )
    _check_columns(raw, dataset, texts, label_column)
    raw = raw.select_columns([*texts, label_column])  # whatever others hold, nobody reads it
    names = class_names(raw, dataset, label_column)
    return DatasetDict(
        {split: _select(rows, split, texts, label_column, names, label_names) for split, rows in raw.items()}
    )


def _demo_files() -> dict[str, Path]:
    folder = Path(str(files("hfcls") / "demo"))
    return {split: folder / f"{split}.tsv" for split in ("train", "validation", "test")}


def _local_files(dataset: str) -> dict[str, Path] | None:
    """The file of each split, or None for the id of a dataset on the Hub."""
    path = Path(dataset).expanduser()
    try:
        if path.is_dir():
            return _split_files(path)
        return {"train": path} if path.suffix in SUFFIXES or path.exists() else None
    except OSError as error:  # no permission, or a name longer than names can be
        raise HfclsError(f"cannot look for the dataset {dataset:.200}: {error.strerror}") from error


def _split_files(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        split = SPLITS.get(path.stem.lower())
        if split and path.suffix in SUFFIXES:
            if split in found:
                raise HfclsError(f"{folder} holds two files for {split}: {found[split].name} and {path.name}; keep one")
            found[split] = path
    if "train" not in found and "test" not in found:
        raise HfclsError(
            f"{folder} holds no train or test file: name the files train, validation and test, "
            f"with one of the suffixes {' '.join(SUFFIXES)}"
        )
    return {split: found[split] for split in ("train", "validation", "test") if split in found}


def _load_from_hub(dataset: str, config: str | None) -> DatasetDict:
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
    if known := {SPLITS[name]: rows for name, rows in raw.items() if name in SPLITS}:
        return DatasetDict(known)
    raise HfclsError(
        f"the Hub dataset {dataset!r} has no split of a known name; it has {', '.join(raw)}: load it in "
        "Python, and save the splits you need as train.parquet and test.parquet in a folder"
    )


def _check_columns(raw: DatasetDict, dataset: str, texts: list[str], label: str) -> None:
    for split, rows in raw.items():
        where = f"{dataset} ({split})"
        for column, flag in [
            *zip(texts, ("text_column", "text_pair_column"), strict=False),
            (label, "label_column"),
        ]:
            if column not in rows.column_names:
                raise HfclsError(
                    f"{where} has no column {column!r}; it has {', '.join(rows.column_names)}: set --{flag}"
                )
        if len(rows) == 0:
            raise HfclsError(f"{where} has no rows")
        for column in texts:
            if problem := text_problem(rows, column):
                raise HfclsError(f"{where}: column {column!r} {problem}")
            if all(_is_number(text) for text in rows.select_columns(column)[:100][column]):
                raise HfclsError(
                    f"{where}: column {column!r} holds numbers, not text; its columns are "
                    f"{', '.join(rows.column_names)}: set --text_column"
                )


def _is_number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True


def _select(
    rows: Dataset, split: str, texts: list[str], label: str, names: list[str], label_names: dict[str, str]
) -> Dataset:
    columns = dict(zip(texts, ("text", "text_pair"), strict=False))
    features = Features({name: Value("string") for name in columns.values()})
    features["label"] = ClassLabel(names=[label_names.get(name, name) for name in names])
    declared = isinstance(rows.features[label], ClassLabel)
    selected = rows.map(
        _select_batch,
        batched=True,
        with_indices=True,
        remove_columns=rows.column_names,
        features=features,
        # `version` enters datasets' fingerprint, which hashes this function by name only: raise it with each change.
        fn_kwargs={
            "columns": columns,
            "label": label,
            "ids": {name: i for i, name in enumerate(names)},
            "declared": declared,
            "split": split,
            "version": 1,
        },
        desc=f"{split}: labels",
    )
    empty = sum(not text.strip() for batch in selected.select_columns("text").iter(10_000) for text in batch["text"])
    if empty:
        logger.info("%s: %d of %d texts are empty; they are kept", split, empty, len(selected))
    return selected


def _select_batch(
    batch: dict[str, list[Any]],
    indices: list[int],
    *,
    columns: dict[str, str],
    label: str,
    ids: dict[str, int],
    declared: bool,
    split: str,
    version: int,
) -> dict[str, list[Any]]:
    selected: dict[str, list[Any]] = {
        name: ["" if text is None else text for text in batch[column]] for column, name in columns.items()
    }
    if declared:
        ids = {str(i): i for i in ids.values()}
    selected["label"] = []
    for index, value in zip(indices, batch[label], strict=True):
        if str(value) not in ids:
            found = "no label" if value in (None, "") else f"the unknown label {value!r}"
            raise HfclsError(f"{split}, row {index + 1}: {found} in column {label!r}; known are {', '.join(ids)}")
        selected["label"].append(ids[str(value)])
    return selected
