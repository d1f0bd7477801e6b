"""What the labels of a loaded corpus are: their names, how often each stands there, and what they ask of a model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, List
from numpy.typing import NDArray

from hfcls.scoring.tasks import MultiLabel, Regression, SingleLabel, Task, multi_hot

SOFT_LABEL = "soft_label"  # column of the probabilities that another model gave to each class
_TOLD = "hfcls: "  # at the start of a description that is ours
FEW_ROWS = 10  # of a label: fewer cannot be stratified
BINS = 10  # of targets, which are stratified by size


def task_of(rows: Dataset, name: str = "label") -> Task:
    """What the labels of a corpus of `load_corpus` ask of a model.

    Args:
        rows: of the train split: their targets' mean and standard deviation are what a regression learns in.
        name: of the target of a regression.
    """
    feature = rows.features["label"]
    if isinstance(feature, ClassLabel):
        return SingleLabel(list(feature.names))
    if isinstance(feature, List):
        return MultiLabel(list(feature.feature.names))
    values = true_labels(rows)
    return Regression([name], float(values.mean()), float(values.std()) or 1.0)


def label_names(rows: Dataset) -> list[str]:
    """The names of the classes, or of the labels, in the order of their ids; none of a regression."""
    feature = rows.features["label"]
    return list(getattr(feature.feature if isinstance(feature, List) else feature, "names", []))


def label_counts(rows: Dataset) -> dict[str, int]:
    """Rows of each class, or with each label, by its name; {} of a regression."""
    names = label_names(rows)
    labels = rows.with_format("arrow")["label"][:].combine_chunks() if names else None
    if labels is None:
        return {}
    ids = labels.flatten() if isinstance(rows.features["label"], List) else labels
    return dict(zip(names, np.bincount(ids.to_numpy(), minlength=len(names)).tolist(), strict=True))


def true_labels(rows: Dataset) -> NDArray[Any]:
    """Class ids [N], 0 and 1 [N, C] of several labels, or the targets [N], as `Task.analyse` takes them."""
    if isinstance(rows.features["label"], List):
        return multi_hot(rows["label"][:], len(label_names(rows)))
    labels: NDArray[Any] = rows.with_format("arrow")["label"][:].to_numpy()  # datasets' numpy format is in float32
    return labels


def is_taught(splits: Mapping[str, Dataset] | None) -> bool:
    """Whether a corpus is complete as it stands: its training rows have soft labels."""
    train = (splits or {}).get("train")
    return train is not None and isinstance(train.features.get(SOFT_LABEL), List)


TAUGHT = "its labels are those of"  # and then of whom: of rows that a teacher has labelled


def tell_origin(rows: Dataset, sentence: str) -> Dataset:
    """The rows, which know where their labels come from: `origin_of_labels` gives it back, also of a part of them."""
    rows = rows.with_format(None)
    rows.info.description = _TOLD + sentence
    return rows


def origin_of_labels(rows: Dataset) -> str:
    """What `tell_origin` said of the rows; empty if it said nothing."""
    told = rows.info.description
    return told.removeprefix(_TOLD) if told.startswith(_TOLD) else ""


def strata(rows: Dataset) -> tuple[NDArray[np.int64], list[str]]:
    """By what validation is stratified: the group of each row, and the names of the groups.

    That is its class; of several labels the rarest that has `FEW_ROWS`; of targets the tenth they fall in.
    """
    if isinstance(rows.features["label"], ClassLabel):
        return rows.with_format("numpy")["label"][:], label_names(rows)
    if isinstance(rows.features["label"], List):
        hot = true_labels(rows)
        counts = hot.sum(axis=0)
        cost = np.where((hot > 0) & (counts >= FEW_ROWS), counts, np.inf)
        found = np.where(np.isfinite(cost).any(axis=1), cost.argmin(axis=1), -1)
    else:
        targets = true_labels(rows)
        edges = np.quantile(targets, np.arange(1, BINS) / BINS) if len(targets) >= FEW_ROWS * BINS else []
        found = np.searchsorted(edges, targets)
    groups, group_of, sizes = np.unique(found, return_inverse=True, return_counts=True)
    if sizes.min() < FEW_ROWS:  # those of a small group go to the largest one
        group_of = np.where(sizes[group_of] < FEW_ROWS, sizes.argmax(), group_of)
        groups, group_of = np.unique(group_of, return_inverse=True)
    return group_of.astype(np.int64), [f"group {i + 1}" for i in range(len(groups))]
