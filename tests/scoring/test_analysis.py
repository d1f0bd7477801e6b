"""Scores against scikit-learn, published values and the slow, obvious way."""

import json
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, precision_recall_fscore_support

from hfcls.scoring.analysis import Analysis, analyse
from hfcls.scoring.intervals import mcnemar, wilson
from hfcls.scoring.multi_label import analyse_multi_label


def predictions(rows: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels [rows] and probabilities [rows, classes] of a middling model."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, rows, p=np.arange(1, classes + 1) / sum(range(classes + 1)))
    logits = rng.normal(size=(rows, classes))
    logits[np.arange(rows), labels] += 1
    exp = np.exp(logits)
    return labels, exp / exp.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 5])
def test_scores_are_those_of_scikit_learn(classes):
    labels, probabilities = predictions(400, classes)
    names = [f"클래스{i}" for i in range(classes)]
    analysis = analyse(labels, probabilities, names)
    predicted = probabilities.argmax(axis=1)
    assert analysis.accuracy.value == accuracy_score(labels, predicted)
    assert analysis.macro_f1.value == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert analysis.loss == pytest.approx(log_loss(labels, probabilities))
    assert analysis.confusion == confusion_matrix(labels, predicted).tolist()
    ours = [(row.precision.value, row.recall.value, row.f1.value, row.support) for row in analysis.classes]
    theirs = precision_recall_fscore_support(labels, predicted)
    assert np.allclose(ours, np.transpose(theirs))
    for row in analysis.classes:
        for score in (row.precision, row.recall, row.f1):
            assert score.low < score.value < score.high


def test_classes_that_never_occur_count_as_in_scikit_learn():
    labels, probabilities = np.array([0, 0, 1]), np.array([[0.8, 0.2, 0, 0], [0.1, 0.9, 0, 0], [0.1, 0.2, 0.7, 0]])
    analysis = analyse(labels, probabilities, list("abcd"))
    predicted = probabilities.argmax(axis=1)
    assert analysis.macro_f1.value == f1_score(labels, predicted, average="macro", zero_division=0)
    nothing = analysis.classes[3]
    assert (nothing.support, nothing.predicted, nothing.f1.value) == (0, 0, 0)
    assert (nothing.recall.low, nothing.recall.high) == (0, 1)


def test_wilson_interval_has_its_published_values():
    # Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998), table I
    for successes, trials, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)]:
        estimate = wilson(successes, trials)
        assert (estimate.low, estimate.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_bootstrap_interval_is_that_of_drawing_rows():
    labels, probabilities = predictions(200, 3)
    predicted = probabilities.argmax(axis=1)
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(300):
        rows = rng.integers(200, size=200)
        drawn.append(f1_score(labels[rows], predicted[rows], average="macro"))
    ours = analyse(labels, probabilities, list("abc")).macro_f1
    assert (ours.low, ours.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.015)
    assert analyse(labels, probabilities, list("abc")).macro_f1 == ours  # seeded


def test_bootstrap_interval_holds_95_percent():
    """Of few rows, where the 2.5th and the 5th percentile lie far apart; by as many draws as it takes to tell them."""
    labels, probabilities = predictions(40, 2)
    analysis = analyse(labels, probabilities, list("ab"))
    drawn = np.random.default_rng(1).integers(40, size=(20_000, 40))
    truth, guess = labels[drawn], probabilities.argmax(axis=1)[drawn]
    f1 = [2 * ((truth == k) & (guess == k)).sum(1) / ((truth == k).sum(1) + (guess == k).sum(1)) for k in (0, 1)]
    for estimate, scores in ((analysis.classes[0].f1, f1[0]), (analysis.classes[1].f1, f1[1]),
                             (analysis.macro_f1, np.mean(f1, axis=0))):  # fmt: skip
        low, wrong_low, wrong_high, high = np.quantile(scores, [0.025, 0.05, 0.95, 0.975])
        assert abs(estimate.low - low) < abs(estimate.low - wrong_low)
        assert abs(estimate.high - high) < abs(estimate.high - wrong_high)
        assert ((scores >= estimate.low) & (scores <= estimate.high)).mean() == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(("classes", "rows", "errors"), [(10, 1, 1), (20, 2, 0), (20, 2, 2), (50, 2, 9), (2, 1, 0)])
def test_the_interval_of_macro_f1_holds_it_where_classes_have_few_rows(classes: int, rows: int, errors: int):
    """Each draw lacks some of the classes, whose F1 is 0 there: all draws lay below the score."""
    labels = np.repeat(np.arange(classes), rows)
    predicted = np.where(np.arange(len(labels)) < errors, (labels + 1) % classes, labels)
    names = [str(i) for i in range(classes)]
    several = analyse_multi_label(np.eye(classes)[labels], np.eye(classes)[predicted], names, [0.5] * classes)
    for found in (analyse(labels, np.eye(classes)[predicted], names).macro_f1, several.macro_f1):
        assert 0 < found.low < found.value <= found.high <= 1
        assert errors == 0 or found.high - found.value < 0.3


def test_rows_without_an_error_or_without_a_hit_do_not_make_f1_certain():
    """All resamples of them agree. Wilson's interval of 5 of 5 begins at .566, of which as Jaccard index F1 is .722."""
    right = analyse([0] * 5 + [1] * 5, np.eye(2)[[0] * 5 + [1] * 5], list("ab"))
    assert [one.f1.value for one in right.classes] == [1, 1] == [one.f1.high for one in right.classes]
    assert [one.f1.low for one in right.classes] == pytest.approx([0.7225, 0.7225], abs=5e-5)
    assert right.macro_f1.low == pytest.approx(0.7225, abs=5e-5)
    missed = analyse([0] * 8 + [1] * 2, np.eye(2)[[0] * 10], list("ab")).classes[1].f1
    assert (missed.value, missed.low) == (0, 0)
    assert missed.high == pytest.approx(2 * wilson(0, 2).high / (1 + wilson(0, 2).high))
    rare = analyse([0] * 2 + [1] * 30, np.eye(2)[[0] * 2 + [1] * 30], list("ab")).classes[0].f1
    assert rare.low == pytest.approx(2 * wilson(2, 2).low / (1 + wilson(2, 2).low)), "also where draws lack both rows"
    absent = analyse([0] * 4, np.eye(3)[[0] * 4], list("abc")).classes[2].f1
    assert (absent.value, absent.low, absent.high) == (0, 0, 1), "of a class that no row has, nothing is known"


def test_calibration_error_by_counting():
    labels, probabilities = predictions(300, 2)
    total = 0.0
    for i in range(15):
        rows = [r for r, p in enumerate(probabilities) if i / 15 < p.max() <= (i + 1) / 15]
        if rows:
            right = sum(probabilities[r].argmax() == labels[r] for r in rows)
            total += abs(right - sum(probabilities[r].max() for r in rows)) / 300
    analysis = analyse(labels, probabilities, list("ab"))
    assert analysis.ece == pytest.approx(total)
    assert sum(bin.count for bin in analysis.reliability) == 300
    sure = analyse([0, 1], [[1.0000001, 0], [0, 1]], list("ab"))
    assert (sure.ece, len(sure.reliability)) == (pytest.approx(0, abs=1e-6), 1)


def test_a_confidence_on_the_edge_of_a_bin_belongs_to_the_lower_one():
    """0.6 is the upper edge of the ninth of 15 bins; the next number above it is in the tenth."""
    for edge in range(8, 16):
        on, above = edge / 15, np.nextafter(edge / 15, 2)
        for confidence, bin in ((on, edge), (above, min(edge + 1, 15))):
            (found,) = analyse([0], [[confidence, 1 - confidence]], list("ab")).reliability
            assert (found.low, found.high) == ((bin - 1) / 15, bin / 15)
            assert found.low < confidence
    labels = [0, 0, 1, 1]
    two = analyse(labels, [[0.6, 0.4], [0.6, 0.4], [0.6, 0.4], [0.61, 0.39]], list("ab"))
    assert [row.count for row in two.reliability] == [3, 1]
    assert two.ece == pytest.approx(3 / 4 * abs(2 / 3 - 0.6) + 1 / 4 * 0.61)


def test_lengths_fall_into_buckets_of_about_equal_count():
    labels, probabilities = predictions(600, 2)
    lengths = np.random.default_rng(0).integers(1, 140, 600)
    buckets = analyse(labels, probabilities, list("ab"), lengths=lengths).lengths
    assert [bucket.count for bucket in buckets] == pytest.approx([100] * 6, abs=10)
    assert all(left.high < right.low for left, right in pairwise(buckets))
    for bucket in buckets:
        rows = (lengths >= bucket.low) & (lengths <= bucket.high)
        assert (rows.sum(), (probabilities.argmax(1) == labels)[rows].mean()) == (bucket.count, bucket.accuracy.value)
    assert len(analyse(labels, probabilities, list("ab"), lengths=[7] * 600).lengths) == 1


def test_mcnemar_is_a_fair_coin():
    labels = np.zeros(120, dtype=int)
    first, second = np.zeros(120, dtype=int), np.zeros(120, dtype=int)
    first[:15] = 1
    second[100:105] = 1
    test = mcnemar(labels, first, second)
    assert (test.only_first, test.only_second) == (5, 15)
    assert test.p_value == pytest.approx(2 * sum([1, 20, 190, 1140, 4845, 15504]) / 2**20)
    assert mcnemar(labels, first, first).p_value == 1


def test_json_and_back():
    labels, probabilities = predictions(50, 3)
    analysis = analyse(labels, probabilities, list("가나다"), lengths=range(1, 51))
    assert Analysis.from_dict(json.loads(json.dumps(asdict(analysis)))) == analysis


def test_shapes_that_do_not_belong_together():
    with pytest.raises(ValueError, match=r"found \[2, 2\] for 3 labels and 2 classes"):
        analyse([0, 1, 1], [[1, 0], [0, 1]], list("ab"))
    with pytest.raises(ValueError, match="with N > 0"):
        analyse([], np.zeros((0, 2)), list("ab"))
