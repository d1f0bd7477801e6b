"""Labelled texts from NSMC, the demonstration corpus, files or the Hub, as one kind of `DatasetDict`."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from hfcls.data.columns import holds_numbers, wanted_columns, with_columns
from hfcls.data.formats.table import ReadOptions
from hfcls.data.labels import (
    class_names,
    known_name,
    labelled,
    labelled_splits,
    plain_labels,
    same_classes,
    value_names,
)
from hfcls.data.origins import nsmc
from hfcls.data.origins.chosen import read_splits
from hfcls.data.origins.files import BUILT_IN, has_header_line, local_files
from hfcls.data.origins.given import described, given_splits
from hfcls.data.readers import text_problem, without_text
from hfcls.errors import HfclsError
from hfcls.system.quoting import quoted
from hfcls.system.quoting import shown as shown_names

logger = logging.getLogger(__name__)

NO_LABEL = "-1"  # as datasets of the Hub write it where the labels of a split are kept secret


def load_corpus(
    dataset: Any = "nsmc",
    *,
    dataset_config: str | None = None,
    data_dir: str | None = None,
    text_column: str = "text",
    text_pair_column: str | None = None,
    label_column: str = "label",
    drop_unlabelled: bool = False,
    delimiter: str | None = None,
    encoding: str | None = None,
    quoting: str | None = None,
    no_header: bool = False,
    sheet: str | None = None,
) -> DatasetDict:
    """The splits (train, and validation and test where they exist) of a labelled corpus.

    Args:
        dataset: `nsmc`, `demo` (reviews that ship with hfcls), a csv, tsv, json, jsonl, parquet or Excel file (also
            packed: .gz, .zip), a folder of such files named after their split or of a folder for each class, a pattern
            such as `data/part-*.csv`, what `save_to_disk` wrote, or the id of a dataset on the Hub. Or an object: a
            DataFrame, a list of dicts, a Dataset, a DatasetDict, or a dict of these by split.
        dataset_config: configuration of a Hub dataset; for any other one log line says that it is not used.
        data_dir: where NSMC lies or is downloaded to, see `nsmc_files`; for `nsmc` only.
        text_column: name, or path into nested values such as `annotation.text`; where `text` is asked for and absent,
            the one column with a usual name for it is taken.
        text_pair_column: of a second text.
        label_column: as `text_column`, for `label`.
        drop_unlabelled: leave out rows without a label, which are an error otherwise.
        delimiter: of delimited files; None: told from the file, as encoding and quoting are.
        encoding: a codec of Python.
        quoting: csv, backslash or none.
        no_header: delimited files and workbooks begin with a row; columns are called 1, 2, ...
        sheet: of a workbook; None: the first.

    Returns:
        Columns `text`, `text_pair` (if asked for) and `label`, a `ClassLabel` whose names come from the data. A null
        text is read as an empty one, and the log says how many there are.

    Raises:
        HfclsError: files, columns, texts or labels are not what is needed; names file, line or row, and column.
    """
    wanted = wanted_columns(text_column, text_pair_column, label_column)
    texts, name = [column for option, column in wanted.items() if option != "label_column"], described(dataset)
    options = ReadOptions(delimiter, encoding, quoting, no_header, sheet)
    raw, files = given_splits(dataset), None
    if raw is None:
        files = local_files(name, data_dir)
        raw = read_splits(name, files, dataset_config, options)
    headless = no_header if has_header_line(files) else None
    values: dict[str, dict[Any, str | None]] = {}
    for split, rows in raw.items():
        where = f"{name} ({split})"
        raw[split] = _with_columns(rows, where, wanted, headless)
        if numbers := [column for column in texts if holds_numbers(raw[split], column)]:
            raise HfclsError(
                f"{where}: column {numbers[0]!r} holds numbers, not text; its columns are "
                f"{quoted(rows.column_names)}: set --text_column"
            )
        values[split] = value_names(raw[split], where, label_column)
    spelling = same_classes(found for names in values.values() for found in names.values())
    values = {
        split: {value: found and spelling[found] for value, found in names.items()} for split, names in values.items()
    }
    raw = labelled_splits(raw, name, label_column, values, drop_unlabelled)
    main = "train" if "train" in raw else next(iter(raw))
    names = class_names(raw[main], f"{name} ({main})", label_column, values[main].values())
    shown = [_shown(name_, name) for name_ in names]
    corpus = {}
    for split, rows in raw.items():
        ids = {str(value): names.index(found) for value, found in values[split].items() if found in names}
        corpus[split] = _select(rows, split, texts, label_column, ids, names, shown)
    return DatasetDict(corpus)


def load_held_out(
    dataset: Any,
    known: Sequence[str],
    *,
    split: str | None = None,
    max_rows: int | None = None,
    dataset_config: str | None = None,
    data_dir: str | None = None,
    text_column: str = "text",
    text_pair_column: str | None = None,
    label_column: str = "label",
    drop_unlabelled: bool = True,
    **reading: Any,
) -> tuple[str, Dataset]:
    """The rows of one split that a model can be scored on, with its class ids; the name of the split comes first.

    What only training needs is not asked for: the split may hold one class, lack some of the model's, or have numbers
    for texts, and other splits are not looked at. Rows without a label (null, "", or -1 where no class is called so)
    cannot be scored; they are left out, and the log says how many there are.

    Args:
        known: names of the model's classes in the order of their ids.
        split: default test, or the only one.
        max_rows: the first N rows only.
        drop_unlabelled: has no effect here.
        **reading: how files are read, as in `load_corpus`.

    Raises:
        HfclsError: as `load_corpus`; no such split, no row with a label, or a label that is not `known`.
    """
    wanted, name, options = (
        wanted_columns(text_column, text_pair_column, label_column),
        described(dataset),
        ReadOptions(**reading),
    )
    texts = [column for option, column in wanted.items() if option != "label_column"]
    raw = given_splits(dataset)
    files = None if raw is not None else local_files(name, data_dir)
    if raw is None and files is None:
        raw = read_splits(name, None, dataset_config, options)
    splits = list(files or raw or ())
    split = split or ("test" if len(splits) > 1 else splits[0])
    if split not in splits:
        raise HfclsError(f"{name} has no {split} split; it has {', '.join(splits)}: set --split")
    if raw is None:
        raw = read_splits(name, {split: files[split]} if files else None, dataset_config, options)
    rows = raw[split].select(range(min(len(raw[split]), max_rows or len(raw[split]))))
    where = f"{name} ({split})"
    rows = _with_columns(rows, where, wanted, options.no_header if has_header_line(files) else None)
    for column in texts:
        if holds_numbers(rows, column):
            logger.warning("%s: every text in column %r is a number: is it the right --text_column?", where, column)
    names = {value: _known(found, known, name) for value, found in value_names(rows, where, label_column).items()}
    if unknown := sorted({found for found in names.values() if found is not None}.difference(known)):
        raise HfclsError(
            f"{where} has the label {shown_names(unknown)}, but the model only knows {shown_names(known)}; if the "
            "classes are the same, --label_names gives those of the model their names"
        )
    rows = labelled(rows, where, label_column, names)
    ids = {str(value): known.index(found) for value, found in names.items() if found is not None}
    return split, _select(rows, split, texts, label_column, ids, known, known)


def _known(name: str | None, known: Sequence[str], dataset: str) -> str | None:
    """The model's name for a class; None: of no class."""
    if name is None or (name == NO_LABEL and name not in known):
        return None
    return known_name(_shown(name, dataset), known)


def _with_columns(rows: Dataset, where: str, wanted: Mapping[str, str], no_header: bool | None) -> Dataset:
    """The wanted columns alone, the texts as text and the labels one in each row."""
    rows = with_columns(rows, where, wanted, no_header=no_header)
    if len(rows) == 0:
        raise HfclsError(f"{where} has no rows")
    for option, column in wanted.items():
        if option == "label_column":
            rows = plain_labels(rows, column)
        elif problem := text_problem(rows, column):
            raise HfclsError(f"{where}: column {column!r} {problem}")
    return rows


def _shown(name: str, dataset: str) -> str:
    return nsmc.LABEL_NAMES.get(name, name) if dataset in BUILT_IN else name


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
            raise HfclsError(f"{split}, row {index + 1}: {found} in column {label!r}; known are {shown_names(known)}")
        selected["label"].append(ids[str(value)])
    return selected
