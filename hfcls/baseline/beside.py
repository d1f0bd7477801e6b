"""The baseline beside a model: fitted on the same training rows, scored on the same rows."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hfcls.baseline.linear import Baseline, ridge
from hfcls.baseline.ngrams import Text
from hfcls.scoring.analysis import Analysis
from hfcls.scoring.intervals import Estimate, McNemar, mcnemar
from hfcls.scoring.multi_label import MultiLabelAnalysis, reliable_thresholds
from hfcls.scoring.tasks import AnyAnalysis, MultiLabel, Regression, Task, analysis_from_dict

if TYPE_CHECKING:
    from datasets import Dataset


SIGNIFICANT = 0.05
VERDICTS = {
    "better": "The model beats the baseline: {}",
    "worse": "The model is worse than the baseline: {}",
    "level": "The model is not shown to beat the baseline: {} may be chance",
}


@dataclass(frozen=True)
class BaselineScores:
    """What character n-grams and logistic regression (of numbers, ridge regression) reach.

    Attributes:
        analysis: all scores of the split that they were scored on, with their intervals.
        seconds: to fit and to score.
        mcnemar: the paired test of a model (first) against them (second); None where there is no model.
    """

    analysis: AnyAnalysis
    seconds: float
    mcnemar: McNemar | None = None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "BaselineScores":
        """From `dataclasses.asdict` of another, for instance out of JSON."""
        test = values["mcnemar"]
        return cls(analysis_from_dict(values["analysis"]), values["seconds"], McNemar(**test) if test else None)

    @property
    def outcome(self) -> str:
        """Of the test of a model: better, worse or level, which is no proof of either; empty without a test."""
        if self.mcnemar is None:
            return ""
        if self.mcnemar.p_value >= SIGNIFICANT:
            return "level"
        return "better" if self.mcnemar.only_first > self.mcnemar.only_second else "worse"

    def verdict(self, analysis: AnyAnalysis) -> str:
        """Whether a model with these scores beats the baseline, in a sentence; empty without a test."""
        if self.mcnemar is None:
            return ""
        (name, score), (_, own) = rows_right(analysis), rows_right(self.analysis)
        scores = f"{name} {score.value:.4f} vs {own.value:.4f}"
        return f"{VERDICTS[self.outcome].format(scores)} (McNemar's p = {self.mcnemar.p_value:.2g})."


def rows_right(analysis: AnyAnalysis) -> tuple[str, Estimate]:
    """The share of rows that are all right, which McNemar's test is about, after its name."""
    if isinstance(analysis, Analysis):
        return "accuracy", analysis.accuracy
    assert isinstance(analysis, MultiLabelAnalysis), "numbers are not right or wrong"
    return "subset accuracy", analysis.subset_accuracy


def score_baseline(
    splits: Mapping[str, "Dataset"], split: str, task: Task, outputs: NDArray[Any] | None = None, *, seed: int = 0
) -> BaselineScores:
    """Fit the baseline on the train split of a corpus of `load_corpus` and score it on another.

    Thresholds of several labels are tuned on the validation split, where there is one, as those of a model are.

    Args:
        task: of the corpus.
        outputs: of a model for the scored rows, as `task` gives them, to test against; None: there is no model.
        seed: see `Baseline.fit`.
    """
    start = time.perf_counter()
    train, scored = splits["train"], splits[split]
    labels = task.targets(scored["label"])
    if isinstance(task, Regression):
        own = ridge(texts_of(train), task.targets(train["label"]), texts_of(scored), seed=seed)
    else:
        fitted = Baseline.fit(texts_of(train), task.targets(train["label"]), len(task.names), seed=seed)
        own = fitted.probabilities(texts_of(scored))
    its_task: Task = task
    if isinstance(task, MultiLabel) and "validation" in splits:
        tuning = splits["validation"]
        thresholds = reliable_thresholds(task.targets(tuning["label"]), fitted.probabilities(texts_of(tuning)))
        its_task = replace(task, thresholds=thresholds.tolist())
    seconds = time.perf_counter() - start
    right, other = its_task.right(labels, own), None if outputs is None else task.right(labels, outputs)
    test = None if right is None or other is None else mcnemar(np.ones(len(labels), bool), other, right)
    return BaselineScores(its_task.analyse(labels, own), seconds, test)


def out_of_fold(
    texts: Sequence[Text], labels: NDArray[Any], folds: NDArray[np.int64], num_labels: int, *, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Of each fold, its rows and their probabilities [rows, num_labels] by a baseline that was fitted on the others."""
    for fold in np.unique(folds):
        seen, unseen = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        fitted = Baseline.fit([texts[i] for i in seen.tolist()], labels[seen], num_labels, seed=seed)
        yield unseen, fitted.probabilities([texts[i] for i in unseen.tolist()])


def texts_of(rows: "Dataset") -> list[Text]:
    """The text of each row of a split of `load_corpus`, or its pair of texts."""
    if "text_pair" in rows.column_names:
        return list(zip(rows["text"], rows["text_pair"], strict=True))
    return list(rows["text"])


def labels_of(rows: "Dataset") -> NDArray[np.int64]:
    """The class id of each row of a split of `load_corpus`, int64 [N]."""
    labels: NDArray[np.int64] = rows.with_format("numpy")["label"][:]
    return labels
