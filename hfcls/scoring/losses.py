"""The loss of an optimizer step, exact over batches, accumulation steps and processes."""

import re
from collections.abc import Mapping, Sequence

import torch
from transformers.modeling_outputs import SequenceClassifierOutput

from hfcls.errors import HfclsError

IGNORED_LABEL = -100  # of rows that neither loss nor metrics count


def classification_loss(
    outputs: SequenceClassifierOutput | Mapping[str, torch.Tensor],
    labels: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None = None,
    *,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
    focal_gamma: float = 0.0,
    rdrop: float = 0.0,
    exclusive: bool = False,
) -> torch.Tensor:
    """Mean loss over all labels of an optimizer step, whatever the processes and accumulation steps.

    It is cross-entropy, binary cross-entropy of several labels, or the squared error of a regression.

    Args:
        outputs: with `logits` [N, num_labels].
        labels: class ids [N], floats [N, num_labels] for multi-label classification, or floats [N] for regression; -100
            is ignored in all of them.
        num_items_in_batch: labels in the whole optimizer step; None: those of this batch.
        label_smoothing: share of the label that is spread over all classes (Szegedy et al. 2016); not for multi-label.
        class_weights: of each class; the loss of a row is multiplied by that of its class. The mean is over rows all
            the same, so that parts of a step add up to the whole. Not for multi-label.
        focal_gamma: the loss of a row is multiplied by (1 - p)**focal_gamma, p the probability of its class (Lin et al.
            2017); not for multi-label.
        rdrop: weight of the disagreement between two answers to each text: in training, the N rows are N / 2 texts and
            then the same again, with another dropout (R-Drop: Liang et al. 2021). It is the mean of both
            Kullback-Leibler divergences; the rest of the loss is the mean over both answers. Not for multi-label.
        exclusive: floats [N, num_labels] are the probabilities that another model gives to classes of which a text has
            one: the loss is the cross-entropy to them (Hinton et al. 2015), its mean over rows.
    """
    logits = outputs["logits"].float()
    counted = labels.ne(IGNORED_LABEL)
    if exclusive and labels.is_floating_point():
        entropy = torch.nn.CrossEntropyLoss(reduction="none", label_smoothing=label_smoothing)
        total = (entropy(logits, labels.to(logits.dtype)) * counted[:, 0]).sum() * labels.shape[-1]
    elif labels.is_floating_point() and labels.ndim == 1:
        total = ((logits.squeeze(-1) - labels.to(logits.dtype)).square() * counted).sum()
    elif labels.is_floating_point():
        weight = counted.to(logits.dtype)
        total = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, weight, reduction="sum")
    else:
        by_row = class_weights is not None or focal_gamma > 0
        total = torch.nn.functional.cross_entropy(
            logits,
            labels,
            reduction="none" if by_row else "sum",
            ignore_index=IGNORED_LABEL,
            label_smoothing=label_smoothing,
        )
        if by_row:
            total = (total * _row_weights(logits, labels.clamp(min=0), class_weights, focal_gamma)).sum()
    if rdrop and torch.is_grad_enabled():  # not in evaluation, where each text stands once
        total = total + rdrop * _disagreement(logits, counted)
    return total / (counted.sum() if num_items_in_batch is None else num_items_in_batch)


def _disagreement(logits: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Both divergences between the first half of the answers and the second, summed over pairs and their labels."""
    first, second = logits.log_softmax(-1).chunk(2)
    divergence = ((first.exp() - second.exp()) * (first - second)).sum(-1)
    return (divergence.unsqueeze(1) * counted.reshape(len(logits), -1)[: len(first)]).sum()


def _row_weights(
    logits: torch.Tensor, classes: torch.Tensor, class_weights: Sequence[float] | None, focal_gamma: float
) -> torch.Tensor:
    """How much each row counts, [N]."""
    weights = torch.ones_like(logits[:, 0])
    if class_weights is not None:
        weights = logits.new_tensor(class_weights)[classes]
    if focal_gamma:
        others = logits.scatter(1, classes.unsqueeze(1), float("-inf")).logsumexp(-1)
        of_class = logits.gather(1, classes.unsqueeze(1)).squeeze(1)
        # log(1 - p) without p, which rounds to 1: a power of 0 has no gradient that is a number
        weights = weights * (focal_gamma * torch.nn.functional.logsigmoid(others - of_class)).exp()
    return weights


def read_class_weights(text: str, counts: Mapping[str, int]) -> list[float] | None:
    """The weight of each class, as the option `class_weights` says; None: all count alike.

    Args:
        text: `none`; `balanced`: rows / (classes * rows of the class), which is 1 on average over the rows; or
            `NAME=2,OTHER=0.5`, where classes that are not named have 1.
        counts: training rows of each class by its name, in the order of their ids.

    Raises:
        HfclsError: neither of these, or a name that is no class.
    """
    if text == "none":
        return None
    if not counts:
        raise HfclsError("class_weights is for classes, and these labels are numbers: drop it")
    if text == "balanced":
        present = [count for count in counts.values() if count]
        return [sum(present) / (len(present) * count) if count else 1.0 for count in counts.values()]
    weights = dict.fromkeys(counts, 1.0)
    for part in re.split(r"(?<=\d),", text):  # a name may hold a comma, or an equals sign
        name, _, number = part.rpartition("=")
        name = name.strip()
        if not re.fullmatch(r"\s*\d*\.?\d+\s*", number):
            raise HfclsError(f"class_weights must be none, balanced or NAME=NUMBER,OTHER=NUMBER, found {text!r}")
        if name not in weights:
            raise HfclsError(f"class_weights names {name!r}, which is no class; the classes are {', '.join(counts)}")
        weights[name] = float(number)
    if not any(weights.values()):
        raise HfclsError(f"class_weights gives no class a weight above 0, found {text!r}")
    return list(weights.values())
