"""A temperature makes overconfident logits honest, and the lowest confidence keeps what it promises."""

import numpy as np
import pytest

from hfcls.errors import HfclsError
from hfcls.scoring.analysis import analyse, calibration_error
from hfcls.scoring.confidence.fitting import (
    check_confidence,
    fit_temperature,
    lowest_confidence,
    why_not_fitted,
    with_temperature,
)
from hfcls.scoring.confidence.scores import Confidence, confidence_scores
from hfcls.scoring.tasks import MultiLabel, SingleLabel


def drawn(rows: int, seed: int, *, classes: int = 2, separation: float = 1.8, too_sure: float = 1.0):
    """Labels and logits; with `too_sure` 1 their probabilities are those with which the labels were drawn."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    seen = rng.normal(size=(rows, classes))
    seen[np.arange(rows), labels] += separation
    return labels, seen * separation * too_sure


def probabilities(logits):
    return SingleLabel([str(i) for i in range(logits.shape[1])]).outputs(logits)


@pytest.mark.parametrize("classes", [2, 7])
@pytest.mark.parametrize("too_sure", [0.5, 1.0, 3.0])
def test_the_temperature_is_the_one_that_the_logits_were_spoilt_with(classes, too_sure):
    labels, logits = drawn(2000, 0, classes=classes, too_sure=too_sure)
    assert fit_temperature(labels, logits) == pytest.approx(too_sure, rel=0.15)


def test_it_lowers_the_loss_and_the_error_on_rows_it_has_not_seen_and_moves_no_label():
    temperature = fit_temperature(*drawn(500, 1, classes=4, too_sure=4.0))
    labels, logits = drawn(2000, 2, classes=4, too_sure=4.0)
    before, after = (analyse(labels, probabilities(x), list("가나다라")) for x in (logits, logits / temperature))
    assert after.loss < before.loss - 0.2
    assert after.ece < 0.03 < 0.1 < before.ece
    assert after.accuracy == before.accuracy
    assert after.confusion == before.confusion


def test_labels_that_do_not_exclude_each_other_have_one_temperature():
    rng = np.random.default_rng(3)
    logits = rng.normal(scale=2, size=(1000, 5))
    labels = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(float)
    assert fit_temperature(labels, 3 * logits) == pytest.approx(3, rel=0.1)


def test_rows_that_are_all_right_do_not_ask_for_certainty():
    labels = np.arange(50) % 2
    logits = np.where(labels[:, None] == [0, 1], 3.0, -3.0)
    assert 0.3 < fit_temperature(labels, logits) < 1


def test_probabilities_are_softened_as_their_logits_would_be():
    _, logits = drawn(100, 4, classes=3)
    assert np.allclose(with_temperature(probabilities(logits), 2.5), probabilities(logits / 2.5))
    task = MultiLabel(["가", "나", "다"])
    assert np.allclose(with_temperature(task.outputs(logits), 0.4, exclusive=False), task.outputs(logits / 0.4))
    assert np.isfinite(with_temperature([[1.0, 0.0]], 3.0)).all()


def test_the_error_is_that_of_its_bins():
    correct, confidence = np.array([1, 0, 1, 1]), np.array([0.99, 0.98, 0.61, 0.62])
    assert calibration_error(correct, confidence) == pytest.approx((0.97 + 0.77) / 4)


@pytest.mark.parametrize("too_sure", [1.0, 4.0])
@pytest.mark.parametrize("rows", [150, 1000])
def test_the_target_is_met_on_nine_of_ten_seeds(rows, too_sure):
    labels, logits = drawn(50_000, 99, too_sure=too_sure)
    all_right, all_sure = logits.argmax(axis=1) == labels, probabilities(logits).max(axis=1)
    met = found = 0
    for seed in range(100):
        labels, logits = drawn(rows, seed, too_sure=too_sure)
        lowest = lowest_confidence(logits.argmax(axis=1) == labels, probabilities(logits).max(axis=1), 0.95)
        kept = all_sure >= (2 if lowest is None else lowest)
        found += lowest is not None
        met += lowest is None or all_right[kept].mean() >= 0.95
    assert met >= 90
    assert found >= (50 if rows == 150 else 90)  # it does not just keep silent


def test_confidence_that_tells_nothing_is_not_taken_for_a_target_that_is_just_missed():
    rng = np.random.default_rng(5)
    found = [lowest_confidence(rng.random(400) < 0.949, rng.random(400), 0.95) for _ in range(200)]
    assert sum(lowest is not None for lowest in found) <= 30


def test_where_the_lowest_confidence_lies():
    confidence = np.linspace(1, 0.5, 401)[:400]
    right = np.arange(400) < 300  # the 300 most confident
    lowest = lowest_confidence(right, confidence, 0.95)
    kept = int((confidence >= lowest).sum())
    assert kept == 300
    assert confidence[kept] < lowest < confidence[kept - 1]
    assert lowest_confidence(np.ones(400, bool), confidence, 0.95) == 0.0
    assert lowest_confidence(np.ones(40, bool), confidence[:40], 0.95) is None  # 45 rows at least
    assert lowest_confidence(np.zeros(400, bool), confidence, 0.95) is None


def test_what_cannot_be_fitted_is_told():
    assert why_not_fitted(50) == ""
    assert "no validation split" in why_not_fitted(0)
    assert "has 49 rows, and at least 50" in why_not_fitted(49)
    with pytest.raises(HfclsError, match="this model gives a number"):
        check_confidence("regression", calibrate=True, target_accuracy=None)
    with pytest.raises(HfclsError, match="is for one class a text"):
        check_confidence("multi_label_classification", calibrate=True, target_accuracy=0.9)
    check_confidence("multi_label_classification", calibrate=True, target_accuracy=None)


def test_what_a_run_tells_of_it():
    labels, logits = drawn(400, 6, too_sure=3.0)
    task = SingleLabel(["부정", "긍정"], abstain_below=0.8)
    outputs = probabilities(logits / 3)
    found = confidence_scores(task, labels, outputs, num_rows=200, temperature=3.0, target_accuracy=0.95)
    assert found.loss_before == pytest.approx(analyse(labels, probabilities(logits), task.names).loss)
    assert found.loss_after == pytest.approx(analyse(labels, outputs, task.names).loss)
    assert found.ece_after < found.ece_before
    kept = outputs.max(axis=1) >= 0.8
    assert found.coverage.value == kept.mean()
    assert found.accuracy.value == (outputs.argmax(axis=1) == labels)[kept].mean()
    assert found.curve[-1] == [1.0, (outputs.argmax(axis=1) == labels).mean()]
    assert "temperature 3.000 of 200 validation rows" in found.rows()[0][1]
    assert "below 0.8000, for accuracy 0.95; answers" in found.rows()[1][1]
    assert confidence_scores(task, labels, outputs, num_rows=200, temperature=None, target_accuracy=None) is None
    never = Confidence(num_rows=200, target_accuracy=0.99)
    assert "the most confident of 200 validation rows do not show that accuracy 0.99" in never.rows()[0][1]


def test_an_answer_says_whether_a_person_should_decide():
    task = SingleLabel(["부정", "긍정"], abstain_below=0.8)
    assert task.answer([0.3, 0.7], all_scores=False) == {"label": "긍정", "score": 0.7, "abstain": True}
    assert task.answer([0.9, 0.1], all_scores=False)["abstain"] is False
    assert task.columns(np.array([[0.3, 0.7], [0.9, 0.1]]), all_scores=False)["abstain"].tolist() == [True, False]
    assert "abstain" not in SingleLabel(task.names).answer([0.3, 0.7], all_scores=False)


def test_a_step_that_fails_ends_the_search_and_few_errors_at_its_begin_do_not():
    confidence, right = np.linspace(0.99, 0.5, 200), np.ones(200, bool)
    right[:2] = False  # 18 of the first 20 would not show 0.8, and 38 of the first 40 do
    assert lowest_confidence(right, confidence, 0.8) == 0.0
    right[:12] = False  # 28 of 40; all rows would show it, and are not looked at
    assert lowest_confidence(right, confidence, 0.8) is None


def test_rows_of_one_confidence_are_kept_together_or_not_at_all():
    right = np.arange(200) < 150  # those that are right come first in the file
    assert lowest_confidence(right, np.full(200, 0.9), 0.9) is None
    confidence = np.where(np.arange(400) < 200, 0.9, 0.6)
    assert 0.6 < lowest_confidence(np.arange(400) < 300, confidence, 0.95) < 0.9
