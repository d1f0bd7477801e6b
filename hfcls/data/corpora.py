"""Labelled texts from NSMC, the demonstration corpus, files or the Hub, as one kind of `DatasetDict`."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from hfcls.data import nsmc
from hfcls.data.labels import class_names, value_names
from hfcls.data.readers import text_problem, without_text
from hfcls.data.sources import BUILT_IN, local_files, read_splits
from hfcls.errors import HfclsError

logger = logging.getLogger(__name__)

NO_LABEL = "-1"  # as datasets of the Hub write it where the labels of a split are kept secret


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
        Columns `text`, `text_pair` (if asked for) and `label`, a `ClassLabel` whose names come from the data. A null
        text is read as an empty one, and the log says how many there are.

    Raises:
        HfclsError: files, columns, texts or labels are not what is needed; names file, line or row, and column.
    """
    texts = _text_columns(text_column, text_pair_column, label_column)
    raw = read_splits(dataset, local_files(dataset, data_dir), dataset_config)
    for split, rows in raw.items():
        where = f"{dataset} ({split})"
        _check_columns(rows, where, texts, label_column)
        if numbers := [column for column in texts if _holds_numbers(rows, column)]:
            raise HfclsError(
                f"{where}: column {numbers[0]!r} holds numbers, not text; its columns are "
                f"{', '.join(rows.column_names)}: set --text_column"
            )
    names = class_names(raw, dataset, label_column)
    shown = [_shown(name, dataset) for name in names]
    corpus = {}
    for split, rows in raw.items():
        values = value_names(rows, f"{dataset} ({split})", label_column)
        ids = {str(value): names.index(name) for value, name in values.items() if name in names}
        corpus[split] = _select(rows, split, texts, label_column, ids, names, shown)
    return DatasetDict(corpus)


def load_held_out(
    dataset: str,
    known: Sequence[str],
    *,
    split: str | None = None,
    max_rows: int | None = None,
    dataset_config: str | None = None,
    data_dir: str | None = None,
    text_column: str = "text",
    text_pair_column: str | None = None,
    label_column: str = "label",
) -> tuple[str, Dataset]:
    """The rows of one split that a model can be scored on, with its class ids; the name of the split comes first.

    What only training needs is not asked for: the split may hold one class, lack some of the model's, or have numbers
    for texts, and other splits are not looked at. Rows without a label (null, "", or -1 where no class is called so)
    cannot be scored; they are left out, and the log says how many there are.

    Args:
        known: names of the model's classes in the order of their ids.
        split: default test, or the only one.
        max_rows: the first N rows only.

    Raises:
        HfclsError: as `load_corpus`; no such split, no row with a label, or a label that is not `known`.
    """
    texts = _text_columns(text_column, text_pair_column, label_column)
    files = local_files(dataset, data_dir)
    raw = read_splits(dataset, None, dataset_config) if files is None else DatasetDict()
    splits = list(files or raw)
    split = split or ("test" if len(splits) > 1 else splits[0])
    if split not in splits:
        raise HfclsError(f"{dataset} has no {split} split; it has {', '.join(splits)}: set --split")
    raw = read_splits(dataset, {split: files[split]}, dataset_config) if files else raw
    rows = raw[split].select(range(min(len(raw[split]), max_rows or len(raw[split]))))
    where = f"{dataset} ({split})"
    _check_columns(rows, where, texts, label_column)
    for column in texts:
        if _holds_numbers(rows, column):
            logger.warning("%s: every text in column %r is a number: is it the right --text_column?", where, column)
    names = {
        value: None if name is None or (name == NO_LABEL and name not in known) else _shown(name, dataset)
        for value, name in value_names(rows, where, label_column).items()
    }
    if unknown := sorted({name for name in names.values() if name is not None}.difference(known)):
        raise HfclsError(
            f"{where} has the label {', '.join(unknown)}, but the model only knows {', '.join(known)}; if the classes "
            "are the same, --label_names gives those of the model their names"
        )
    rows = _labelled(rows, where, label_column, names)
    ids = {str(value): known.index(name) for value, name in names.items() if name is not None}
    return split, _select(rows, split, texts, label_column, ids, known, known)


def _text_columns(text_column: str, text_pair_column: str | None, label_column: str) -> list[str]:
    texts = [text_column, *([text_pair_column] if text_pair_column else [])]
    if len({*texts, label_column}) <= len(texts):
        raise HfclsError(
            f"text_column, text_pair_column and label_column must be different columns, found {', '.join(texts)} and "
            f"{label_column}"
        )
    return texts


def _check_columns(rows: Dataset, where: str, texts: list[str], label: str) -> None:
    flags = [*zip(texts, ("text_column", "text_pair_column"), strict=False), (label, "label_column")]
    for column, flag in flags:
        if column not in rows.column_names:
            raise HfclsError(f"{where} has no column {column!r}; it has {', '.join(rows.column_names)}: set --{flag}")
    if len(rows) == 0:
        raise HfclsError(f"{where} has no rows")
    for column in texts:
        if problem := text_problem(rows, column):
            raise HfclsError(f"{where}: column {column!r} {problem}")


def _holds_numbers(rows: Dataset, column: str) -> bool:
    """Whether every text of a column is a number, as in a column of ids."""
    batches = rows.select_columns(column).iter(100)
    return all(_is_number(text) for batch in batches for text in batch[column])


def _is_number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True


def _shown(name: str, dataset: str) -> str:
    return nsmc.LABEL_NAMES.get(name, name) if dataset in BUILT_IN else name


def _labelled(rows: Dataset, where: str, column: str, names: Mapping[Any, str | None]) -> Dataset:
    """The rows whose label has a name."""
    if None not in names.values():
        return rows
    labels = rows.select_columns(column).with_format("arrow")[:][column].to_pylist()
    kept = [i for i, label in enumerate(labels) if names[label] is not None]
    if not kept:
        raise HfclsError(f"{where}: no row has a label in column {column!r}, so nothing can be scored")
    first = next(i for i, label in enumerate(labels) if names[label] is None)
    logger.warning(
        "%s: %d of %d rows have no label and are not scored, row %d (%r) for one",
        where, len(rows) - len(kept), len(rows), first + 1, labels[first],
    )  # fmt: skip
    return rows.select(kept)


def _select(
    rows: Dataset,
    split: str,
    texts: list[str],
    label: str,
    ids: Mapping[str, int],
    known: Sequence[str],
    shown: Sequence[str],
) -> Dataset:
    """The texts, with the class id of each label: `ids` by the text of its value. Classes are called as `shown`."""
    columns = dict(zip(texts, ("text", "text_pair"), strict=False))
    features = Features({name: Value("string") for name in columns.values()})
    features["label"] = ClassLabel(names=list(shown))
    missing = np.flatnonzero(without_text(rows, texts))
    if len(missing):
        logger.warning(
            "%s: %d of %d rows have no text (null), row %d for one; it is read as an empty text",
            split, len(missing), len(rows), missing[0] + 1,
        )  # fmt: skip
    rows = rows.select_columns([*texts, label])  # whatever others hold, nobody reads it
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
            "ids": dict(ids),
            "known": list(known),
            "split": split,
            "version": 2,
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
    known: list[str],
    split: str,
    version: int,
) -> dict[str, list[Any]]:
    selected: dict[str, list[Any]] = {
        name: ["" if text is None else text for text in batch[column]] for column, name in columns.items()
    }
    selected["label"] = []
    for index, value in zip(indices, batch[label], strict=True):
        if str(value) not in ids:
            found = "no label" if value in (None, "") else f"the unknown label {value!r}"
            raise HfclsError(f"{split}, row {index + 1}: {found} in column {label!r}; known are {', '.join(known)}")
        selected["label"].append(ids[str(value)])
    return selected
