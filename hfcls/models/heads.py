"""Warm start of the head: it is fitted on the features it reads before all weights train.

A head with random weights sends noise through the encoder in its first steps, which with few rows is most of what the
encoder ever gets (linear probing, then fine-tuning: Kumar et al. 2022). Here the features of the training texts are
computed once, and the head becomes the logistic regression on them. Only weights change: the model stays what it is.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

# The dense layer becomes a standardisation that its activation can carry: tanh is nearly straight for half a standard
# deviation, ReLU and GELU from two below zero on. The logistic regression of 5 Korean sets, 300 and 1,000 rows, has
# .7363 through tanh and .7365 without (ReLU: .7365 with a shift of 3, .7184 of 0); 3 would let dropout add more noise.
TANH_SCALE = 0.5
RELU_SHIFT = 2.0
STRENGTHS = (
    0.1,
    0.03,
    0.01,
    0.003,
    0.001,
    0.0003,
)  # C of the regression on standardised features, weakest penalty first
PROBES = (*STRENGTHS, 0.0001, 0.00003)  # labels of which some are wrong ask for stronger penalties
FOLDS = 3
MOST_TOKENS = 2**15  # of a batch whose features are computed: 64 texts of 512
MAX_ROWS = 20_000  # a head has a few thousand weights: more rows change little


@dataclass(frozen=True)
class HeadLayers:
    """The layers of a classification head: logits are `out(activation(dense(features)))`, without dropout."""

    dense: nn.Linear
    activation: Callable[[Tensor], Tensor]
    out: nn.Linear
    scale: float
    shift: float


def head_layers(model: PreTrainedModel) -> HeadLayers:
    """The head of an AutoModelForSequenceClassification, with the pooler where that stands before it.

    Raises:
        ValueError: an architecture whose head is not known.
    """
    m: Any = model
    kind = model.config.model_type
    parts: Any
    if kind == "bert" and m.bert.pooler is not None:
        parts = m.bert.pooler.dense, m.bert.pooler.activation, m.classifier, TANH_SCALE, 0.0
    elif kind == "albert" and m.albert.pooler is not None:
        parts = m.albert.pooler, m.albert.pooler_activation, m.classifier, TANH_SCALE, 0.0
    elif kind in ("roberta", "xlm-roberta"):
        parts = m.classifier.dense, torch.tanh, m.classifier.out_proj, TANH_SCALE, 0.0
    elif kind == "electra":
        parts = m.classifier.dense, m.classifier.activation, m.classifier.out_proj, 1.0, RELU_SHIFT
    elif kind == "distilbert":
        parts = m.pre_classifier, F.relu, m.classifier, 1.0, RELU_SHIFT
    elif kind == "modernbert":
        parts = m.head.dense, lambda x: m.head.norm(m.head.act(x)), m.classifier, 1.0, RELU_SHIFT
    else:
        raise ValueError(f"the head of a {kind} model is not known")
    return HeadLayers(*parts)


def unknown_head(model: PreTrainedModel) -> str:
    """Why the head of a model cannot be fitted; empty if it can."""
    try:
        head_layers(model)
    except ValueError as error:
        return str(error)
    return ""


@torch.inference_mode()
def head_features(
    model: PreTrainedModel, rows: Sequence[dict[str, Any]], collator: Callable[..., Any], *, batch_size: int = 64
) -> Tensor:
    """What the head reads of each text, float32 [len(rows), hidden_size], on the CPU, without dropout.

    Args:
        rows: encoded texts, as the collator takes them.
        collator: of batches that `model` takes, packed or padded.
    """
    dense = head_layers(model).dense
    caught: dict[str, Tensor] = {}
    # A packed batch passes a pooler twice: first as rows, and then, which is what the head gets, as texts.
    hook = dense.register_forward_pre_hook(lambda module, args: caught.update(features=args[0]))
    training = model.training
    model.eval()
    features = []
    try:
        for indices, batch, by_text in batches(rows, collator, batch_size, model.device):
            model(**batch)
            features.append((indices, by_text(caught["features"].float()).cpu()))
    finally:
        hook.remove()
        model.train(training)
    order = torch.tensor([i for indices, _ in features for i in indices])
    return torch.cat([part for _, part in features])[order.argsort()].clone()


def batches(
    rows: Sequence[dict[str, Any]], collator: Callable[..., Any], batch_size: int, device: torch.device
) -> Iterator[tuple[list[int], dict[str, Tensor], Callable[[Tensor], Tensor]]]:
    """Batches for a model alone, the rows that each is of, and what makes values of its windows those of its texts.

    They have texts of like length, so that padding wastes little; a packed batch does not mind.
    """
    lengths = [len(row["input_ids"]) for row in rows]
    order = sorted(range(len(rows)), key=lengths.__getitem__)
    while order:
        count = next((n for n in range(batch_size, 1, -1) if sum(lengths[i] for i in order[:n]) <= MOST_TOKENS), 1)
        indices, order = order[:count], order[count:]
        batch = {name: value.to(device) for name, value in collator([rows[i] for i in indices]).items()}
        by_text = partial(mean_by_text, counts=batch.pop("window_counts", None))
        yield indices, {name: value for name, value in batch.items() if name != "labels"}, by_text


def mean_by_text(values: Tensor, counts: Tensor | None) -> Tensor:
    """The mean over the windows of each text, float32 [N, ...] of [windows, ...]; all values without `counts`.

    Args:
        counts: windows of each text, int64 [N], on the device of `values`.
    """
    if counts is None:
        return values
    sums = values.new_zeros(len(counts), *values.shape[1:], dtype=torch.float32)
    sums = sums.index_add(0, torch.repeat_interleave(counts), values.float())
    return sums / counts.view(-1, *[1] * (values.ndim - 1))


def warm_head(model: PreTrainedModel, features: Tensor, labels: Tensor) -> float:
    """Make the head of `model` the regularised regression on `features`, in place; the same for the same arguments.

    The penalty is the one of `STRENGTHS` with the least loss out of fold, so that no validation row is used. A
    dense layer without a bias keeps its weights.

    Args:
        features: of the training texts, from `head_features`.
        labels: class ids int64 [N]; 0 and 1, float [N, num_labels], for multi-label classification; float [N] for
            regression.

    Returns:
        The mean loss of an unseen row, estimated out of fold.
    """
    keep = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))[:MAX_ROWS]
    features, labels = features[keep], labels[keep].cpu()
    layers = head_layers(model)
    mean, deviation = features.mean(0), _deviation(features)
    with torch.no_grad():
        if layers.dense.bias is not None:
            layers.dense.weight.copy_(torch.diag(layers.scale / deviation))
            layers.dense.bias.copy_(layers.shift - layers.scale * mean / deviation)
        inputs = layers.activation(layers.dense(features.to(layers.dense.weight))).float().cpu()
        weight, bias, loss = _fitted(inputs, labels, layers.out.out_features)
        layers.out.weight.copy_(weight)
        layers.out.bias.copy_(bias)
    return loss


def out_of_fold_loss(features: Tensor, labels: Tensor) -> float:
    """The mean loss of a linear probe on rows it has not seen, at its best penalty; arguments as for `warm_head`."""
    labels = labels.cpu()
    outputs = labels.shape[1] if labels.ndim == 2 else 1 if labels.is_floating_point() else int(labels.max()) + 1
    return _fitted(features, labels, outputs)[2]


def out_of_fold_probabilities(features: Tensor, labels: Tensor, folds: Tensor, num_labels: int) -> Tensor:
    """What linear probes that have not seen a row say of it, at the penalty of `PROBES` with the least loss.

    Args:
        features: [N, H], of any encoder.
        labels: class ids int64 [N].
        folds: the fold of each row, int64 [N].

    Returns:
        Float32 [N, num_labels].
    """
    standard = (features - features.mean(0)) / _deviation(features)
    logits = torch.empty(len(PROBES), len(features), num_labels)
    for fold in folds.unique():
        seen, unseen = folds != fold, folds == fold
        for i, weights in enumerate(_path(standard[seen], labels[seen], num_labels, PROBES)):
            logits[i, unseen] = F.linear(standard[unseen], *weights)
    losses = torch.stack([F.cross_entropy(each, labels) for each in logits])
    return logits[losses.argmin()].softmax(-1)


def _deviation(values: Tensor) -> Tensor:
    """The standard deviation of each column; 1 of a constant one, which then has no part in anything."""
    deviation = values.std(0, unbiased=False)
    return torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation))


def _fitted(inputs: Tensor, labels: Tensor, outputs: int) -> tuple[Tensor, Tensor, float]:
    """Weight [outputs, H], bias [outputs] and the loss out of fold of the best penalty."""
    mean, deviation = inputs.mean(0), _deviation(inputs)
    standard = (inputs - mean) / deviation
    folds = torch.arange(len(inputs)) % min(FOLDS, len(inputs))
    losses = torch.zeros(len(STRENGTHS))
    for fold in folds.unique() if len(inputs) > 1 else ():
        seen, unseen = folds != fold, folds == fold
        weights = _path(standard[seen], labels[seen], outputs, STRENGTHS)
        losses += torch.stack([_loss(F.linear(standard[unseen], *w), labels[unseen]) * unseen.sum() for w in weights])
    best = int(losses.argmin())
    weight, bias = _path(standard, labels, outputs, STRENGTHS[best:])[0]
    weight = weight / deviation
    return weight, bias - weight @ mean, float(losses[best]) / len(inputs)


def _path(x: Tensor, y: Tensor, outputs: int, strengths: Sequence[float]) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias for each of `strengths`, the strongest penalty first, each started from the one before."""
    weight = torch.zeros(outputs, x.shape[1], requires_grad=True)
    bias = torch.zeros(outputs, requires_grad=True)
    path = []
    for strength in reversed(strengths):
        optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, tolerance_grad=1e-5, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()  # noqa: B023 - called in this turn of the loop only
            loss = _loss(F.linear(x, weight, bias), y) + weight.square().sum() / (2 * strength * len(x))  # noqa: B023
            loss.backward()
            return loss

        with torch.enable_grad():
            optimizer.step(closure)
        path.append((weight.detach().clone(), bias.detach().clone()))
    return path[::-1]


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    if not labels.is_floating_point():
        return F.cross_entropy(logits, labels)
    if labels.ndim == 2:
        return F.binary_cross_entropy_with_logits(logits, labels)
    return F.mse_loss(logits.squeeze(-1), labels)
