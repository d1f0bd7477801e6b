"""Texts to token ids: one batched map, cached by datasets, with no padding stored."""

import logging
from typing import Any, TypeVar

import numpy as np
from datasets import Dataset, DatasetDict, List
from transformers import PreTrainedTokenizerBase

from hfcls.data.tasks import SOFT_LABEL
from hfcls.errors import HfclsError
from hfcls.scoring.tasks import Regression, Task, multi_hot

logger = logging.getLogger(__name__)

MANY_UNKNOWN, MOST_UNKNOWN = 0.1, 0.4  # shares of the tokens: warned of, and refused
D = TypeVar("D", Dataset, DatasetDict)


def tokenize(
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    text_pairs: list[str] | None = None,
    *,
    max_length: int,
) -> dict[str, list[list[int]]]:
    """`input_ids`, and `token_type_ids` for pairs; special tokens included, cut at `max_length`, not padded.

    Training, evaluation and `Classifier` all come through here. A text of which no token is left, as an empty one is
    to a tokenizer without special tokens, becomes one padding token: a model must be given something.

    Raises:
        HfclsError: the texts have no room within `max_length`.
    """
    pairs = text_pairs is not None
    if (special := tokenizer.num_special_tokens_to_add(pair=pairs)) + 1 + pairs > max_length:
        what = "two texts" if pairs else "a text"
        raise HfclsError(
            f"max_length {max_length} leaves no room for {what} beside {special} special tokens: raise --max_length"
        )
    encoded = tokenizer(
        texts,
        text_pairs,
        truncation=True,
        max_length=max_length,
        return_attention_mask=False,
        return_token_type_ids=text_pairs is not None and "token_type_ids" in tokenizer.model_input_names,
    )
    for i in (i for i, ids in enumerate(encoded["input_ids"]) if not ids):
        encoded["input_ids"][i] = [tokenizer.pad_token_id or 0]
        if "token_type_ids" in encoded:
            encoded["token_type_ids"][i] = [0]
    return dict(encoded)


def encode(corpus: D, tokenizer: PreTrainedTokenizerBase, max_length: int, task: Task | None = None) -> D:
    """A corpus of `load_corpus` with `input_ids` (int lists, unpadded), `token_type_ids` for pairs, and `labels`.

    Labels are class ids, 0 and 1 for each of several labels, targets, or the `soft_label` of a row that has one.

    Args:
        task: of a regression: its mean and scale standardise the targets.
    """
    if isinstance(corpus, DatasetDict):
        return DatasetDict({split: encode(rows, tokenizer, max_length, task) for split, rows in corpus.items()})
    columns, label = corpus.column_names, corpus.features.get("label")
    labels: dict[str, Any] = {}
    if isinstance(label, List):
        labels["num_labels"] = len(label.feature.names)
    if isinstance(task, Regression):
        labels["scaling"] = (task.mean, task.scale)
    return corpus.map(
        _encode_batch,
        batched=True,
        remove_columns=columns,
        # `version` enters datasets' fingerprint, which hashes this function by name only: raise it with each change.
        fn_kwargs={"tokenizer": tokenizer, "max_length": max_length, "version": 3, **labels},
        desc="tokenize",
    )


def _encode_batch(
    batch: dict[str, list[Any]],
    *,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    version: int,
    num_labels: int = 0,
    scaling: tuple[float, float] | None = None,
) -> dict[str, list[Any]]:
    encoded: dict[str, list[Any]] = tokenize(tokenizer, batch["text"], batch.get("text_pair"), max_length=max_length)
    if "label" in batch:
        encoded["labels"] = batch["label"]
    if SOFT_LABEL in batch:
        encoded["labels"] = batch[SOFT_LABEL]
    elif num_labels:
        encoded["labels"] = multi_hot(batch["label"], num_labels).tolist()
    elif scaling is not None:
        encoded["labels"] = [(target - scaling[0]) / scaling[1] for target in batch["label"]]
    return encoded


def check_tokens(
    texts: Dataset, encoded: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, *, allow_unknown: bool
) -> None:
    """Log how many of the training texts are cut at `max_length`, and warn of many tokens that are unknown.

    Args:
        texts: training rows of `load_corpus`.
        encoded: the same rows, as `encode` made them.
        allow_unknown: however many they are.

    Raises:
        HfclsError: more than 40 % of the tokens are unknown.
    """
    tokens = unknown = 0
    full: list[int] = []
    for start in range(0, len(encoded), 10_000):
        rows = encoded.select_columns("input_ids").with_format("arrow")[start : start + 10_000]["input_ids"]
        ids, lengths = rows.combine_chunks().flatten().to_numpy(), rows.combine_chunks().value_lengths().to_numpy()
        special = [index for index in tokenizer.all_special_ids if index != tokenizer.unk_token_id]
        tokens += int((~np.isin(ids, special)).sum())
        unknown += int((ids == tokenizer.unk_token_id).sum()) if tokenizer.unk_token_id is not None else 0
        full += (start + np.flatnonzero(lengths >= max_length)).tolist()
    if cut := _longer(texts.select(full), tokenizer, max_length) / max(len(texts), 1):
        logger.info("train: %.1f %% of the texts are longer than max_length %d and cut", 100 * cut, max_length)
    share = unknown / max(tokens, 1)
    found = f"train: the tokenizer does not know {share:.0%} of the tokens"
    if share > MOST_UNKNOWN and not allow_unknown:
        raise HfclsError(f"{found}: choose a --model for this language, or set --allow_unknown")
    if share > MANY_UNKNOWN:
        logger.warning("%s: is the --model one for this language, and are the texts decoded rightly?", found)


def _longer(texts: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> int:
    """How many of these texts, or pairs, have more than `max_length` tokens."""
    count = 0
    for batch in texts.iter(1_000):
        ids = tokenizer(batch["text"], batch.get("text_pair"), truncation=False, verbose=False)["input_ids"]
        count += sum(len(row) > max_length for row in ids)
    return count
