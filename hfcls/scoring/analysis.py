"""What predictions say of a classifier: scores with 95 % intervals, confusion, calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hfcls.scoring.intervals import Estimate, bootstrap_f1, wilson

RELIABILITY_BINS = 15  # of equal width, as in Guo et al. 2017
LENGTH_BUCKETS = 6


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """One class: `support` rows carry its label, `predicted` rows were given it."""

    label: str
    precision: Estimate
    recall: Estimate
    f1: Estimate
    support: int
    predicted: int


@dataclass(frozen=True)
class Bin:
    """Rows of similar confidence (above `low`, up to `high`) or similar length (`low` and `high` are among them).

    `confidence` is their mean probability of the predicted class.
    """

    low: float
    high: float
    count: int
    accuracy: Estimate
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """The outcome of `analyse`; `dataclasses.asdict` makes it JSON, `from_dict` reads that.

    Attributes:
        num_rows: N.
        label_names: the C classes in the order of their ids.
        accuracy: share of rows labelled right, Wilson interval.
        macro_f1: unweighted mean F1 of the classes that occur in labels or predictions, bootstrap interval.
        loss: mean cross-entropy, in nats.
        ece: expected calibration error, from 0 (confidence is accuracy) to 1.
        classes: one for each class; precision and recall with Wilson, F1 with bootstrap interval.
        confusion: [C, C] rows; first index the true class, second the predicted one.
        reliability: rows by confidence, in bins of equal width; bins without rows are left out.
        lengths: rows by length, in buckets of about equal count; empty if no lengths were given.
    """

    num_rows: int
    label_names: list[str]
    accuracy: Estimate
    macro_f1: Estimate
    loss: float
    ece: float
    classes: list[ClassScores]
    confusion: list[list[int]]
    reliability: list[Bin]
    lengths: list[Bin]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Analysis":
        """From `dataclasses.asdict` of another, for instance out of JSON."""

        def estimates(row: dict[str, Any]) -> dict[str, Any]:
            return {name: Estimate(**value) if isinstance(value, dict) else value for name, value in row.items()}

        return cls(
            **{
                **estimates(values),
                "classes": [ClassScores(**estimates(row)) for row in values["classes"]],
                "reliability": [Bin(**estimates(row)) for row in values["reliability"]],
                "lengths": [Bin(**estimates(row)) for row in values["lengths"]],
            }
        )

    def metrics(self) -> dict[str, float]:
        """`accuracy`, `macro_f1` and `loss`, without their intervals."""
        return {"accuracy": self.accuracy.value, "macro_f1": self.macro_f1.value, "loss": self.loss}

    def headline(self) -> list[tuple[str, Estimate | float]]:
        """What a person wants first, most wanted first."""
        return [("accuracy", self.accuracy), ("macro_f1", self.macro_f1), ("loss", self.loss)]

    def table(self) -> str:
        """Precision, recall and F1 of each class with their intervals, for a terminal: last the name, of any width."""
        heads = ("precision", "recall", "f1")
        lines = ["  " + "".join(f"{head:<22}" for head in heads) + "rows  class"]
        for row in self.classes:
            cells = "".join(f"{getattr(row, head).short():<22}" for head in heads)
            lines.append(f"  {cells}{row.support:>4,}  {row.label}")
        return "\n".join(lines)


def analyse(
    labels: ArrayLike,
    probabilities: ArrayLike,
    label_names: Sequence[str],
    *,
    lengths: ArrayLike | None = None,
    seed: int = 0,
) -> Analysis:
    """Everything the report, the model card and `hfcls evaluate` tell of these predictions.

    Args:
        labels: class ids [N], from 0 to C - 1.
        probabilities: [N, C], such as `scipy.special.softmax(logits, axis=-1)`; the highest is the predicted class.
        label_names: of the C classes.
        lengths: [N], of each text, in any unit.
        seed: of the bootstrap.

    Raises:
        ValueError: no rows, or shapes that do not belong together.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if probabilities.shape != (len(labels), len(label_names)) or not len(labels):
        raise ValueError(
            f"probabilities must be [N, C] with N > 0, found {list(probabilities.shape)} "
            f"for {len(labels)} labels and {len(label_names)} classes"
        )
    predicted = probabilities.argmax(axis=-1)
    confidence = probabilities.max(axis=-1)
    correct = predicted == labels
    class_count = len(label_names)
    confusion = np.bincount(labels * class_count + predicted, minlength=class_count**2).reshape(class_count, -1)
    hits, support, named = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    macro_f1, f1 = bootstrap_f1(confusion, seed)

    bin_of = _bin_of(confidence)
    reliability = [
        _bin(correct, confidence, bin_of == i, i / RELIABILITY_BINS, (i + 1) / RELIABILITY_BINS)
        for i in np.unique(bin_of)
    ]
    true_probability = probabilities[np.arange(len(labels)), labels]
    return Analysis(
        num_rows=len(labels),
        label_names=list(label_names),
        accuracy=wilson(int(correct.sum()), len(labels)),
        macro_f1=macro_f1,
        loss=float(-np.log(true_probability.clip(min=np.finfo(np.float64).tiny)).mean()),
        ece=calibration_error(correct, confidence),
        classes=[
            ClassScores(
                label=name,
                precision=wilson(int(hits[i]), int(named[i])),
                recall=wilson(int(hits[i]), int(support[i])),
                f1=f1[i],
                support=int(support[i]),
                predicted=int(named[i]),
            )
            for i, name in enumerate(label_names)
        ],
        confusion=confusion.tolist(),
        reliability=reliability,
        lengths=[] if lengths is None else _by_length(correct, confidence, np.asarray(lengths)),
    )


def calibration_error(correct: ArrayLike, confidence: ArrayLike) -> float:
    """The expected calibration error: mean distance of confidence and accuracy, over the bins of `reliability`.

    Args:
        correct: whether each row [N] is right.
        confidence: the probability of what it was given [N].
    """
    correct, confidence = np.asarray(correct, np.float64), np.asarray(confidence, np.float64)
    return float(np.abs(np.bincount(_bin_of(confidence), correct - confidence)).sum()) / len(correct)


def _bin_of(confidence: NDArray[Any]) -> NDArray[np.int64]:
    return np.searchsorted(np.arange(1, RELIABILITY_BINS) / RELIABILITY_BINS, confidence)


def _by_length(correct: NDArray[Any], confidence: NDArray[Any], lengths: NDArray[Any]) -> list[Bin]:
    shares = np.arange(1, LENGTH_BUCKETS + 1) / LENGTH_BUCKETS
    longest = np.unique(np.quantile(lengths, shares, method="inverted_cdf"))  # of each bucket
    bucket_of = np.searchsorted(longest, lengths)
    chosen = [bucket_of == i for i in range(len(longest))]
    return [_bin(correct, confidence, rows, lengths[rows].min(), lengths[rows].max()) for rows in chosen]


def _bin(correct: NDArray[Any], confidence: NDArray[Any], rows: NDArray[Any], low: float, high: float) -> Bin:
    count = int(rows.sum())
    accuracy = wilson(int(correct[rows].sum()), count)
    return Bin(float(low), float(high), count, accuracy, float(confidence[rows].mean()))
