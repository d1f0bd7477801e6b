"""How an encoder counts the positions of its tokens."""

from typing import Any

from transformers import PreTrainedConfig

from hfcls.errors import HfclsError

AFTER_PADDING = ("camembert", "roberta", "xlm-roberta")  # count from padding_idx + 1


def position_offset(config: PreTrainedConfig) -> int:
    """The position id of a text's first token: 0, but `padding_idx` + 1 for RoBERTa-type models."""
    return config.pad_token_id + 1 if config.model_type in AFTER_PADDING else 0


def check_positions(config: Any, max_length: int) -> None:
    """Raises HfclsError if the encoder has fewer positions than `max_length` tokens need."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None:
        return
    positions -= position_offset(config)
    if max_length > positions:
        raise HfclsError(f"max_length {max_length} is more than the model's {positions} positions; lower --max_length")
