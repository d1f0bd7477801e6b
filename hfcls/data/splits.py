"""Which rows train, which choose the checkpoint, which are scored at the end; and what these rows are."""

import hashlib
import json
import logging
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from datasets import Dataset, DatasetDict
from numpy.typing import NDArray

from hfcls.data.duplicates import text_keys
from hfcls.data.tasks import SOFT_LABEL, label_counts, strata, task_of
from hfcls.errors import HfclsError
from hfcls.system.quoting import shown

logger = logging.getLogger(__name__)

SPLITS = {  # a file's stem, or a Hub split's name -> our split
    "train": "train",
    "training": "train",  # as AI Hub calls it, beside Validation
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}


REPEATED = "each text is repeated so often that it would fill more than half of its class"


def limit_rows(corpus: DatasetDict, limits: Mapping[str, int | None]) -> DatasetDict:
    """The first rows of each split, as many as `limits` says; None: all."""
    return DatasetDict(
        {split: rows.select(range(min(len(rows), limits.get(split) or len(rows)))) for split, rows in corpus.items()}
    )


def carve_validation(corpus: DatasetDict, size: float, seed: int) -> DatasetDict:
    """`corpus` of `load_corpus` with `size` (0 < size < 1) of its train rows moved to a validation split.

    Which ones is seeded, and stratified by class. Rows with the same text (normalised) stay together; where many texts
    are repeated, the number of rows is met as nearly as that allows. A class with one text stays in train.

    Raises:
        HfclsError: there are too few rows for each class to stand in both splits, or the corpus has no texts: it went
            through `encode`, which comes after this.
    """
    return _with_validation(corpus, *_carved_rows(corpus["train"], size, seed))


def carve(
    corpus: DatasetDict, encoded: DatasetDict, size: float, seed: int, most: int | None = None
) -> tuple[DatasetDict, DatasetDict]:
    """`carve_validation` of a corpus, and the same rows of what `encode` made of it; the first `most` of these only."""
    kept, carved = _carved_rows(corpus["train"], size, seed)
    return _with_validation(corpus, kept, carved[:most]), _with_validation(encoded, kept, carved[:most])


def carving(size: float, seed: int) -> str:
    """How a run tells that validation was cut from train."""
    return f"{size:.0%} of train (stratified, by text, seed {seed})"


def carved_share(told: str) -> tuple[str, str] | None:
    """Share of train and seed, out of sentences that hold what `carving` tells; None if they do not."""
    found = re.search(r"([\d.]+%) of train \(stratified, by text, seed (\d+)\)", told)
    return (found[1], found[2]) if found else None


def _with_validation(splits: DatasetDict, kept: NDArray[np.int64], carved: NDArray[np.int64]) -> DatasetDict:
    return DatasetDict({**splits, "train": splits["train"].select(kept), "validation": splits["train"].select(carved)})


def _carved_rows(train: Dataset, size: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the train rows that stay, and of those that become validation; see `carve_validation`.

    A text that would fill more than half of its class in either part stays in train.
    """
    if "text" not in train.column_names:
        raise HfclsError("validation is cut by text, and these rows have none: call carve_validation before encode")
    number: dict[str, int] = {}
    text_of = np.array([number.setdefault(key, len(number)) for key in text_keys(train)])
    _, firsts, counts = np.unique(text_of, return_index=True, return_counts=True)
    labels, names = strata(train)
    movable = counts <= np.maximum(2, min(size, 1 - size) * np.bincount(labels)[labels[firsts]] / 2)
    in_texts = np.bincount(labels[firsts][movable], minlength=len(names))
    alone = np.flatnonzero((np.bincount(labels, minlength=len(names)) == 1) | (in_texts == 1))
    common = ~np.isin(labels, alone)
    _check_classes_divide(labels, common, size, divisible=bool(in_texts.sum()))
    texts = {"text_of": text_of, "firsts": firsts, "counts": counts, "movable": movable}
    carved = _carved_texts(**texts, labels=labels, common=common, size=size, seed=seed)[text_of]
    if not carved.any():
        raise _cannot_carve(size, len(train), REPEATED)
    if len(alone):
        classes = shown([names[label] for label in alone])
        logger.warning("%s: one text only, which stays in train; validation has none of it", classes)
    if missing := set(np.unique(labels[common])) - set(labels[carved]):
        classes = ", ".join(names[label] for label in sorted(missing))
        logger.warning("validation holds no row of %s: too many of its rows have the same text", classes)
    return np.flatnonzero(~carved), np.flatnonzero(carved)


def _carved_texts(
    *,
    text_of: NDArray[np.int64],
    firsts: NDArray[np.int64],
    counts: NDArray[np.int64],
    movable: NDArray[np.bool_],
    labels: NDArray[np.int64],
    common: NDArray[np.bool_],
    size: float,
    seed: int,
) -> NDArray[np.bool_]:
    """Bool [T]: whether a text becomes validation.

    Args:
        text_of: the text of each row, from 0 to T - 1.
        firsts: [T], the row where a text stands first.
        counts: [T], the rows that a text has.
        movable: [T], whether a text may become validation.
        labels: of the rows.
        common: of the rows, whether their class stands in both parts.
    """
    from sklearn.model_selection import train_test_split  # imported here: it takes two seconds

    rows = np.flatnonzero(common)
    kept, held = train_test_split(rows, test_size=size, random_state=seed, stratify=labels[rows])
    carved = np.isin(firsts, held) & movable  # the other rows of a text go where its first one goes
    for label in np.unique(labels[rows]):  # and other texts make up for these, so that each class keeps its share
        of_class = movable & (labels[firsts] == label)
        missing = int((labels[held] == label).sum() - counts[carved & of_class].sum())
        wanted, left = missing > 0, abs(missing)  # texts that move to validation, or back
        elsewhere = of_class & (carved != wanted)
        for text in dict.fromkeys(text_of[kept if wanted else held].tolist()):
            if elsewhere[text] and counts[text] <= left:
                carved[text] = wanted
                left -= counts[text]
    return carved


def _check_classes_divide(
    labels: NDArray[np.int64], common: NDArray[np.bool_], size: float, *, divisible: bool
) -> None:
    """Raises HfclsError unless validation and what is left of train can both hold each class.

    Args:
        labels: of the rows.
        common: of the rows, whether their class has several texts.
        divisible: whether there are texts that may go to validation.
    """
    classes, rows = len(np.unique(labels[common])), int(common.sum())
    smaller = min(held := math.ceil(size * rows), rows - held)
    if divisible and not classes:
        why = "each class has one text only"
    elif divisible and smaller < classes:
        why = f"a part of {smaller} rows cannot hold each of {classes} classes; choose another --validation_size"
    elif not divisible:
        why = REPEATED
    else:
        return
    raise _cannot_carve(size, len(labels), why)


def _cannot_carve(size: float, row_count: int, why: str) -> HfclsError:
    return HfclsError(
        f"cannot keep {size:g} of {row_count} training rows for validation: {why}; bring a validation split, or set "
        "--validation_size 0 to train without one"
    )


def selecting_split(splits: Collection[str], *, select_on_test: bool, patience: int | None = None) -> str | None:
    """The split that chooses the checkpoint: validation, or test if asked for; None: nothing does.

    Args:
        patience: of early stopping; None: it is not wanted.

    Raises:
        HfclsError: `select_on_test` without a test split, or early stopping without any.
    """
    if not select_on_test and "validation" in splits:
        return "validation"
    if not select_on_test and patience is not None:
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


@dataclass(frozen=True)
class SplitFacts:
    """One split as it was used.

    Attributes:
        rows: texts.
        classes: rows of each class, or with each label, by its name; none of a regression.
        sha256: of `fingerprint`.
    """

    rows: int
    classes: dict[str, int]
    sha256: str


def split_facts(corpus: DatasetDict) -> dict[str, SplitFacts]:
    """Rows, classes and hash of each split of a corpus of `load_corpus`."""
    facts = {}
    for split, rows in corpus.items():
        facts[split] = SplitFacts(len(rows), label_counts(rows), fingerprint(rows))
    return facts


def hashes(facts: Mapping[str, SplitFacts]) -> dict[str, str]:
    """The SHA-256 of each split, and of the classes in their order, by which a head knows them."""
    names = hashlib.sha256(json.dumps([*facts["train"].classes]).encode()).hexdigest()
    return {**{split: one.sha256 for split, one in facts.items()}, "classes": names}


def fingerprint(rows: Dataset) -> str:
    """SHA-256 of the rows in their order: a line of JSON, `["text", "label name"]` (a pair: two texts), for each.

    Of several labels, `["text", ["label name"]]`; of a regression the number; of soft labels also these.
    """
    task = task_of(rows)
    texts = [column for column in ("text", "text_pair", SOFT_LABEL) if column in rows.column_names]
    digest = hashlib.sha256()
    for batch in rows.iter(10_000):
        columns = [*(batch[column] for column in texts), task.named(batch["label"])]
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in zip(*columns, strict=True))
        digest.update("".join(lines).encode())
    return digest.hexdigest()


def texts_sha256(texts: Dataset) -> str:
    """Of the texts in their order, each a line of JSON, and of their labels, if they have some."""
    digest = hashlib.sha256()
    for batch in texts.iter(10_000):
        for column in batch.values():
            digest.update("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in column).encode())
    return digest.hexdigest()
