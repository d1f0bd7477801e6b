"""What a model says of a text: one class, any number of labels, or a number. What differs between these is here.

Each kind knows how logits become outputs, what these decide, and how both are scored and told. Only numpy is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hfcls.errors import HfclsError
from hfcls.scoring.analysis import Analysis, analyse
from hfcls.scoring.multi_label import MultiLabelAnalysis, analyse_multi_label
from hfcls.scoring.regression import RegressionAnalysis, analyse_regression

BETWEEN = ", "  # of the labels of one text, where they are shown


@dataclass(frozen=True)
class SingleLabel:
    """Each text has one of `names`; outputs are probabilities [N, C].

    Attributes:
        abstain_below: a text whose most probable class is less probable should go to a person; None: that is unknown.
    """

    names: list[str]
    abstain_below: float | None = None
    problem_type: ClassVar[str] = "single_label_classification"

    def targets(self, labels: Sequence[Any]) -> NDArray[Any]:
        """The class ids [N] of a `label` column."""
        return np.asarray(labels, np.int64)

    def outputs(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Softmax of the logits [N, C], in float64."""
        logits = np.asarray(logits, np.float64)
        exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
        outputs: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
        return outputs

    def analyse(self, labels: ArrayLike, outputs: ArrayLike, *, lengths: ArrayLike | None = None) -> Analysis:
        """All scores of these rows; `labels` are class ids [N]."""
        return analyse(labels, outputs, self.names, lengths=lengths)

    def right(self, labels: ArrayLike, outputs: ArrayLike) -> NDArray[np.bool_] | None:
        """Whether each row is given its label [N]."""
        right: NDArray[np.bool_] = np.asarray(outputs).argmax(axis=-1) == np.asarray(labels)
        return right

    def decided(self, outputs: ArrayLike) -> list[Any]:
        """The name of the most probable class of each row."""
        return [self.names[i] for i in np.asarray(outputs).argmax(axis=-1)]

    def named(self, labels: Sequence[Any]) -> list[Any]:
        """What `decided` would give for the true `labels`, class ids."""
        return [self.names[label] for label in labels]

    def answer(self, row: Sequence[float], *, all_scores: bool) -> dict[str, Any]:
        """`{"label": name, "score": probability}`, with `all_scores` also `"scores"` of every class by name.

        A model that knows when to abstain says `"abstain": True` or `False`, too.
        """
        best = max(range(len(row)), key=row.__getitem__)
        abstains = {} if self.abstain_below is None else {"abstain": bool(row[best] < self.abstain_below)}
        scores = {"scores": dict(zip(self.names, row, strict=True))} if all_scores else {}
        return {"label": self.names[best], "score": row[best], **abstains, **scores}

    def columns(self, probabilities: NDArray[Any], *, all_scores: bool) -> dict[str, Any]:
        """What `hfcls predict` adds to a table for the probabilities [N, C] of its rows: values [N] by column."""
        names = np.array(self.names, object)[probabilities.argmax(axis=-1)]
        best = probabilities.max(axis=-1)
        columns = {"predicted_label": names, "predicted_score": best}
        if self.abstain_below is not None:
            columns["abstain"] = best < self.abstain_below
        return columns | (probability_columns(self.names, probabilities) if all_scores else {})


@dataclass(frozen=True)
class MultiLabel:
    """Each text has any number of `names`; outputs are probabilities [N, C], each of its own.

    Attributes:
        thresholds: a label is given where its probability is above its threshold; 0.5 until they are tuned.
    """

    names: list[str]
    thresholds: list[float] = field(default_factory=list)
    problem_type: ClassVar[str] = "multi_label_classification"

    def __post_init__(self) -> None:
        if not self.thresholds:
            object.__setattr__(self, "thresholds", [0.5] * len(self.names))

    def targets(self, labels: Sequence[Any]) -> NDArray[Any]:
        """0 and 1 [N, C] of a `label` column, lists of label ids."""
        return multi_hot(labels, len(self.names))

    def outputs(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Sigmoid of the logits [N, C], in float64."""
        outputs: NDArray[np.float64] = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
        return outputs

    def analyse(self, labels: ArrayLike, outputs: ArrayLike, *, lengths: ArrayLike | None = None) -> MultiLabelAnalysis:
        """All scores of these rows; `labels` are 0 or 1 [N, C]."""
        return analyse_multi_label(labels, outputs, self.names, self.thresholds)

    def right(self, labels: ArrayLike, outputs: ArrayLike) -> NDArray[np.bool_] | None:
        """Whether each row is given all of its labels and no other [N]."""
        right: NDArray[np.bool_] = (self._given(outputs) == np.asarray(labels, bool)).all(axis=-1)
        return right

    def decided(self, outputs: ArrayLike) -> list[Any]:
        """The names of the labels that each row is given, in a list."""
        return [[name for name, given in zip(self.names, row, strict=True) if given] for row in self._given(outputs)]

    def named(self, labels: Sequence[Any]) -> list[Any]:
        """What `decided` would give for the true `labels`, lists of ids."""
        return [[self.names[i] for i in sorted(label)] for label in labels]

    def answer(self, row: Sequence[float], *, all_scores: bool) -> dict[str, Any]:
        """`{"labels": names, "scores": their probabilities by name}`, with `all_scores` those of every label."""
        given = self.decided([row])[0]
        scores = dict(zip(self.names, row, strict=True))
        return {"labels": given, "scores": scores if all_scores else {name: scores[name] for name in given}}

    def columns(self, probabilities: NDArray[Any], *, all_scores: bool) -> dict[str, Any]:
        """What `hfcls predict` adds to a table for the probabilities [N, C] of its rows: values [N] by column."""
        lists = np.fromiter(self.decided(probabilities), object, len(probabilities))
        return {"predicted_labels": lists} | (probability_columns(self.names, probabilities) if all_scores else {})

    def _given(self, outputs: ArrayLike) -> NDArray[np.bool_]:
        given: NDArray[np.bool_] = np.asarray(outputs, np.float64) > np.asarray(self.thresholds)
        return given


@dataclass(frozen=True)
class Regression:
    """Each text has a number; outputs are numbers [N], in the unit of the targets.

    Attributes:
        names: one, of the target.
        mean: of the training targets. A model learns (target - mean) / scale; what is saved answers in units.
        scale: their standard deviation.
    """

    names: list[str]
    mean: float = 0.0
    scale: float = 1.0
    problem_type: ClassVar[str] = "regression"

    def targets(self, labels: Sequence[Any]) -> NDArray[Any]:
        """The numbers [N] of a `label` column."""
        return np.asarray(labels, np.float64)

    def outputs(self, logits: ArrayLike) -> NDArray[np.float64]:
        """The logits [N, 1] as numbers [N]."""
        outputs: NDArray[np.float64] = np.asarray(logits, np.float64)[..., 0]
        return outputs

    def analyse(self, labels: ArrayLike, outputs: ArrayLike, *, lengths: ArrayLike | None = None) -> RegressionAnalysis:
        """All scores of these rows; `labels` are targets [N]."""
        return analyse_regression(labels, outputs)

    def right(self, labels: ArrayLike, outputs: ArrayLike) -> NDArray[np.bool_] | None:
        """None: a number is not right or wrong."""
        return None

    def decided(self, outputs: ArrayLike) -> list[Any]:
        """The numbers."""
        return np.asarray(outputs, np.float64).tolist()

    def named(self, labels: Sequence[Any]) -> list[Any]:
        """The targets as they are."""
        return [float(label) for label in labels]

    def answer(self, row: Sequence[float], *, all_scores: bool) -> dict[str, Any]:
        """`{"label": name of the target, "score": number}`, as the pipeline of transformers has it."""
        return {"label": self.names[0], "score": row[0]}

    def columns(self, probabilities: NDArray[Any], *, all_scores: bool) -> dict[str, Any]:
        """What `hfcls predict` adds to a table for the numbers [N, 1] of its rows: values [N] by column."""
        return {"predicted_score": probabilities[:, 0]}


def multi_hot(labels: Sequence[Sequence[int]], num_labels: int) -> NDArray[np.float64]:
    """0 and 1 [N, num_labels] of lists of label ids."""
    hot = np.zeros((len(labels), num_labels))
    for row, ids in zip(hot, labels, strict=True):
        row[list(ids)] = 1
    return hot


Task = SingleLabel | MultiLabel | Regression
AnyAnalysis = Analysis | MultiLabelAnalysis | RegressionAnalysis


def probability_columns(names: list[str], probabilities: NDArray[Any]) -> dict[str, Any]:
    """Probabilities [N, C] as the columns of a table, one for each name."""
    return {f"probability_{name}": column for name, column in zip(names, probabilities.T, strict=True)}


def task_for(
    problem_type: str | None,
    names: list[str],
    thresholds: list[float] | None = None,
    abstain_below: float | None = None,
) -> Task | None:
    """What a model says of a text, from what its config tells; None if it is none of these kinds.

    Raises:
        HfclsError: probabilities from which on a label is given, or the model abstains, that are none.
    """
    told = {"abstain_below": [] if abstain_below is None else [abstain_below], "thresholds": thresholds or []}
    for name, values in told.items():
        if wrong := [value for value in values if not 0 <= value <= 1]:
            raise HfclsError(f"{name} in config.json must be from 0 to 1, found {wrong[0]}: put back what was trained")
    if problem_type == MultiLabel.problem_type:
        return MultiLabel(names, thresholds if thresholds and len(thresholds) == len(names) else [])
    if problem_type == Regression.problem_type:
        return Regression(names) if len(names) == 1 else None
    return SingleLabel(names, abstain_below) if len(names) > 1 else None


def analysis_from_dict(values: dict[str, Any]) -> AnyAnalysis:
    """An analysis of any kind out of `dataclasses.asdict` of it."""
    kinds: dict[str, Any] = {"labels": MultiLabelAnalysis, "pearson": RegressionAnalysis}
    kind = next((kind for name, kind in kinds.items() if name in values), Analysis)
    analysis: AnyAnalysis = kind.from_dict(values)
    return analysis


def shown(decided: Any) -> str:
    """What was decided of a text, as one text."""
    if isinstance(decided, list):
        return BETWEEN.join(decided) or "-"
    if isinstance(decided, str):
        return decided
    number = f"{decided:.4g}"
    return f"{decided:.0f}" if "e+" in number else number  # prices and the like are written out
