"""Which rows train, which choose the checkpoint, which are scored at the end; and what these rows are."""

import hashlib
import json
import logging
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from datasets import Dataset, DatasetDict
from numpy.typing import NDArray

from hfcls.errors import HfclsError

logger = logging.getLogger(__name__)

SPLITS = {  # a file's stem, or a Hub split's name -> our split
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}


def limit_rows(corpus: DatasetDict, limits: Mapping[str, int | None]) -> DatasetDict:
    """The first rows of each split, as many as `limits` says; None: all."""
    return DatasetDict(
        {split: rows.select(range(min(len(rows), limits.get(split) or len(rows)))) for split, rows in corpus.items()}
    )


def carve_validation(corpus: DatasetDict, size: float, seed: int) -> DatasetDict:
    """`corpus` with `size` (0 < size < 1) of its train rows moved to a validation split, seeded and stratified.

    Takes a corpus before or after `encode`: both are cut at the same rows.

    Raises:
        HfclsError: a class has too few rows to stand in both splits.
    """
    from sklearn.model_selection import train_test_split  # imported here: it takes two seconds

    train = corpus["train"]
    column = "label" if "label" in train.column_names else "labels"
    labels = train.select_columns(column).with_format("numpy")[:][column]
    _check_classes_divide(labels, size, getattr(train.features[column], "names", None))
    kept, carved = train_test_split(np.arange(len(labels)), test_size=size, random_state=seed, stratify=labels)
    return DatasetDict({**corpus, "train": train.select(sorted(kept)), "validation": train.select(sorted(carved))})


def _check_classes_divide(labels: NDArray[np.int64], size: float, names: list[str] | None) -> None:
    """Raises HfclsError unless both parts can hold each class that occurs."""
    classes, counts = np.unique(labels, return_counts=True)
    smaller = min(math.ceil(size * len(labels)), len(labels) - math.ceil(size * len(labels)))
    if alone := [names[i] if names else str(i) for i in classes[counts == 1]]:
        why = f"{', '.join(alone)} has one row only, and each class must stand in both parts"
    elif smaller < len(classes):
        why = f"a part of {smaller} rows cannot hold each of {len(classes)} classes; choose another --validation_size"
    else:
        return
    raise HfclsError(
        f"cannot keep {size:g} of {len(labels)} training rows for validation: {why}; bring a validation split, or set "
        "--validation_size 0 to train without one"
    )


def selecting_split(splits: Collection[str], *, select_on_test: bool, early_stopping: bool) -> str | None:
    """The split that chooses the checkpoint: validation, or test if asked for; None: nothing does.

    Raises:
        HfclsError: `select_on_test` without a test split, or early stopping without any.
    """
    if not select_on_test and "validation" in splits:
        return "validation"
    if not select_on_test and early_stopping:
        raise HfclsError(
            "early_stopping_patience needs a split to watch, and there is none: set --validation_size, or leave out "
            "--early_stopping_patience"
        )
    if not select_on_test:
        return None
    if "test" not in splits:
        raise HfclsError(f"select_on_test needs a test split; the data has {', '.join(splits)}")
    logger.warning("the checkpoint is chosen on the test split, as in the book: its score is not a held-out one")
    return "test"


def warn_of_missing_classes(train: Dataset) -> None:
    """One log line if a class that the data has stands in no training row."""
    names = train.features["label"].names
    present = set(train.unique("label"))
    if missing := [name for i, name in enumerate(names) if i not in present]:
        logger.warning(
            "train holds no row of %s, so the model cannot learn it (max_train_samples takes the first rows)",
            ", ".join(missing),
        )


def protocol(splits: Collection[str], selected_on: str | None, carved: str) -> str:
    """Which rows trained, chose and scored, in a sentence or two.

    Args:
        splits: that the run used.
        selected_on: the split that chose the checkpoint.
        carved: how the validation split was cut from train, such as "10% of train (stratified, seed 7)"; empty if it
            was not.
    """
    if selected_on is None:
        chosen = "Nothing was held out to choose a checkpoint: the last one was kept."
    elif selected_on == "test":
        chosen = "The checkpoint with the lowest loss on the test split was kept: its score is not a held-out one."
    else:
        origin = f", {carved}," if carved else ""
        chosen = f"The checkpoint with the lowest loss on the validation split{origin} was kept."
    if selected_on == "test" or (selected_on is None and "test" not in splits):
        return chosen
    if "test" in splits:
        return f"{chosen} The test split was scored once, after that."
    return f"{chosen} There is no test split: the scores are those of the validation split."


@dataclass(frozen=True)
class SplitFacts:
    """One split as it was used.

    Attributes:
        rows: texts.
        classes: rows of each class by its name.
        sha256: of `fingerprint`.
    """

    rows: int
    classes: dict[str, int]
    sha256: str


def split_facts(corpus: DatasetDict) -> dict[str, SplitFacts]:
    """Rows, classes and hash of each split of a corpus of `load_corpus`."""
    facts = {}
    for split, rows in corpus.items():
        names = rows.features["label"].names
        counts = np.bincount(rows.with_format("numpy")["label"][:], minlength=len(names))
        facts[split] = SplitFacts(len(rows), dict(zip(names, counts.tolist(), strict=True)), fingerprint(rows))
    return facts


def fingerprint(rows: Dataset) -> str:
    """SHA-256 of the rows in their order: a line of JSON, `["text", "label name"]` (a pair: two texts), for each."""
    names = rows.features["label"].names
    texts = [column for column in ("text", "text_pair") if column in rows.column_names]
    digest = hashlib.sha256()
    for batch in rows.iter(10_000):
        columns = [*(batch[column] for column in texts), [names[label] for label in batch["label"]]]
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in zip(*columns, strict=True))
        digest.update("".join(lines).encode())
    return digest.hexdigest()
