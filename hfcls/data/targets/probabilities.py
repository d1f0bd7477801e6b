"""Soft labels: the probability of each class, as another model gave it, in columns `probability_CLASS`."""

import logging
import math
from collections.abc import Sequence
from typing import Any

from datasets import ClassLabel, Dataset, Features, List, Value

from hfcls.data.labels import known_name
from hfcls.data.targets.numbers import number_of
from hfcls.data.tasks import SOFT_LABEL
from hfcls.errors import HfclsError
from hfcls.system.quoting import quoted, shown

logger = logging.getLogger(__name__)

PREFIX = "probability_"  # of the columns that `hfcls predict --all_scores` writes
ROUNDING = 0.02  # by which the probabilities of a text may miss 1: people and models write few digits


def probability_classes(rows: Dataset, where: str) -> list[str]:
    """The classes that have a column of probabilities, in the order of these.

    Raises:
        HfclsError: there are fewer than two.
    """
    classes = [name.removeprefix(PREFIX) for name in rows.column_names if name.startswith(PREFIX)]
    if len(classes) < 2:
        raise HfclsError(
            f"{where} has no columns {PREFIX}CLASS with the probabilities of at least two classes; it has "
            f"{quoted(rows.column_names)}: give the --teacher that is to label the texts"
        )
    return classes


def with_soft_labels(rows: Dataset, where: str, texts: Sequence[str], classes: Sequence[str]) -> Dataset:
    """Columns as `load_corpus` gives them, the likeliest class as `label`; and the probabilities as `soft_label`.

    Rows without text or probabilities are left out; the log says how many.

    Args:
        texts: the column of the text, or of both texts of a pair.
        classes: of the columns of probabilities, in the order of their ids.

    Raises:
        HfclsError: what stands there is no probability, or those of a text do not add up to 1; names the row.
    """
    taught = rows.map(
        _soft_batch,
        batched=True,
        with_indices=True,
        remove_columns=rows.column_names,
        features=_features(texts, classes),
        # `version` enters datasets' fingerprint, which hashes this function by name only: raise it with each change.
        fn_kwargs={"texts": list(texts), "classes": list(classes), "where": where, "version": 2},
        desc="soft labels",
    )
    if missing := len(rows) - len(taught):
        logger.warning("%s: %d of %d rows have no text or no probabilities and are left out", where, missing, len(rows))
    return taught


def with_certain_labels(rows: Dataset, where: str, classes: Sequence[str]) -> Dataset:
    """Rows of `load_corpus` with the ids of these classes, and a `soft_label` in which the class is certain.

    Raises:
        HfclsError: a class that is none of these.
    """
    spelled = [known_name(name, classes) for name in rows.features["label"].names]
    if unknown := [name for name in spelled if name not in classes]:
        raise HfclsError(f"{where} has the class {quoted(unknown)}, and the probabilities are of {shown(classes)} only")
    texts = [name for name in ("text", "text_pair") if name in rows.column_names]
    ids = [classes.index(name) for name in spelled]
    arguments = {"ids": ids, "count": len(classes), "version": 1}
    return rows.map(
        _certain_batch, batched=True, features=_features(texts, classes), fn_kwargs=arguments, desc="soft labels"
    )


def _features(texts: Sequence[str], classes: Sequence[str]) -> Features:
    features: dict[str, Any] = {name: Value("string") for _, name in zip(texts, ("text", "text_pair"), strict=False)}
    return Features({**features, "label": ClassLabel(names=list(classes)), SOFT_LABEL: List(Value("float32"))})


def _soft_batch(
    batch: dict[str, list[Any]], indices: list[int], *, texts: list[str], classes: list[str], where: str, version: int
) -> dict[str, list[Any]]:
    columns = [batch[PREFIX + name] for name in classes]
    rows: list[tuple[Any, ...]] = []
    for i, index in enumerate(indices):
        words, values = [batch[name][i] for name in texts], [number_of(column[i]) for column in columns]
        if None in words or all(value is None for value in values):
            continue
        rows.append((*words, *_soft_label(values, f"{where}, row {index + 1}")))
    names = [name for _, name in zip(texts, ("text", "text_pair"), strict=False)]
    return {name: [row[i] for row in rows] for i, name in enumerate([*names, "label", SOFT_LABEL])}


def _soft_label(values: Sequence[float | None], where: str) -> tuple[int, list[float]]:
    """The likeliest class, and the probabilities with a sum of 1."""
    probabilities = [math.nan if value is None else value for value in values]
    total = sum(probabilities)
    if not all(0 <= value <= 1 for value in probabilities) or abs(total - 1) > ROUNDING:
        found = ", ".join("nothing" if value is None else f"{value:g}" for value in values[:5])
        raise HfclsError(f"{where}: the columns {PREFIX}* must hold probabilities that add up to 1, found {found}")
    return probabilities.index(max(probabilities)), [value / total for value in probabilities]


def _certain_batch(
    batch: dict[str, list[Any]], *, ids: Sequence[int], count: int, version: int
) -> dict[str, list[Any]]:
    labels = [ids[label] for label in batch["label"]]
    return {**batch, "label": labels, SOFT_LABEL: [[float(i == label) for i in range(count)] for label in labels]}
