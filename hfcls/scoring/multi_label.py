"""Scores of a classifier that gives a text any number of labels, and the threshold above which it gives each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hfcls.scoring.intervals import (
    RESAMPLES,
    Estimate,
    f1_interval,
    mean_interval,
    precision_interval,
    resampled_sums,
    wilson,
)

AT_ONCE = 2**24  # numbers in memory during the bootstrap
MANY_DECISIONS = 200_000  # rows times labels


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """One label: `support` rows carry it, `predicted` rows have a probability above `threshold` and were given it."""

    label: str
    threshold: float
    precision: Estimate
    recall: Estimate
    f1: Estimate
    average_precision: Estimate
    support: int
    predicted: int


@dataclass(frozen=True, kw_only=True)
class MultiLabelAnalysis:
    """The outcome of `analyse_multi_label`; `dataclasses.asdict` makes it JSON, `from_dict` reads that.

    Attributes:
        num_rows: N.
        label_names: the C labels in the order of their ids.
        micro_f1: F1 over all N x C decisions, bootstrap interval.
        macro_f1: unweighted mean F1 of the labels that occur in truth or predictions, bootstrap interval.
        subset_accuracy: share of rows whose labels are all right, Wilson interval.
        loss: mean binary cross-entropy over all N x C decisions, in nats.
        labels: one for each label.
    """

    num_rows: int
    label_names: list[str]
    micro_f1: Estimate
    macro_f1: Estimate
    subset_accuracy: Estimate
    loss: float
    labels: list[LabelScores]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "MultiLabelAnalysis":
        """From `dataclasses.asdict` of another, for instance out of JSON."""

        def estimates(row: dict[str, Any]) -> dict[str, Any]:
            return {name: Estimate(**value) if isinstance(value, dict) else value for name, value in row.items()}

        return cls(**{**estimates(values), "labels": [LabelScores(**estimates(row)) for row in values["labels"]]})

    def metrics(self) -> dict[str, float]:
        """`micro_f1`, `macro_f1`, `subset_accuracy` and `loss`, without their intervals."""
        return {
            "micro_f1": self.micro_f1.value,
            "macro_f1": self.macro_f1.value,
            "subset_accuracy": self.subset_accuracy.value,
            "loss": self.loss,
        }

    def headline(self) -> list[tuple[str, Estimate | float]]:
        """What a person wants first, most wanted first."""
        scores = [(name, getattr(self, name)) for name in ("micro_f1", "macro_f1", "subset_accuracy")]
        return [*scores, ("loss", self.loss)]

    def table(self) -> str:
        """Precision, recall, F1 and average precision of each label, for a terminal: last the name, of any width."""
        lines = [f"  precision  recall  {'f1':<22}{'average_precision':<22}threshold  rows  label"]
        for row in self.labels:
            cells = f"{row.precision.value:<11.3f}{row.recall.value:<8.3f}"
            cells += "".join(f"{estimate.short():<22}" for estimate in (row.f1, row.average_precision))
            lines.append(f"  {cells}{row.threshold:>9.3f}{row.support:>6,}  {row.label}")
        return "\n".join(lines)


def tune_thresholds(labels: ArrayLike, probabilities: ArrayLike) -> NDArray[np.float64]:
    """For each label the threshold with the highest F1 on these rows: float64 [C], between 0 and 1.

    A label is given where its probability is above the threshold. Of thresholds with the same F1 the one next to 0.5 is
    taken; a label that no row carries keeps 0.5.

    Args:
        labels: 0 or 1 [N, C].
        probabilities: [N, C], of the sigmoid.
    """
    labels, probabilities = np.asarray(labels, dtype=bool), np.asarray(probabilities, dtype=np.float64)
    return np.array([_best_threshold(*columns) for columns in zip(labels.T, probabilities.T, strict=True)])


def reliable_thresholds(labels: ArrayLike, probabilities: ArrayLike, *, seed: int = 0) -> NDArray[np.float64]:
    """`tune_thresholds`, but 0.5 for each label that the model cannot tell yet: float64 [C].

    The best F1 of a model that knows nothing comes with a threshold below which hardly any row lies. So a threshold is
    kept only where its F1 is above that of giving the label to every row, in 97.5 % of resamples of these rows. A model
    that had learned little of 9 rare labels from 900 comments (K-MHaS) would go from a micro F1 of .526 to .277.

    Args:
        labels: 0 or 1 [N, C].
        probabilities: [N, C], of the sigmoid.
        seed: of the bootstrap.
    """
    labels, probabilities = np.asarray(labels, dtype=bool), np.asarray(probabilities, dtype=np.float64)
    thresholds, rng = tune_thresholds(labels, probabilities), np.random.default_rng(seed)
    for i, (carried, probability) in enumerate(zip(labels.T, probabilities.T, strict=True)):
        given = probability > thresholds[i]
        drawn = resampled_sums(np.column_stack([given & carried, given, carried, np.ones(len(carried))]), rng)
        right, named, there, rows = drawn.T
        gained = 2 * right / np.maximum(named + there, 1) - 2 * there / (rows + there)
        if np.quantile(gained, 0.025) <= 0:
            thresholds[i] = 0.5
    return thresholds


def _best_threshold(carried: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    if not carried.any():
        return 0.5
    order = np.argsort(-probability, kind="stable")
    falling = np.concatenate([[1.0], probability[order], [0.0]])
    hits = np.concatenate([[0], carried[order].cumsum()])  # among the k most probable rows, for k from 0 to N
    f1 = 2 * hits / (np.arange(len(hits)) + carried.sum())
    thresholds = (falling[:-1] + falling[1:]) / 2  # in the middle between two rows, so that other rows fall well
    f1[falling[:-1] == falling[1:]] = -1  # no threshold parts rows of one probability
    best = np.flatnonzero(f1 == f1.max())
    return float(thresholds[best[np.abs(thresholds[best] - 0.5).argmin()]])


def analyse_multi_label(
    labels: ArrayLike,
    probabilities: ArrayLike,
    label_names: Sequence[str],
    thresholds: ArrayLike,
    *,
    seed: int = 0,
) -> MultiLabelAnalysis:
    """Everything that is told of these predictions.

    Args:
        labels: 0 or 1 [N, C].
        probabilities: [N, C], of the sigmoid.
        label_names: of the C labels.
        thresholds: [C], see `tune_thresholds`.
        seed: of the bootstrap.

    Raises:
        ValueError: no rows, or shapes that do not belong together.
    """
    labels, probabilities = np.asarray(labels, dtype=bool), np.asarray(probabilities, dtype=np.float64)
    thresholds = np.asarray(thresholds, dtype=np.float64)
    if probabilities.shape != (len(labels), len(label_names)) or probabilities.shape != labels.shape or not len(labels):
        raise ValueError(
            f"labels and probabilities must be [N, C] with N > 0, found {list(labels.shape)} and "
            f"{list(probabilities.shape)} for {len(label_names)} labels"
        )
    given = probabilities > thresholds
    right = given & labels
    precision = np.array([_average_precision(*columns) for columns in zip(labels.T, probabilities.T, strict=True)])
    rng = np.random.default_rng(seed)
    occurring = np.asarray(labels.any(axis=0) | given.any(axis=0))
    counts = np.concatenate([right, given, labels], axis=1)
    micro, macro, of_label = _f1(counts.sum(axis=0), occurring)
    drawn_micro, drawn_macro, drawn_f1 = _f1(resampled_sums(counts, rng), occurring)
    drawn_precision = _resampled_precision(labels, probabilities, rng)
    hits = right.sum(axis=0)
    union = given.sum(axis=0) + labels.sum(axis=0) - hits
    f1 = [f1_interval(*of_one) for of_one in zip(of_label, drawn_f1.T, hits, union, strict=True)]
    clipped = np.where(labels, probabilities, 1 - probabilities).clip(min=np.finfo(np.float64).tiny)
    return MultiLabelAnalysis(
        num_rows=len(labels),
        label_names=list(label_names),
        micro_f1=f1_interval(micro, drawn_micro, hits.sum(), union.sum()),
        macro_f1=mean_interval(macro, drawn_macro, [f1[i] for i in np.flatnonzero(occurring)]),
        subset_accuracy=wilson(int((given == labels).all(axis=1).sum()), len(labels)),
        loss=float(-np.log(clipped).mean()),
        labels=[
            LabelScores(
                label=name,
                threshold=float(thresholds[i]),
                precision=wilson(int(right[:, i].sum()), int(given[:, i].sum())),
                recall=wilson(int(right[:, i].sum()), int(labels[:, i].sum())),
                f1=f1[i],
                average_precision=precision_interval(precision[i], drawn_precision[:, i], int(labels[:, i].sum())),
                support=int(labels[:, i].sum()),
                predicted=int(given[:, i].sum()),
            )
            for i, name in enumerate(label_names)
        ],
    )


def _f1(counts: NDArray[Any], occurring: NDArray[np.bool_]) -> tuple[Any, Any, Any]:
    """Micro F1, macro F1 and the F1 of each label, from what was right, given and carried [..., 3 C]."""
    right, given, carried = np.split(counts, 3, axis=-1)
    of_label = 2 * right / np.maximum(given + carried, 1)
    micro = 2 * right.sum(-1) / np.maximum(given.sum(-1) + carried.sum(-1), 1)
    macro = of_label[..., occurring].mean(-1) if occurring.any() else np.zeros(of_label.shape[:-1])
    return micro, macro, of_label


def _average_precision(carried: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    from sklearn.metrics import average_precision_score  # imported here: it takes two seconds

    return float(average_precision_score(carried, probability)) if carried.any() else 0.0


def _resampled_precision(
    labels: NDArray[np.bool_], probabilities: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Average precision of each label in resamples of the rows [resamples, C]: 1,000 of them, 200 of very many rows."""
    rows = len(labels)
    count = RESAMPLES if labels.size < MANY_DECISIONS else RESAMPLES // 5
    chunk, precision = max(1, AT_ONCE // rows), []
    for start in range(0, count, chunk):
        drawn = rng.multinomial(rows, np.full(rows, 1 / rows), size=min(chunk, count - start)).astype(np.float32)
        columns = [_weighted_precision(drawn, *column) for column in zip(labels.T, probabilities.T, strict=True)]
        precision.append(np.stack(columns, axis=1))
    return np.concatenate(precision)


def _weighted_precision(
    drawn: NDArray[np.float32], carried: NDArray[np.bool_], probability: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average precision [resamples] of one label where row i counts `drawn[:, i]` times."""
    order = np.argsort(-probability, kind="stable")
    weight, carried, probability = drawn[:, order], carried[order], probability[order]
    last = np.append(np.flatnonzero(np.diff(probability)), len(probability) - 1)  # rows of one probability come at once
    hits = (weight * carried).cumsum(axis=1, dtype=np.float64)[:, last]
    seen = weight.cumsum(axis=1, dtype=np.float64)[:, last]
    gained = np.diff(hits, axis=1, prepend=0)
    return (gained * hits / np.maximum(seen, 1)).sum(axis=1) / np.maximum(hits[:, -1], 1)
