"""Packed batches: several texts in each row of an unchanged encoder, one logit row for each text.

A row holds texts one behind another. Each has its own position ids, attention sees only its own text (a
block-diagonal mask), and the classification head is given the hidden state of each text's own first token (or the
mean of its tokens, where the model pools so). The logits are those of the same texts padded; what is saved is the
plain model.
"""

from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from hfcls.batching.bins import LANES

# Architectures whose packed logits and gradients are tested against padded ones.
PROVEN = ("albert", "bert", "distilbert", "electra", "modernbert", "roberta", "xlm-roberta")
ATTENTION = ("sdpa", "eager")
# Those whose last layer can be told which tokens the head reads: its attention is handed `cls_index` and ends the
# residual block, so that its output may be cut. All of them read a text's first token.
FIRST_TOKEN_ONLY = ("bert", "electra", "roberta", "xlm-roberta")


def packing_support(model: PreTrainedModel | PreTrainedConfig) -> str | None:
    """None if this model computes the same logits from packed batches, else the reason why that is not known."""
    if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
        return "the adapter puts tokens of its own before each row"
    config: Any = getattr(model, "config", model)
    if config.model_type not in PROVEN:
        return f"packing is not proven for {config.model_type} models (only for {', '.join(PROVEN)})"
    if getattr(config, "is_decoder", False):
        return "a decoder's attention is causal, packed attention looks both ways"
    if (config._attn_implementation or "sdpa") not in ATTENTION:
        return f"packing needs sdpa or eager attention, not {config._attn_implementation}"
    return None


def enable_packing(model: PreTrainedModel) -> None:
    """Let `model`, an AutoModelForSequenceClassification, take the packed batches of `PackedCollator` too.

    It may stand in an adapter of peft, whose `get_base_model` gives it.
    Hooks do it, so weights, config and saved files stay those of the plain model, and a padded batch passes untouched.
    May be called again.

    Raises:
        ValueError: `packing_support` knows a reason against it.
    """
    if reason := packing_support(model):
        raise ValueError(f"cannot pack batches: {reason}; use batching longest")
    encoder: Any = _unwrapped(model).base_model
    if _mask_texts not in encoder._forward_pre_hooks.values():
        encoder.register_forward_pre_hook(_mask_texts, with_kwargs=True)
        encoder.register_forward_hook(_pool_texts, with_kwargs=True)
        chunked = getattr(encoder.config, "chunk_size_feed_forward", 0)  # it would need a multiple of that many tokens
        if encoder.config.model_type in FIRST_TOKEN_ONLY and not chunked:
            encoder.encoder.layer[-1].attention.register_forward_hook(_keep_first_tokens, with_kwargs=True)


def _unwrapped(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _mask_texts(encoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """`segment_ids` [R, T] becomes an attention mask [R, 1, T, T] that is true within a text.

    Filler is a segment of its own (0), so no row of the mask is all false, which would make softmax NaN. `segment_ids`
    and `cls_index` stay among the arguments: the encoder hands them down unused, and the forward hooks find them
    there. No state is kept between the hooks, so threads may share the model.
    """
    segment_ids = kwargs.get("segment_ids")
    if segment_ids is None:
        return args, kwargs
    if encoder.config._attn_implementation not in ATTENTION:  # it may have been set after enable_packing
        raise ValueError(
            f"a packed batch needs {' or '.join(ATTENTION)} attention, found {encoder.config._attn_implementation}: "
            "call model.set_attn_implementation('sdpa') or use batching longest"
        )
    same_text = segment_ids[:, None, :, None] == segment_ids[:, None, None, :]
    masks = {"full_attention": same_text}
    if encoder.config.model_type == "modernbert":
        position = torch.arange(segment_ids.shape[1], device=segment_ids.device)
        near = (position[:, None] - position[None, :]).abs() <= encoder.config.sliding_window
        masks["sliding_attention"] = same_text & near
    if encoder.config._attn_implementation == "eager":  # adds the mask to the scores, so a boolean one would be wrong
        masks = {
            name: torch.zeros_like(mask, dtype=encoder.dtype).masked_fill(~mask, torch.finfo(encoder.dtype).min)
            for name, mask in masks.items()
        }
    attention_mask = masks if len(masks) > 1 else masks["full_attention"]
    return args, {**kwargs, "attention_mask": attention_mask}


def _tokens_read(kwargs: dict[str, Any]) -> torch.Tensor | None:
    """Which of the R x T tokens the head reads: each text's first, or the masked ones; None: all, in a padded batch."""
    cls_index = kwargs.get("cls_index")
    return kwargs.get("masked_index") if cls_index is None else cls_index


def _keeps_first_tokens(encoder: Any) -> bool:
    """Whether the last layer hands on first tokens alone. Layers may have been dropped since `enable_packing`."""
    if encoder.config.model_type not in FIRST_TOKEN_ONLY:
        return False
    return _keep_first_tokens in encoder.encoder.layer[-1].attention._forward_hooks.values()


def _keep_first_tokens(attention: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    """[R, T, H] of the last layer's attention becomes [N', 1, H]: the first token of each text.

    The head reads no other, so the last feed-forward network runs on N texts in place of R x T tokens: of 12 layers
    of 12 H^2 weights, 8 H^2 are all but saved, 5 % of a step. N' is N rounded up to `LANES`, for exact bits.
    """
    read = _tokens_read(kwargs)
    if read is None:
        return output
    hidden, *others = output
    kept = torch.nn.functional.pad(read, (0, -len(read) % LANES))
    return hidden.flatten(0, 1)[kept].unsqueeze(1), *others


def _pool_texts(encoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    """One hidden state of each text [N, 1, H] in place of [R, T, H]: heads read position 0, or the mean of this one.

    It is the text's first token's, or the mean over the text's tokens for ModernBERT's `classifier_pooling` "mean".
    """
    read = _tokens_read(kwargs)
    if read is None:
        return output
    hidden = output.last_hidden_state.flatten(0, 1)
    if _keeps_first_tokens(encoder):
        pooled = hidden[: len(read)].unsqueeze(1)
    elif "cls_index" in kwargs and getattr(encoder.config, "classifier_pooling", "cls") == "mean":
        segment_ids = kwargs["segment_ids"].flatten()
        sums = hidden.new_zeros(len(read) + 1, hidden.shape[1]).index_add(0, segment_ids, hidden)
        counts = hidden.new_zeros(len(read) + 1).index_add(0, segment_ids, hidden.new_ones(len(hidden)))
        pooled = (sums / counts.clamp(min=1).unsqueeze(1))[1:].unsqueeze(1)  # 0 is filler; a filler text has no token
    else:
        pooled = hidden[read].unsqueeze(1)
    output.last_hidden_state = pooled
    if getattr(output, "pooler_output", None) is not None:
        if encoder.config.model_type == "albert":
            output.pooler_output = encoder.pooler_activation(encoder.pooler(pooled[:, 0]))
        else:
            output.pooler_output = encoder.pooler(pooled)
    return output
