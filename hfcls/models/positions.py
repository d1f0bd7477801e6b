"""How an encoder counts the positions of its tokens, and how many it has."""

from typing import Any

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from hfcls.errors import HfclsError

# These count from padding_idx + 1, and only tokens that are not padding, in create_position_ids_from_input_ids.
AFTER_PADDING = (
    "camembert",
    "data2vec-text",
    "esm",
    "ibert",
    "lilt",
    "longformer",
    "luke",
    "markuplm",
    "mpnet",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
)
UNKNOWN_LENGTH = 512  # tokens of a text where neither model nor tokenizer knows a limit
NO_LIMIT = 10**6  # a tokenizer that knows none says 10**30


def position_offset(config: PreTrainedConfig) -> int:
    """The position id of a text's first token: 0, but `padding_idx` + 1 for RoBERTa-type models."""
    return config.pad_token_id + 1 if config.model_type in AFTER_PADDING else 0


def position_count(config: Any) -> int | None:
    """How many tokens of a text have a position; None where the model has no such limit."""
    config = config.get_text_config()
    positions = getattr(config, "max_position_embeddings", None)
    return None if positions is None or positions <= 0 else positions - position_offset(config)


def usable_length(config: Any, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens of the longest text that a saved model reads: as it was fine-tuned, at most what it has positions for."""
    limits = [tokenizer.model_max_length, position_count(config)]
    return min((limit for limit in limits if limit is not None and limit < NO_LIMIT), default=UNKNOWN_LENGTH)


def full_attention(config: Any) -> dict[str, str]:
    """What overrules a config that asks for sparse attention, as BigBird's.

    It gives way to the full one for good at the first batch of texts that are too short for blocks, so that the scores
    of a model saved as sparse hung on which texts it had been given before.
    """
    return {"attention_type": "original_full"} if getattr(config, "attention_type", None) == "block_sparse" else {}


def check_positions(config: Any, max_length: int) -> None:
    """Raises HfclsError if the encoder has fewer positions than `max_length` tokens need."""
    positions = position_count(config)
    if positions is not None and max_length > positions:
        raise HfclsError(f"max_length {max_length} is more than the model's {positions} positions; lower --max_length")
