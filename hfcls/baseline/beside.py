"""The baseline beside a model: fitted on the same training rows, scored on the same rows."""

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hfcls.baseline.linear import Baseline
from hfcls.baseline.ngrams import Text
from hfcls.scoring.analysis import Analysis, analyse
from hfcls.scoring.intervals import Estimate, McNemar, mcnemar

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

SIGNIFICANT = 0.05
VERDICTS = {
    "better": "The model beats the baseline: {}",
    "worse": "The model is worse than the baseline: {}",
    "level": "The model is not shown to beat the baseline: {} may be chance",
}


@dataclass(frozen=True)
class BaselineScores:
    """What character n-grams and logistic regression reach.

    Attributes:
        analysis: all scores of the split that they were scored on, with their intervals.
        seconds: to fit and to score.
        mcnemar: the paired test of a model (first) against them (second); None where there is no model.
    """

    analysis: Analysis
    seconds: float
    mcnemar: McNemar | None = None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "BaselineScores":
        """From `dataclasses.asdict` of another, for instance out of JSON."""
        test = values["mcnemar"]
        return cls(Analysis.from_dict(values["analysis"]), values["seconds"], McNemar(**test) if test else None)

    @property
    def outcome(self) -> str:
        """Of the test of a model: better, worse or level, which is no proof of either; empty without a test."""
        if self.mcnemar is None:
            return ""
        if self.mcnemar.p_value >= SIGNIFICANT:
            return "level"
        return "better" if self.mcnemar.only_first > self.mcnemar.only_second else "worse"

    def verdict(self, accuracy: Estimate) -> str:
        """Whether a model of this accuracy beats the baseline, in a sentence; empty without a test."""
        if self.mcnemar is None:
            return ""
        scores = f"accuracy {accuracy.value:.4f} against {self.analysis.accuracy.value:.4f}"
        return f"{VERDICTS[self.outcome].format(scores)} (McNemar's test: p = {self.mcnemar.p_value:.2g})."


def score_baseline(
    train: "Dataset", scored: "Dataset", probabilities: NDArray[Any] | None = None, *, seed: int = 0
) -> BaselineScores:
    """Fit the baseline on `train` and score it on `scored`, two splits of `load_corpus`; the log says how long it took.

    Args:
        probabilities: of a model for the scored rows, [len(scored), C], to test against; None: there is no model.
        seed: see `Baseline.fit`.
    """
    start = time.perf_counter()
    names = train.features["label"].names
    fitted = Baseline.fit(texts_of(train), labels_of(train), len(names), seed=seed)
    own, labels = fitted.probabilities(texts_of(scored)), labels_of(scored)
    seconds = time.perf_counter() - start
    test = None if probabilities is None else mcnemar(labels, probabilities.argmax(axis=-1), own.argmax(axis=-1))
    scores = BaselineScores(analyse(labels, own, names), seconds, test)
    logger.info("baseline: accuracy %.4f, %.1f s", scores.analysis.accuracy.value, seconds)
    return scores


def texts_of(rows: "Dataset") -> list[Text]:
    """The text of each row of a split of `load_corpus`, or its pair of texts."""
    if "text_pair" in rows.column_names:
        return list(zip(rows["text"], rows["text_pair"], strict=True))
    return list(rows["text"])


def labels_of(rows: "Dataset") -> NDArray[np.int64]:
    """The class id of each row of a split of `load_corpus`, int64 [N]."""
    labels: NDArray[np.int64] = rows.with_format("numpy")["label"][:]
    return labels
