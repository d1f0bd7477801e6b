"""What a run comes to, in three sentences: how good it is, whether it has finished learning, what to do next."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hfcls.publishing.names import SCORES, SPLITS, decimals
from hfcls.runs.results import Result
from hfcls.scoring.analysis import Analysis
from hfcls.scoring.intervals import Estimate

Points = Sequence[tuple[float, float]]
Sentence = tuple[str, str]  # Korean, English

NOTICEABLE = 0.01  # share of a loss by which it changes from one evaluation to the next
WIDE = 0.1  # an interval of a share that says little
UNSURE = 0.05  # by how much confidence may miss accuracy

HOW_GOOD = {
    "better": ("기준 모델({})보다 낫습니다", "better than the baseline's {}"),
    "worse": ("기준 모델({})보다 못합니다", "worse than the baseline's {}"),
    "level": ("기준 모델({})보다 낫다고 할 수 없습니다", "not shown to be better than the baseline's {}"),
    "": ("기준 모델은 {}입니다", "the baseline's is {}"),
}
LEARNING: dict[str, Sentence] = {
    "unlearned": (
        "평가 손실이 찍어서 맞힐 때보다 낮지 않으므로 모델은 배운 것이 없습니다",
        "The evaluation loss is no lower than that of guessing: the model has learned nothing",
    ),
    "falling": (
        "마지막 평가에서도 손실이 내려가고 있었으므로 학습이 덜 끝났습니다",
        "The evaluation loss was still falling at the end: the model had not finished learning",
    ),
    "overfitting": (
        "에폭 {epoch} 뒤로 평가 손실이 다시 올라 과적합이 나타났습니다",
        "The evaluation loss rose again after epoch {epoch}: the model began to overfit",
    ),
    "finished": (
        "평가 손실이 더는 내려가지 않으므로 학습이 끝났습니다",
        "The evaluation loss no longer falls: the model has finished learning",
    ),
    "fitted": (
        "선형 모델은 한 번에 맞추므로 학습 곡선이 없습니다",
        "A linear model is fitted at once, without a course of learning",
    ),
    "unknown": (
        "평가가 두 번보다 적어 학습이 끝났는지는 알 수 없습니다",
        "With fewer than two evaluations nothing tells whether the model had finished learning",
    ),
}
SURENESS: dict[str, Sentence] = {
    "over": (
        " (예측한 확률의 평균({confidence})이 실제 정확도보다 높아 지나친 확신입니다)",
        ", and its probabilities (mean {confidence}) are higher than its accuracy, which is overconfident",
    ),
    "under": (
        " (예측한 확률의 평균({confidence})이 실제 정확도보다 낮아 확신이 모자랍니다)",
        ", and its probabilities (mean {confidence}) are lower than its accuracy, which is underconfident",
    ),
    "": ("", ""),
}
NEXT: dict[str, Sentence] = {
    "unlearned": (
        "레이블, 토크나이저, --learning_rate를 살펴보세요.",
        "Look at the labels, the tokenizer and --learning_rate.",
    ),
    "falling": (
        "--num_train_epochs를 두 배로 늘려 다시 학습하세요.",
        "Train again with twice the --num_train_epochs.",
    ),
    "baseline": (
        "학습 데이터를 늘리거나 다른 인코더(--model)를 써 보고, 그래도 같다면 값싼 기준 모델로 충분합니다.",
        "Label more training rows or try another encoder (--model); if that changes nothing, the baseline, which costs "
        "next to nothing, is enough.",
    ),
    "encoder": (
        "같은 데이터로 인코더(--model)를 학습해 이 점수보다 나은지 보세요.",
        "Train an encoder (--model) on the same data, and see whether it is better than this.",
    ),
    "few": (
        "점수의 구간이 {width} %p로 넓으니, 두 설정을 비교하려면 먼저 채점할 데이터를 늘리세요.",
        "The interval is {width} points wide: label more rows to score on before you compare two settings.",
    ),
    "overfitting": (
        "학습 데이터를 늘리는 것이 가장 좋고, 아니면 --early_stopping_patience 1로 시간을 아끼세요.",
        "More training rows help most; else save time with --early_stopping_patience 1.",
    ),
    "over": (
        "확률을 문턱값으로 쓰려면 검증 데이터 50행 이상과 함께 --calibrate로 다시 학습하세요.",
        "Train again with --calibrate and 50 validation rows or more if you put a threshold on the probabilities.",
    ),
    "errors": (
        "아래에 모은 틀린 예측을 읽고 잘못 달린 레이블을 고치세요.",
        "Read the errors below, and correct the labels that are wrong.",
    ),
}


@dataclass(frozen=True)
class Verdict:
    """Three sentences about a run, each in Korean and English; `states` says in words of the code what they are of."""

    sentences: tuple[Sentence, Sentence, Sentence]
    states: tuple[str, str, str]


def verdict(result: Result, eval_loss: Points) -> Verdict | None:
    """The verdict on a run; None of one that held nothing out.

    Args:
        result: of the run.
        eval_loss: (epoch, loss) of each evaluation in training.
    """
    if result.analysis is None or result.split is None:
        return None
    is_linear = result.facts is not None and result.facts.model == "baseline"
    learning, epoch = ("fitted", 0.0) if is_linear else course(eval_loss, _chance(result))
    sure, confidence = sureness(result.analysis)
    outcome = result.baseline.outcome if result.baseline else ""
    score = result.analysis.headline()[0][1]
    assert isinstance(score, Estimate), "the first score of an analysis has an interval"
    width = score.high - score.low
    is_calibrated = result.confidence is not None and result.confidence.temperature is not None
    todo = _next(learning, outcome, width, "" if is_calibrated else sure)
    words = {"epoch": f"{epoch:g}", "confidence": f"{confidence:.2f}", "width": f"{100 * width:.0f}"}
    korean, english = ((LEARNING[learning][i] + SURENESS[sure][i]).format(**words) + "." for i in range(2))
    advice = (NEXT[todo][0].format(**words), NEXT[todo][1].format(**words))
    return Verdict((how_good(result), (korean, english), advice), (learning, sure, todo))


def how_good(result: Result) -> Sentence:
    """The first score of a run that was scored, beside the baseline's."""
    assert result.analysis is not None, "something was scored"
    name, score = result.analysis.headline()[0]
    assert isinstance(score, Estimate), "the first score of an analysis has an interval"
    digits = decimals(result.num_rows)
    value, low, high = (f"{number:.{digits}f}" for number in (score.value, score.low, score.high))
    korean, english = SCORES[name]
    split = SPLITS.get(result.split or "", result.split)
    ko = f"{split} 데이터 {result.num_rows:,}행에서 잰 점수는 {korean} {value} (95% 구간 {low}–{high})"
    en = f"{english} on the {result.num_rows:,} {result.split} rows is {value} (95 % interval {low} to {high})"
    if result.baseline is None:
        return f"{ko}입니다.", f"{en}."
    other = result.baseline.analysis.headline()[0][1]
    assert isinstance(other, Estimate)
    its = f"{other.value:.{digits}f}"
    beside = [text.format(its) for text in HOW_GOOD[result.baseline.outcome]]
    return f"{ko}이고, {beside[0]}.", f"{en}, {beside[1]}."


def course(eval_loss: Points, chance: float | None = None) -> tuple[str, float]:
    """Whether a model has finished learning, and its best epoch: unlearned, falling, overfitting, finished or unknown.

    Args:
        eval_loss: (epoch, loss), in their order.
        chance: the loss of guessing; None if that is unknown.
    """
    if not eval_loss:
        return "unknown", 0.0
    epoch, best = min(eval_loss, key=lambda point: point[1])
    if chance is not None and best > 0.99 * chance:
        return "unlearned", epoch
    if len(eval_loss) < 2:
        return "unknown", epoch
    before, last = eval_loss[-2][1], eval_loss[-1][1]
    if last == best and before - last > NOTICEABLE * before:
        return "falling", epoch
    return ("overfitting" if last - best > NOTICEABLE * abs(best) else "finished"), epoch


def sureness(analysis: object) -> tuple[str, float]:
    """Whether a classifier is over- or underconfident (over, under, or empty), and its mean confidence."""
    if not isinstance(analysis, Analysis):
        return "", 0.0
    confidence = math.fsum(bin.count * bin.confidence for bin in analysis.reliability) / analysis.num_rows
    accuracy = analysis.accuracy
    if confidence > max(accuracy.high, accuracy.value + UNSURE):
        return "over", confidence
    if confidence < min(accuracy.low, accuracy.value - UNSURE):
        return "under", confidence
    return "", confidence


def _chance(result: Result) -> float | None:
    """The loss of guessing among classes; None of labels and numbers."""
    return math.log(len(result.analysis.label_names)) if isinstance(result.analysis, Analysis) else None


def _next(learning: str, outcome: str, width: float, sure: str) -> str:
    """What helps most, the gravest first."""
    if learning in ("unlearned", "falling"):
        return learning
    if learning == "fitted" and width <= WIDE:
        return "encoder"
    if outcome in ("worse", "level"):
        return "baseline"
    if width > WIDE:
        return "few"
    if learning == "overfitting":
        return learning
    return "over" if sure == "over" else "errors"
