"""Encoders with a masked-LM head and their tokenizers: loaded, or begun from scratch."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    AutoModelForMaskedLM,
    BertConfig,
    BertForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hfcls.errors import HfclsError
from hfcls.models.classes import class_names_of
from hfcls.models.loading import load_weights
from hfcls.models.scratch import SCRATCH
from hfcls.models.sources import load_config
from hfcls.models.tokenizers import check_vocabulary, composing, load_tokenizer, train_tokenizer

logger = logging.getLogger(__name__)

LEAST_POSITIONS = 128  # of a model from scratch: what `hfcls train` asks for by default


def masked_lm_and_tokenizer(
    name: str,
    *,
    max_length: int,
    texts: Iterable[str],
    shape: tuple[int, int],
    vocab_size: int,
    earlier: Path | None = None,
    trust_remote_code: bool = False,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model to pretrain, in float32, and its tokenizer, which keeps `max_length`.

    Args:
        name: Hub id or folder of an encoder, or `scratch`.
        texts: a tokenizer from scratch is learned from these.
        shape: layers and hidden size of a model from scratch.
        vocab_size: of a tokenizer from scratch.
        earlier: a checkpoint of the run that is resumed: a tokenizer from scratch is that one, not learned again.

    Raises:
        HfclsError: no model there, one that has no masked-LM head, or a tokenizer that does not fit it.
    """
    if name == SCRATCH:
        if earlier:
            tokenizer = load_tokenizer(str(earlier))
        else:
            tokenizer = train_tokenizer(texts, vocab_size, mask_token="[MASK]", alphabet=vocab_size // 4)
        model: PreTrainedModel = scratch_masked_lm(tokenizer, *shape, positions=max(max_length, LEAST_POSITIONS))
    else:
        tokenizer = composing(load_tokenizer(name, trust_remote_code=trust_remote_code))
        if class_names_of(load_config(name, trust_remote_code=trust_remote_code)):
            raise HfclsError(
                f"{name} is a fine-tuned classifier, with no masked-LM head: adapt the encoder it was made of"
            )
        reports: list[dict[str, Any]] = []
        given: dict[str, Any] = {"max_length": max_length, "trust_remote_code": trust_remote_code, "reports": reports}
        model = load_weights(AutoModelForMaskedLM, name, **given)
        if missing := reports[0]["missing_keys"]:
            logger.warning(
                "%s has no masked-LM head (%s is missing): it starts from random weights, and learns first what other "
                "encoders bring along", name, sorted(missing)[0],
            )  # fmt: skip
        check_vocabulary(name, tokenizer, model.config)
    if tokenizer.mask_token_id is None:
        raise HfclsError(f"the tokenizer of {name} has no mask token, so the model was not made for masked texts")
    if not tokenizer.is_fast:
        raise HfclsError(
            f"the tokenizer of {name} is one in Python, which does not tell words: it needs a tokenizer.json"
        )
    tokenizer.model_max_length = max_length
    return model, tokenizer


def scratch_masked_lm(
    tokenizer: PreTrainedTokenizerBase, layers: int, hidden_size: int, *, positions: int
) -> BertForMaskedLM:
    """A BERT with random weights (seed before the call): heads of width 64, feed-forward networks of 4 x hidden."""
    return BertForMaskedLM(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden_size,
            num_hidden_layers=layers,
            num_attention_heads=max(1, hidden_size // 64),
            intermediate_size=4 * hidden_size,
            max_position_embeddings=positions,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def set_dropout(model: PreTrainedModel, share: float) -> None:
    """Another dropout in the model as it is now; its config, and so the saved model, keeps its own."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = share
        if isinstance(getattr(module, "attention_dropout", None), float):  # ModernBERT
            module.attention_dropout = share  # type: ignore[assignment]


def ordinary_ids(tokenizer: PreTrainedTokenizerBase) -> NDArray[np.int64]:
    """The ids of all tokens that are not special."""
    return np.setdiff1d(np.arange(len(tokenizer)), tokenizer.all_special_ids)
