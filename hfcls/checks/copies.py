"""How many texts of a corpus repeat another, within a split and across splits."""

import logging

from datasets import DatasetDict

from hfcls.checks.findings import Duplicates
from hfcls.data.duplicates import near_duplicates, repeats, several_labels, stands_in, text_keys
from hfcls.errors import HfclsError

logger = logging.getLogger(__name__)

NEAR_EXAMPLES = 3


def count_copies(corpus: DatasetDict) -> tuple[dict[str, Duplicates], list[tuple[str, str]]]:
    """Copies by `exact` text, by `normalized` text and, if rensa is installed, `near` ones; and a few near pairs."""
    order = sorted(corpus, key=lambda split: split != "train")  # a copy in two splits is one of train in the other
    keys = {split: text_keys(corpus[split]) for split in order}
    labels = {split: list(corpus[split]["label"]) for split in order}
    exact = {split: text_keys(corpus[split], normalize=False) for split in order}
    duplicates = {"exact": _copies(exact, labels), "normalized": _copies(keys, labels)}
    try:
        near, examples = _near_copies(keys, labels)
    except HfclsError as error:
        logger.warning("near-duplicates are not counted: %s", error)
        return duplicates, []
    return {**duplicates, "near": near}, examples


def _copies(keys: dict[str, list[str]], labels: dict[str, list[int]]) -> Duplicates:
    held_out = [split for split in keys if split != "train"] if "train" in keys else []
    return Duplicates(
        repeated={split: int(repeats(keys[split]).sum()) for split in keys},
        several_labels={split: several_labels(keys[split], labels[split]) for split in keys},
        in_train={split: int(stands_in(keys[split], keys["train"]).sum()) for split in held_out},
    )


def _near_copies(keys: dict[str, list[str]], labels: dict[str, list[int]]) -> tuple[Duplicates, list[tuple[str, str]]]:
    home: dict[str, tuple[str, int]] = {}  # each distinct text's split and label, where it stands first
    for split in keys:
        for key, label in zip(keys[split], labels[split], strict=True):
            home.setdefault(key, (split, label))
    texts = list(home)
    found = near_duplicates(texts)
    held_out = [split for split in keys if split != "train"] if "train" in keys else []
    near = Duplicates(
        repeated=dict.fromkeys(keys, 0), several_labels=dict.fromkeys(keys, 0), in_train=dict.fromkeys(held_out, 0)
    )
    for later, first in found.items():
        (split, label), (first_split, first_label) = home[texts[later]], home[texts[first]]
        if split == first_split:
            near.repeated[split] += 1
            near.several_labels[split] += label != first_label
        elif first_split == "train":
            near.in_train[split] += 1
    return near, [(texts[first], texts[later]) for later, first in list(found.items())[:NEAR_EXAMPLES]]
