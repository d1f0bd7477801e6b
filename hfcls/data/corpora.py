"""Labelled texts from NSMC, the demonstration corpus, files or the Hub, as one kind of `DatasetDict`."""

import logging
from typing import Any

from datasets import ClassLabel, DatasetDict, List

from hfcls.data.columns import wanted_columns
from hfcls.data.formats.table import ReadOptions
from hfcls.data.labels import class_names, labelled_splits, plain_labels, same_classes, value_names
from hfcls.data.origins.chosen import raw_splits, shown_name
from hfcls.data.origins.files import has_header_line
from hfcls.data.origins.given import described
from hfcls.data.origins.joined import JOINT, with_joined_texts
from hfcls.data.origins.selection import prepared_columns, selected
from hfcls.data.origins.unlabelled import Unlabelled, label_places, lacks_labels, unlabelled
from hfcls.data.targets.lists import (
    as_label_lists,
    column_list,
    declared_names,
    holds_several,
    names_in,
    with_joined_columns,
)
from hfcls.data.targets.numbers import as_numbers, check_not_targets, check_targets, holds_numbers
from hfcls.data.tasks import is_taught
from hfcls.errors import HfclsError
from hfcls.system.quoting import quoted
from hfcls.system.terminal import calm_libraries

logger = logging.getLogger(__name__)


@calm_libraries()
def load_corpus(
    dataset: Any = "nsmc",
    *,
    dataset_config: str | None = None,
    data_dir: str | None = None,
    text_column: str = "text",
    text_pair_column: str | None = None,
    label_column: str = "label",
    label_columns: str | None = None,
    label_separator: str | None = None,
    task: str | None = None,
    drop_unlabelled: bool = False,
    delimiter: str | None = None,
    encoding: str | None = None,
    quoting: str | None = None,
    no_header: bool = False,
    sheet: str | None = None,
) -> DatasetDict:
    """The splits (train, and validation and test where they exist) of a labelled corpus.

    A test split without any label (no such column, or only blanks and -1 in it) is left out, and the log says so.

    Args:
        dataset: `nsmc`, `demo` (reviews that ship with hfcls), a csv, tsv, json, jsonl, parquet or Excel file (also
            packed: .gz, .zip), a folder of such files named after their split or of a folder for each class, a pattern
            such as `data/part-*.csv`, what `save_to_disk` wrote, or the id of a dataset on the Hub. Or an object: a
            DataFrame, a list of dicts, a Dataset, a DatasetDict, or a dict of these by split. Splits with soft labels,
            as `hfcls distill` makes them, stay as they are.
        dataset_config: configuration of a Hub dataset; for any other one log line says that it is not used.
        data_dir: where NSMC lies or is downloaded to, see `nsmc_files`; for `nsmc` only.
        text_column: name, or path into nested values such as `annotation.text`; where `text` is asked for and absent,
            the one column with a usual name for it is taken. Several between commas are joined by ` [SEP] `.
        text_pair_column: of a second text.
        label_column: as `text_column`, for `label`. Lists of several labels make the corpus a multi-label one.
        label_columns: names of columns of 0 and 1, between commas: a row has each label whose column is 1.
        label_separator: between the labels of a row that has several of them in one text.
        task: classification or regression; None: told from the labels, where that is beyond doubt.
        drop_unlabelled: leave out rows without a label, which are an error otherwise.
        delimiter: of delimited files; None: told from the file, as encoding and quoting are.
        encoding: a codec of Python.
        quoting: csv, backslash or none.
        no_header: delimited files and workbooks begin with a row; columns are called 1, 2, ...
        sheet: of a workbook; None: the first.

    Returns:
        Columns `text`, `text_pair` (if asked for) and `label`: a `ClassLabel` whose names come from the data, a list
        of such, or for a regression a float64. A null text is read as an empty one, and the log says how many there
        are.

    Raises:
        HfclsError: files, columns, texts or labels are not what is needed; names file, line or row, and column.
    """
    return load_splits(**locals())[0]


def load_splits(
    dataset: Any,
    *,
    output_columns: str | None = None,
    most: int | None = None,
    dataset_config: str | None = None,
    data_dir: str | None = None,
    text_column: str = "text",
    text_pair_column: str | None = None,
    label_column: str = "label",
    label_columns: str | None = None,
    label_separator: str | None = None,
    task: str | None = None,
    drop_unlabelled: bool = False,
    joint: str = JOINT,
    **reading: Any,
) -> tuple[DatasetDict, Unlabelled | None]:
    """`load_corpus`, and the test split that it leaves out since it has no label; None if there is no such split.

    Args:
        output_columns: to hand in beside the answers, such as "id"; default: all but the texts.
        most: the first N rows of that split only.
        joint: between the texts of several columns.
        **reading: how files are read, as in `load_corpus`, whose other arguments are taken too.

    Raises:
        HfclsError: as `load_corpus`; no such `output_columns`, or they are asked for and there is no such split.
    """
    wanted = wanted_columns(text_column, text_pair_column, label_columns or label_column)
    name, options = described(dataset), ReadOptions(**reading)
    raw, headless = _read(dataset, dataset_config, data_dir, options)
    if is_taught(raw) and not output_columns:
        return raw, None
    for split, rows in raw.items():
        raw[split] = with_joined_texts(rows, f"{name} ({split})", text_column, joint)
    secret = None
    if lacks_labels(raw, label_column, label_columns):
        where, test = f"{name} (test)", raw["test"].select(range(min(len(raw["test"]), most or len(raw["test"]))))
        texts = prepared_columns(test, where, wanted_columns(text_column, text_pair_column, ""), headless)
        places = label_places(raw, label_column, label_columns)
        secret = unlabelled(test, where, texts, places, label_separator, output_columns)
        logger.warning("%s has no labels: it is not scored; hfcls train predicts it to submission.csv", where)
        del raw["test"]
    elif output_columns:
        raise HfclsError(f"output_columns are of a test split without labels, and {name} has none: drop output_columns")
    corpus = _labelled(
        raw,
        name,
        wanted,
        headless,
        label_columns=label_columns,
        label_separator=label_separator,
        task=task,
        drop_unlabelled=drop_unlabelled,
    )
    return corpus, secret


def load_trainable(dataset: Any, **options: Any) -> tuple[DatasetDict, Unlabelled | None]:
    """`load_splits`, with a train split; raises HfclsError as it does, and if there is none."""
    corpus, secret = load_splits(dataset, **options)
    if "train" not in corpus:
        raise HfclsError(f"{described(dataset)} has no train split; it has {', '.join(corpus)}")
    return corpus, secret


def _read(
    dataset: Any, dataset_config: str | None, data_dir: str | None, options: ReadOptions
) -> tuple[DatasetDict, bool | None]:
    """The splits with all their columns, and whether these are called by their position; None: they have names."""
    raw, files = raw_splits(dataset, data_dir, dataset_config, options)
    return DatasetDict(raw), options.no_header if has_header_line(files) else None


def _labelled(
    raw: DatasetDict,
    name: str,
    wanted: dict[str, str],
    headless: bool | None,
    *,
    label_columns: str | None,
    label_separator: str | None,
    task: str | None,
    drop_unlabelled: bool,
) -> DatasetDict:
    """The splits of `load_corpus`, of those with all their columns."""
    label_column = wanted["label_column"]
    texts = [column for option, column in wanted.items() if option != "label_column"]
    for split, rows in raw.items():
        where = f"{name} ({split})"
        if label_columns:
            rows = with_joined_columns(rows, where, label_columns)
        raw[split] = prepared_columns(rows, where, wanted, headless)
        if numbers := [column for column in texts if holds_numbers(raw[split], column)]:
            option = next(option for option, column in wanted.items() if column == numbers[0])
            raise HfclsError(
                f"{where}: column {numbers[0]!r} holds numbers, not text; its columns are "
                f"{quoted(rows.column_names)}: set --{option}"
            )
    main = "train" if "train" in raw else next(iter(raw))
    if task == "regression":
        raw = DatasetDict({split: as_numbers(rows, f"{name} ({split})", label_column) for split, rows in raw.items()})
        raw = labelled_splits(raw, name, label_column, {}, drop_unlabelled)
        if main == "train":
            check_targets(raw[main], f"{name} ({main})", label_column)
        return DatasetDict({split: selected(rows, split, texts, label_column) for split, rows in raw.items()})
    if label_columns or label_separator or any(holds_several(rows, label_column) for rows in raw.values()):
        several = {"label_columns": label_columns, "label_separator": label_separator}
        return _multi_label(raw, main, name, texts, label_column, **several, drop_unlabelled=drop_unlabelled)
    values: dict[str, dict[Any, str | None]] = {}
    for split, rows in raw.items():
        raw[split] = plain_labels(rows, label_column)
        values[split] = value_names(raw[split], f"{name} ({split})", label_column)
    if task is None and not isinstance(raw[main].features[label_column], ClassLabel):
        check_not_targets(values[main], f"{name} ({main})", label_column)
    spelling = same_classes(found for names in values.values() for found in names.values())
    values = {
        split: {value: found and spelling[found] for value, found in names.items()} for split, names in values.items()
    }
    raw = labelled_splits(raw, name, label_column, values, drop_unlabelled)
    names = class_names(raw[main], f"{name} ({main})", label_column, values[main].values())
    shown = [shown_name(name_, name) for name_ in names]
    corpus = {}
    for split, rows in raw.items():
        ids = {str(value): names.index(found) for value, found in values[split].items() if found in names}
        corpus[split] = selected(
            rows, split, texts, label_column, ids=ids, known=names, feature=ClassLabel(names=shown)
        )
    return DatasetDict(corpus)


def _multi_label(
    raw: DatasetDict,
    main: str,
    name: str,
    texts: list[str],
    column: str,
    *,
    label_columns: str | None,
    label_separator: str | None,
    drop_unlabelled: bool,
) -> DatasetDict:
    """The splits of a corpus whose rows have any number of labels: each a list of ids, in their order."""
    declared = declared_names(raw[main], column)
    raw = DatasetDict(
        {split: as_label_lists(rows, f"{name} ({split})", column, label_separator) for split, rows in raw.items()}
    )
    raw = labelled_splits(raw, name, column, {}, drop_unlabelled)
    names = declared or (column_list(label_columns) if label_columns else None)
    found = {split: names_in(rows, column) for split, rows in raw.items()}
    spelling = same_classes(known for known in set().union(*found.values(), names or ()))
    names = names or class_names(raw[main], f"{name} ({main})", column, {spelling[label] for label in found[main]})
    ids = {label: names.index(spelled) for label, spelled in spelling.items() if spelled in names}
    feature = List(ClassLabel(names=list(names)))
    return DatasetDict(
        {
            split: selected(rows, split, texts, column, ids=ids, known=names, feature=feature)
            for split, rows in raw.items()
        }
    )
