"""The rows of one split that a model can be scored on."""

import logging
from collections.abc import Sequence
from typing import Any

from datasets import ClassLabel, Dataset, List

from hfcls.data.columns import wanted_columns
from hfcls.data.formats.table import ReadOptions
from hfcls.data.labels import known_name, labelled, plain_labels, value_names
from hfcls.data.origins.chosen import read_splits, shown_name
from hfcls.data.origins.files import has_header_line, local_files
from hfcls.data.origins.given import described, given_splits
from hfcls.data.origins.joined import JOINT, with_joined_texts
from hfcls.data.origins.selection import prepared_columns, selected
from hfcls.data.targets.lists import as_label_lists, names_in, with_joined_columns
from hfcls.data.targets.numbers import as_numbers, holds_numbers
from hfcls.errors import HfclsError
from hfcls.scoring.tasks import MultiLabel, Regression, SingleLabel
from hfcls.system.quoting import shown as shown_names
from hfcls.system.terminal import calm_libraries

logger = logging.getLogger(__name__)

NO_LABEL = "-1"  # as datasets of the Hub write it where the labels of a split are kept secret


@calm_libraries()
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
    label_columns: str | None = None,
    label_separator: str | None = None,
    task: str | None = None,
    problem_type: str = SingleLabel.problem_type,
    drop_unlabelled: bool = True,
    joint: str = JOINT,
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
        task: has no effect here, as `drop_unlabelled`; the model says what its labels are.
        problem_type: of the model.
        drop_unlabelled: has no effect here.
        joint: between the texts of several columns.
        **reading: how files are read, as in `load_corpus`.

    Raises:
        HfclsError: as `load_corpus`; no such split, no row with a label, or a label that is not `known`.
    """
    label_column = label_columns or label_column
    wanted = wanted_columns(text_column, text_pair_column, label_column)
    name, options = described(dataset), ReadOptions(**reading)
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
    rows = with_joined_texts(rows, where, text_column, joint)
    if label_columns:
        rows = with_joined_columns(rows, where, label_columns)
    headless = options.no_header if has_header_line(files) else None
    rows = prepared_columns(rows, where, wanted, headless)
    for column in texts:
        if holds_numbers(rows, column):
            logger.warning("%s: every text in column %r is a number: is it the right --text_column?", where, column)
    if problem_type == Regression.problem_type:
        rows = labelled(as_numbers(rows, where, label_column), where, label_column, None)
        return split, selected(rows, split, texts, label_column)
    names: dict[Any, str | None]
    several = problem_type == MultiLabel.problem_type
    if several:
        rows = as_label_lists(rows, where, label_column, label_separator)
        names = {label: known_name(label, known) for label in names_in(rows, label_column)}
    else:
        rows = plain_labels(rows, label_column)
        names = {value: _known(found, known, name) for value, found in value_names(rows, where, label_column).items()}
    if unknown := sorted({found for found in names.values() if found is not None}.difference(known)):
        raise HfclsError(
            f"{where} has the label {shown_names(unknown)}, but the model only knows {shown_names(known)}; if the "
            "classes are the same, --label_names gives those of the model their names"
            + ("; if a text has several labels in one cell, --label_separator cuts it" if several else "")
        )
    rows = labelled(rows, where, label_column, None if several else names)
    ids = {str(value): known.index(found) for value, found in names.items() if found is not None}
    one = ClassLabel(names=list(known))
    return split, selected(
        rows, split, texts, label_column, ids=ids, known=known, feature=List(one) if several else one
    )


def _known(name: str | None, known: Sequence[str], dataset: str) -> str | None:
    """The model's name for a class; None: of no class."""
    if name is None or (name == NO_LABEL and name not in known):
        return None
    return known_name(shown_name(name, dataset), known)
