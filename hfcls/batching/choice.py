"""Which batches a model takes, and the one place where its collator is put together."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments

from hfcls.batching.collate import Collator, make_collator
from hfcls.batching.packing import enable_packing, packing_support
from hfcls.batching.padding import check_padding
from hfcls.batching.static_shapes import static_row_counts
from hfcls.errors import HfclsError
from hfcls.models.positions import position_offset

logger = logging.getLogger(__name__)

LAYOUTS = ("packed", "longest", "fixed")


def choose_batching(model: PreTrainedModel, batching: str | None) -> str:
    """`batching`, or for None packed where that is exact and else longest.

    Raises:
        HfclsError: packed was asked for, and `packing_support` knows a reason against it; or something unknown.
    """
    if batching not in (None, *LAYOUTS):
        raise HfclsError(f"batching must be one of {', '.join(LAYOUTS)}, found {batching!r}")
    reason = packing_support(model)
    if batching is None:
        return "packed" if reason is None else "longest"
    if batching == "packed" and reason is not None:
        raise HfclsError(f"cannot pack batches: {reason}; use --batching longest, or leave it to the default")
    return batching


def check_batching(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batching: str | None, *, max_length: int
) -> None:
    """Raises HfclsError if `model` cannot be given such batches, or gives a text other logits beside other texts."""
    choose_batching(model, batching)
    if packing_support(model) is not None:
        check_padding(model, tokenizer, max_length)


def collator_for(
    model: PreTrainedModel,
    *,
    pad_token_id: int,
    max_length: int,
    batching: str | None = None,
    row_length: int | None = None,
    row_counts: Mapping[int, Sequence[int]] | None = None,
) -> Collator:
    """The collator for `model`, which is made to take packed batches if it is to get them.

    Args:
        batching: packed, longest or fixed; None: see `choose_batching`.
        pad_token_id, max_length, row_length, row_counts: see `make_collator`.

    Raises:
        HfclsError: as `choose_batching`.
    """
    batching = choose_batching(model, batching)
    if batching == "packed":
        enable_packing(model)
    return make_collator(
        batching,
        pad_token_id=pad_token_id,
        max_length=max_length,
        row_length=row_length,
        position_offset=position_offset(model.config),
        row_counts=row_counts,
    )


def collator_for_run(
    model: PreTrainedModel,
    args: TrainingArguments,
    encoded: Mapping[str, Any],
    *,
    pad_token_id: int,
    max_length: int,
    batching: str | None = None,
    row_length: int | None = None,
) -> Collator:
    """The collator to train and evaluate with on the device of `args`; one log line where it is not as expected.

    Args:
        encoded: the splits; XLA needs shapes that fit all their batches.
        batching, pad_token_id, max_length, row_length: see `collator_for`.
    """
    asked = batching or ("packed" if row_length else None)
    batching, row_counts = choose_batching(model, asked), None
    if asked is None and batching != "packed":
        logger.info("batches are padded to the longest, not packed: %s", packing_support(model))
    if args.device.type == "xla":
        if batching == "longest":
            logger.info("batches are padded to %d tokens, since XLA compiles a graph for each width", max_length)
            batching = "fixed"
        row_counts = static_row_counts(args, encoded, row_length or max_length)
    return collator_for(
        model,
        pad_token_id=pad_token_id,
        max_length=max_length,
        batching=batching,
        row_length=row_length,
        row_counts=row_counts,
    )
