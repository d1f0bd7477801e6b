"""The loss of an optimizer step, exact over batches, accumulation steps and processes."""

from collections.abc import Mapping

import torch
from transformers.modeling_outputs import SequenceClassifierOutput

IGNORED_LABEL = -100  # of rows that neither loss nor metrics count


def classification_loss(
    outputs: SequenceClassifierOutput | Mapping[str, torch.Tensor],
    labels: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None = None,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Mean cross-entropy over all labels of an optimizer step, whatever the processes and accumulation steps.

    Args:
        outputs: with `logits` [N, num_labels].
        labels: class ids [N], or floats [N, num_labels] for multi-label classification; -100 is ignored in both.
        num_items_in_batch: labels in the whole optimizer step; None: those of this batch.
        label_smoothing: share of the label that is spread over all classes (Szegedy et al. 2016); not for multi-label.
    """
    logits = outputs["logits"].float()
    counted = labels.ne(IGNORED_LABEL)
    if labels.is_floating_point():
        weight = counted.to(logits.dtype)
        total = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, weight, reduction="sum")
    else:
        total = torch.nn.functional.cross_entropy(
            logits, labels, reduction="sum", ignore_index=IGNORED_LABEL, label_smoothing=label_smoothing
        )
    return total / (counted.sum() if num_items_in_batch is None else num_items_in_batch)
