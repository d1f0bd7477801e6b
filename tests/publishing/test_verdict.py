"""Three sentences about a run, on made-up histories of its losses."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from hfcls.baseline.beside import BaselineScores
from hfcls.publishing.names import decimals
from hfcls.publishing.pages.verdict import course, sureness, verdict
from hfcls.runs.results import Result
from hfcls.scoring.analysis import Analysis, analyse
from hfcls.scoring.confidence.scores import Confidence
from hfcls.scoring.intervals import McNemar


def scored(rows: int, right: int, confidence: float) -> Analysis:
    """Of two classes: so many rows, of which so many are right, all with the same confidence."""
    labels = np.arange(rows) % 2
    given = np.where(np.arange(rows) < right, labels, 1 - labels)
    probabilities = np.full((rows, 2), 1 - confidence)
    probabilities[np.arange(rows), given] = confidence
    return analyse(labels, probabilities, ["부정", "긍정"])


def of(rows: int = 1000, right: int = 900, confidence: float = 0.9, baseline: BaselineScores | None = None) -> Result:
    analysis = scored(rows, right, confidence)
    return Result(
        output_dir="out", split="test", num_rows=rows, seed=7, metrics={}, rows_per_second=1.0, analysis=analysis,
        baseline=baseline,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([0.70, 0.69], ("unlearned", 2)),
        ([0.6, 0.5, 0.4], ("falling", 3)),
        ([0.6, 0.4, 0.397], ("finished", 3)),
        ([0.6, 0.4, 0.402], ("finished", 2)),
        ([0.6, 0.4, 0.45, 0.5], ("overfitting", 2)),
        ([0.6, 0.4, 0.45, 0.41], ("overfitting", 2)),
        ([0.4], ("unknown", 1)),
        ([], ("unknown", 0)),
    ],
)
def test_the_course_of_the_loss_tells_whether_it_has_finished(losses, expected):
    assert course(list(enumerate(losses, 1)), chance=np.log(2)) == expected


@pytest.mark.parametrize(("confidence", "state"), [(0.99, "over"), (0.92, ""), (0.9, ""), (0.7, "under")])
def test_confidence_beside_accuracy(confidence, state):
    found, mean = sureness(scored(1000, 900, confidence))
    assert found == state
    assert mean == pytest.approx(confidence)


def test_a_gap_that_few_rows_cannot_show_is_not_claimed():
    assert sureness(scored(10, 8, 0.93))[0] == ""


FALLING, RISEN, FLAT = [(1, 0.6), (2, 0.4)], [(1, 0.3), (2, 0.5)], [(1, 0.4), (2, 0.399)]


@pytest.mark.parametrize(
    ("result", "losses", "todo"),
    [
        (of(), FALLING, "falling"),
        (of(), RISEN, "overfitting"),
        (of(), FLAT, "errors"),
        (of(confidence=0.99), FLAT, "over"),
        (of(rows=60, right=50), FLAT, "few"),
        (of(baseline=BaselineScores(scored(1000, 890, 0.9), 1.0, McNemar(60, 50, 0.4))), FLAT, "baseline"),
        (of(baseline=BaselineScores(scored(1000, 950, 0.9), 1.0, McNemar(10, 60, 1e-9))), FLAT, "baseline"),
        (of(), [(1, 0.7), (2, 0.7)], "unlearned"),
    ],
)
def test_what_to_do_next_is_what_helps_most(result, losses, todo):
    assert verdict(result, losses).states[2] == todo


def test_a_run_that_was_calibrated_is_not_told_to_calibrate():
    sure = replace(of(confidence=0.99), confidence=Confidence(num_rows=100, temperature=1.1))
    assert verdict(sure, FLAT).states == ("finished", "over", "errors")
    asked = replace(sure, confidence=Confidence(num_rows=100, target_accuracy=0.9))
    assert verdict(asked, FLAT).states[2] == "over"


def test_the_sentences_hold_the_numbers_of_the_run():
    better = BaselineScores(scored(1000, 800, 0.9), 1.0, McNemar(120, 20, 1e-9))
    good, learned, advice = verdict(of(confidence=0.99, baseline=better), RISEN).sentences
    assert good == (
        "테스트 데이터 1,000행에서 잰 점수는 정확도 0.900 (95% 구간 0.880–0.917)이고, 기준 모델(0.800)보다 낫습니다.",
        "Accuracy on the 1,000 test rows is 0.900 (95 % interval 0.880 to 0.917), better than the baseline's 0.800.",
    )
    assert learned[1] == (
        "The evaluation loss rose again after epoch 1: the model began to overfit, and its probabilities (mean 0.99) "
        "are higher than its accuracy, which is overconfident."
    )
    assert advice[1].startswith("More training rows help most")
    assert "36" not in advice[1]
    few = verdict(of(rows=20, right=15), FLAT).sentences[2]
    assert few[1].startswith("The interval is 36 points wide: label more rows to score on")


def test_a_linear_model_has_no_course_and_an_encoder_beside_it_is_the_next_step():
    run = of()
    run.facts = SimpleNamespace(model="baseline")
    assert verdict(run, []).states == ("fitted", "", "encoder")


def test_nothing_held_out_has_no_verdict():
    nothing = Result(output_dir="out", split=None, num_rows=0, seed=7, metrics={}, rows_per_second=1.0)
    assert verdict(nothing, FLAT) is None


def test_decimals_are_those_that_the_rows_carry():
    assert [decimals(rows) for rows in (0, 1, 60, 100, 101, 1000, 1001, 50_000, 10**7)] == [2, 2, 2, 2, 3, 3, 4, 4, 4]
