"""Scores of a model that gives a text a number."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hfcls.scoring.intervals import Estimate, percentile_interval, resampled_sums


@dataclass(frozen=True, kw_only=True)
class RegressionAnalysis:
    """The outcome of `analyse_regression`; `dataclasses.asdict` makes it JSON, `from_dict` reads that.

    All intervals are percentiles of the bootstrap over rows.

    Attributes:
        num_rows: N.
        pearson: linear correlation of targets and predictions; 0 where one of them does not vary, from -1 to 1 where
            that are the targets, as of a single row, which say nothing of it.
        spearman: correlation of their ranks.
        mae: mean absolute error, in the unit of the targets.
        r2: share of the targets' variance that is explained; below 0 the mean would be a better answer.
        loss: mean squared error, in the squared unit of the targets.
    """

    num_rows: int
    pearson: Estimate
    spearman: Estimate
    mae: Estimate
    r2: Estimate
    loss: float

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "RegressionAnalysis":
        """From `dataclasses.asdict` of another, for instance out of JSON."""
        scores = {name: Estimate(**value) for name, value in values.items() if isinstance(value, dict)}
        return cls(**{**values, **scores})

    def metrics(self) -> dict[str, float]:
        """`pearson`, `spearman`, `mae`, `r2` and `loss`, without their intervals."""
        scores = {name: getattr(self, name).value for name in ("pearson", "spearman", "mae", "r2")}
        return {**scores, "loss": self.loss}

    def headline(self) -> list[tuple[str, Estimate | float]]:
        """What a person wants first, most wanted first."""
        scores = [(name, getattr(self, name)) for name in ("pearson", "spearman", "mae", "r2")]
        return [*scores, ("loss", self.loss)]

    def table(self) -> str:
        """The scores with their intervals, for a terminal."""
        return "\n".join(f"  {name:<12}{getattr(self, name)}" for name in ("pearson", "spearman", "mae", "r2"))


def analyse_regression(targets: ArrayLike, predictions: ArrayLike, *, seed: int = 0) -> RegressionAnalysis:
    """Everything that is told of these predictions.

    Args:
        targets: floats [N].
        predictions: floats [N].
        seed: of the bootstrap.

    Raises:
        ValueError: no rows, or shapes that do not belong together.
    """
    from scipy.stats import rankdata  # imported here: it takes a second

    targets, predictions = np.asarray(targets, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
    if targets.shape != predictions.shape or targets.ndim != 1 or not len(targets):
        raise ValueError(
            f"targets and predictions must be [N] with N > 0, found {list(targets.shape)} and {list(predictions.shape)}"
        )
    # the ranks are those of all rows: ranking each resample anew would cost much and change little
    values, ranks = (targets, predictions), (rankdata(targets), rankdata(predictions))
    moments = np.column_stack([_moments(*values), _moments(*ranks), np.abs(targets - predictions)])
    drawn = _scores(resampled_sums(moments, np.random.default_rng(seed)))
    found = _scores(moments.sum(axis=0))
    pearson, spearman, mae, r2 = (percentile_interval(*score) for score in zip(map(float, found), drawn, strict=True))
    if not np.ptp(targets):
        pearson = spearman = Estimate(0.0, -1.0, 1.0)
    loss = float(((targets - predictions) ** 2).mean())
    return RegressionAnalysis(num_rows=len(targets), pearson=pearson, spearman=spearman, mae=mae, r2=r2, loss=loss)


def _moments(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """[N, 6]: 1, a, b, a^2, b^2 and ab of centred values, whose sums give correlation and squared error."""
    a, b = a - a.mean(), b - a.mean()  # by the same number, so that a - b stays what it is
    return np.column_stack([np.ones(len(a)), a, b, a * a, b * b, a * b])


def _scores(sums: NDArray[Any]) -> list[NDArray[Any]]:
    """Pearson, Spearman, MAE and R2, each [...], from sums of moments [..., 13]."""
    count, a, _, aa, bb, ab = np.moveaxis(sums[..., :6], -1, 0)
    variance, squared_error = aa / count - (a / count) ** 2, (aa - 2 * ab + bb) / count
    varies = variance > 1e-12 * aa / count
    r2 = np.where(varies, 1 - squared_error / np.where(varies, variance, 1), 0.0)
    return [_correlation(sums[..., :6]), _correlation(sums[..., 6:12]), sums[..., 12] / count, r2]


def _correlation(sums: NDArray[Any]) -> NDArray[Any]:
    """Pearson's correlation from sums of moments [..., 6]; 0 where a side does not vary."""
    count, a, b, aa, bb, ab = np.moveaxis(sums, -1, 0)
    square = (aa - a * a / count) * (bb - b * b / count)
    varies = square > 1e-12 * aa * bb
    return np.where(varies, (ab - a * b / count) / np.sqrt(np.where(varies, square, 1)), 0.0)
