"""Scores with their 95 % intervals, and the test of two models on the same rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 1000
MOST_GROUPS = 4096  # of rows that are drawn together


@dataclass(frozen=True)
class Estimate:
    """A score and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f}  [{self.low:.4f}, {self.high:.4f}]"

    def short(self) -> str:
        """With three decimals, for tables of many."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def wilson(successes: int, trials: int) -> Estimate:
    """A proportion and its 95 % score interval (Wilson 1927); without a trial 0, somewhere from 0 to 1."""
    from scipy.stats import binomtest  # imported here: it takes a second

    if not trials:
        return Estimate(0.0, 0.0, 1.0)
    interval = binomtest(successes, trials).proportion_ci(confidence_level=0.95, method="wilson")
    return Estimate(successes / trials, float(interval.low), float(interval.high))


def bootstrap_f1(confusion: NDArray[Any], seed: int) -> tuple[Estimate, list[Estimate]]:
    """Macro F1 and the F1 of each class, with percentile intervals of the bootstrap (Efron 1979).

    Drawing N rows with replacement draws the cells of their confusion matrix from a multinomial distribution, which
    costs the same however many rows there are.
    """
    class_count, total = len(confusion), confusion.sum()
    actual, predicted = np.nonzero(confusion)
    counts = confusion[actual, predicted]
    occurring = np.union1d(actual, predicted)

    def scores(counts: NDArray[Any]) -> NDArray[Any]:
        support = np.bincount(actual, counts, class_count)
        named = np.bincount(predicted, counts, class_count)
        hits = np.bincount(actual, counts * (actual == predicted), class_count)
        f1 = 2 * hits / np.maximum(support + named, 1)
        return np.append(f1, f1[occurring].mean())

    rng = np.random.default_rng(seed)
    drawn = np.stack([scores(rng.multinomial(total, counts / total)) for _ in range(RESAMPLES)])
    *values, macro = scores(counts)
    hits, union = np.diag(confusion), confusion.sum(axis=0) + confusion.sum(axis=1) - np.diag(confusion)
    f1 = [f1_interval(*of_class) for of_class in zip(values, drawn.T[:-1], hits, union, strict=True)]
    return mean_interval(macro, drawn[:, -1], [f1[i] for i in occurring]), f1


@dataclass(frozen=True)
class McNemar:
    """Two models on the same rows.

    Attributes:
        only_first, only_second: rows that one model alone has right.
        p_value: how often models of equal accuracy would differ at least so much.
    """

    only_first: int
    only_second: int
    p_value: float


def mcnemar(labels: ArrayLike, predicted_a: ArrayLike, predicted_b: ArrayLike) -> McNemar:
    """McNemar's paired test (1947), two-sided and exact: under equal accuracy, which of the two models is the one that
    is right is a fair coin for each row on which exactly one is.

    Args:
        labels: class ids [N].
        predicted_a: of the first model [N].
        predicted_b: of the second [N].
    """
    from scipy.stats import binomtest  # imported here: it takes a second

    labels = np.asarray(labels)
    right_a, right_b = np.asarray(predicted_a) == labels, np.asarray(predicted_b) == labels
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    p_value = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    return McNemar(only_a, only_b, float(p_value))


def resampled_sums(values: NDArray[Any], rng: np.random.Generator) -> NDArray[np.float64]:
    """The sum of each column over RESAMPLES draws of the rows with replacement: [N, K] to [RESAMPLES, K] (Efron 1979).

    Of more than `MOST_GROUPS` rows, random groups of equal size are drawn in place of single rows: their sums vary as
    those of rows do, and the work no longer grows.
    """
    rows = len(values)
    if rows > MOST_GROUPS:
        group_of = rng.permutation(rows) * MOST_GROUPS // rows
        values = np.stack([np.bincount(group_of, column, MOST_GROUPS) for column in values.T], axis=1)
    count = len(values)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return drawn.astype(np.float64) @ values.astype(np.float64)


def f1_interval(value: float, drawn: NDArray[Any], hits: int, union: int) -> Estimate:
    """F1 with what resamples gave [RESAMPLES]; of rows that are all right, or where these all agree, another interval.

    Resamples of rows without an error, or without a hit, have none either, and would call the score certain, or 0 where
    they lack the few rows of the class. F1 is
    2 J / (1 + J) of the Jaccard index J, the share of hits among the rows that are of the class or called so, and
    Wilson's interval of that share is taken instead.

    Args:
        value: the F1.
        drawn: that of each resample.
        hits: rows of the class that are called so.
        union: rows of the class or called so.
    """
    estimate = percentile_interval(value, drawn)
    if value < 1 and estimate.low < estimate.high:
        return estimate
    share = wilson(int(hits), int(union))
    return Estimate(float(value), 2 * share.low / (1 + share.low), 2 * share.high / (1 + share.high))


def precision_interval(value: float, drawn: NDArray[Any], support: int) -> Estimate:
    """Average precision with what resamples gave [RESAMPLES]; where `f1_interval` has another, Wilson's of its share.

    Args:
        value: the average precision.
        drawn: that of each resample.
        support: rows that carry the label.
    """
    estimate = percentile_interval(value, drawn)
    if value < 1 and estimate.low < estimate.high:
        return estimate
    share = wilson(round(value * support), support)
    return Estimate(float(value), share.low, share.high)


def mean_interval(value: float, drawn: NDArray[Any], parts: list[Estimate]) -> Estimate:
    """The mean of scores with what resamples gave [RESAMPLES]; where nothing is wrong, with the mean of their bounds.

    A resample lacks some of the rare classes, whose scores are 0 there, so that resamples lie below the value, of many
    rare classes all of them: they are moved up by as much as their mean is below it.
    """
    estimate = percentile_interval(value, drawn - drawn.mean() + value)
    if (value < 1 and estimate.low < estimate.high) or not parts:
        return Estimate(estimate.value, max(0.0, estimate.low), min(1.0, estimate.high))
    return Estimate(float(value), *(float(np.mean([getattr(part, end) for part in parts])) for end in ("low", "high")))


def percentile_interval(value: float, drawn: NDArray[Any]) -> Estimate:
    """`value` with the 2.5th and the 97.5th percentile of what resamples gave [RESAMPLES]."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(float(value), float(low), float(high))
