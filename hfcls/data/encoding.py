"""Texts to token ids: one batched map, cached by datasets, with no padding stored."""

from typing import Any, TypeVar

from datasets import Dataset, DatasetDict
from transformers import PreTrainedTokenizerBase

from hfcls.errors import HfclsError

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


def encode(corpus: D, tokenizer: PreTrainedTokenizerBase, max_length: int) -> D:
    """A corpus of `load_corpus` with `input_ids` (int lists, unpadded), `token_type_ids` for pairs, and `labels`."""
    columns = corpus.column_names if isinstance(corpus, Dataset) else next(iter(corpus.values())).column_names
    return corpus.map(
        _encode_batch,
        batched=True,
        remove_columns=columns,
        # `version` enters datasets' fingerprint, which hashes this function by name only: raise it with each change.
        fn_kwargs={"tokenizer": tokenizer, "max_length": max_length, "version": 2},
        desc="tokenize",
    )


def _encode_batch(
    batch: dict[str, list[Any]], *, tokenizer: PreTrainedTokenizerBase, max_length: int, version: int
) -> dict[str, list[Any]]:
    encoded: dict[str, list[Any]] = tokenize(tokenizer, batch["text"], batch.get("text_pair"), max_length=max_length)
    if "label" in batch:
        encoded["labels"] = batch["label"]
    return encoded
