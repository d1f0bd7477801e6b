"""Scores of a regression are those of scipy and scikit-learn, with intervals that hold what they should."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from hfcls.scoring.regression import RegressionAnalysis, analyse_regression


def drawn(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 11, rows) / 2  # with ties, as stars have
    return targets, targets * 0.8 + rng.normal(0, 1, rows)


def test_scores_are_those_of_scipy_and_scikit_learn():
    targets, predictions = drawn(300)
    analysis = analyse_regression(targets, predictions)
    assert analysis.num_rows == 300
    assert analysis.pearson.value == pytest.approx(pearsonr(targets, predictions).statistic)
    assert analysis.spearman.value == pytest.approx(spearmanr(targets, predictions).statistic)
    assert analysis.mae.value == pytest.approx(mean_absolute_error(targets, predictions))
    assert analysis.r2.value == pytest.approx(r2_score(targets, predictions))
    assert analysis.loss == pytest.approx(mean_squared_error(targets, predictions))
    for name in ("pearson", "spearman", "mae", "r2"):
        score = getattr(analysis, name)
        assert score.low < score.value < score.high


def test_intervals_hold_the_true_score_nineteen_times_in_twenty():
    targets, predictions = drawn(200_000)
    truth = {
        "pearson": pearsonr(targets, predictions).statistic,
        "spearman": spearmanr(targets, predictions).statistic,
        "mae": mean_absolute_error(targets, predictions),
        "r2": r2_score(targets, predictions),
    }
    held = dict.fromkeys(truth, 0)
    for seed in range(1, 41):
        sample = analyse_regression(*drawn(250, seed))
        for name in held:
            score = getattr(sample, name)
            held[name] += score.low <= truth[name] <= score.high
    assert all(34 <= count <= 40 for count in held.values()), held


def test_the_interval_of_very_many_rows_is_found_by_groups_of_them():
    """Random groups vary as rows do: the interval shrinks with the root of the number of rows, and costs no more."""
    few, many = analyse_regression(*drawn(4_000)), analyse_regression(*drawn(64_000))
    for name in ("pearson", "spearman", "mae", "r2"):
        widths = [getattr(a, name).high - getattr(a, name).low for a in (few, many)]
        assert widths[0] / widths[1] == pytest.approx(4, rel=0.2)


def test_an_analysis_comes_back_from_json():
    analysis = analyse_regression(*drawn(20))
    assert RegressionAnalysis.from_dict(json.loads(json.dumps(asdict(analysis)))) == analysis
    assert set(analysis.metrics()) == {"pearson", "spearman", "mae", "r2", "loss"}
    assert "pearson" in analysis.table()


@pytest.mark.parametrize(("targets", "predictions"), [([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]), ([2.0], [2.5])])
def test_what_does_not_vary_has_no_correlation(targets, predictions):
    analysis = analyse_regression(targets, predictions)
    assert analysis.pearson.value == analysis.spearman.value == analysis.r2.value == 0
    for score in (analysis.pearson, analysis.spearman):
        assert (score.low, score.high) == (-1, 1), "such targets say nothing of it"
    same = analyse_regression([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]).pearson
    assert (same.low, same.value, same.high) == (0, 0, 0), "of one answer to all it is known"


def test_shapes_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"must be \[N\] with N > 0, found \[0\] and \[0\]"):
        analyse_regression([], [])
