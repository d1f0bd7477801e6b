"""Multi-label scores are scikit-learn's, thresholds are the best there are, and intervals cover what they should."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, log_loss

from hfcls.scoring.intervals import wilson
from hfcls.scoring.multi_label import MultiLabelAnalysis, analyse_multi_label, reliable_thresholds, tune_thresholds

NAMES = ["배송", "품질", "가격"]


def drawn(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.random((rows, 3)) < [0.5, 0.2, 0.05]
    return labels, np.clip(labels * 0.3 + rng.random((rows, 3)) * 0.6, 0, 1).round(2)  # with ties


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_scikit_learn(seed):
    labels, probabilities = drawn(400, seed)
    analysis = analyse_multi_label(labels, probabilities, NAMES, [0.5, 0.4, 0.6])
    assert analysis == analyse_multi_label(labels, probabilities, NAMES, [0.5, 0.4, 0.6], seed=0)
    assert (analysis.num_rows, analysis.label_names) == (400, NAMES)
    predicted = probabilities > [0.5, 0.4, 0.6]
    assert analysis.micro_f1.value == pytest.approx(f1_score(labels, predicted, average="micro"))
    assert analysis.macro_f1.value == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert analysis.subset_accuracy.value == pytest.approx((labels == predicted).all(axis=1).mean())
    losses = [log_loss(labels[:, i], probabilities[:, i], labels=[0, 1]) for i in range(3)]
    assert analysis.loss == pytest.approx(np.mean(losses))
    for i, row in enumerate(analysis.labels):
        assert row.average_precision.value == pytest.approx(average_precision_score(labels[:, i], probabilities[:, i]))
        assert row.f1.value == pytest.approx(f1_score(labels[:, i], predicted[:, i]))
        assert (row.support, row.predicted) == (labels[:, i].sum(), predicted[:, i].sum())
        for score in (row.f1, row.average_precision, row.precision, row.recall):
            assert score.low <= score.value <= score.high


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=1, max_size=30))
def test_no_threshold_is_better_than_the_tuned_one(rows):
    labels = np.array([[carried] for carried, _ in rows])
    probabilities = np.array([[tenth / 10] for _, tenth in rows])
    (threshold,) = tune_thresholds(labels, probabilities)
    assert 0 <= threshold <= 1
    if not labels.any():
        assert threshold == 0.5
        return
    scores = [f1_score(labels, probabilities > t, zero_division=0) for t in (*np.arange(-0.05, 1.05, 0.1), threshold)]
    assert scores[-1] == pytest.approx(max(scores[1:]))


def test_the_threshold_of_a_label_that_is_not_told_stays_at_a_half():
    labels, probabilities = drawn(400)
    kept, found = tune_thresholds(labels, probabilities), reliable_thresholds(labels, probabilities)
    assert found.tolist() == kept.tolist()
    noise = np.random.default_rng(1).random((400, 3)) / 10  # of a model that knows how rare labels are, and no more
    assert reliable_thresholds(labels, noise).tolist() == [0.5, 0.5, 0.5]
    assert (tune_thresholds(labels, noise) < 0.1).all()


def test_intervals_hold_the_true_score_nineteen_times_in_twenty():
    """A fresh sample's interval holds the score of a very large one about as often as it says."""
    labels, probabilities = drawn(100_000)
    predicted = probabilities > 0.45
    truth = [
        f1_score(labels, predicted, average="micro"),
        f1_score(labels, predicted, average="macro"),
        average_precision_score(labels[:, 0], probabilities[:, 0]),
    ]
    held = np.zeros(3, int)
    for seed in range(1, 16):
        sample = analyse_multi_label(*drawn(300, seed), NAMES, [0.45] * 3)
        scores = (sample.micro_f1, sample.macro_f1, sample.labels[0].average_precision)
        held += [score.low <= true <= score.high for score, true in zip(scores, truth, strict=True)]
    assert (held >= 12).all(), held


def test_an_analysis_comes_back_from_json_and_prints_its_labels():
    labels, probabilities = drawn(50)
    analysis = analyse_multi_label(labels, probabilities, NAMES, tune_thresholds(labels, probabilities))
    assert MultiLabelAnalysis.from_dict(json.loads(json.dumps(asdict(analysis)))) == analysis
    assert [line.split()[-1] for line in analysis.table().splitlines()] == ["label", *NAMES]
    assert set(analysis.metrics()) == {"micro_f1", "macro_f1", "subset_accuracy", "loss"}


def test_a_label_that_nobody_carries_costs_nothing():
    labels = np.array([[1, 0], [0, 0]])
    analysis = analyse_multi_label(labels, np.array([[0.9, 0.1], [0.2, 0.1]]), ["a", "b"], [0.5, 0.5])
    assert analysis.macro_f1.value == analysis.micro_f1.value == 1
    assert analysis.labels[1].average_precision.value == 0


def test_shapes_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"must be \[N, C\] with N > 0, found \[2, 2\] and \[2, 3\] for 3 labels"):
        analyse_multi_label(np.zeros((2, 2)), np.zeros((2, 3)), NAMES, [0.5] * 3)


def test_a_perfect_order_of_few_rows_is_not_certain():
    labels = np.array([[1, 0, 0], [0, 1, 0]] * 10)
    found = analyse_multi_label(labels, np.where(labels, 0.9, 0.1), list("abc"), [0.5] * 3)
    assert found.micro_f1.value == found.macro_f1.value == found.labels[0].average_precision.value == 1
    assert found.labels[0].average_precision.low == pytest.approx(wilson(10, 10).low)
    assert 0.8 < found.macro_f1.low < found.micro_f1.low < 0.93
    absent = found.labels[2]
    assert (absent.f1.low, absent.f1.high) == (absent.average_precision.low, absent.average_precision.high) == (0, 1)
