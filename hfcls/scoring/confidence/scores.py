"""How far the probabilities of a model can be trusted: what was fitted on validation, and what it does elsewhere."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hfcls.scoring.analysis import calibration_error
from hfcls.scoring.confidence.fitting import with_temperature
from hfcls.scoring.intervals import Estimate, wilson
from hfcls.scoring.tasks import MultiLabel, SingleLabel, Task

POINTS = 100  # of the curve


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """The outcome of `calibrate` and `target_accuracy`; scores are those of the scored split.

    Attributes:
        num_rows: of validation, on which the temperature and the lowest confidence were found.
        temperature: by which the logits were divided; None: they are as they were trained.
        loss_before, loss_after: mean cross-entropy, in nats, without the temperature and with it.
        ece_before, ece_after: expected calibration error; None of several labels.
        target_accuracy: as asked for; None: it was not.
        abstain_below: confidence below which a text should go to a person; None: not asked for, or the most
            confident rows, which are looked at first, do not show that the target is reached.
        coverage: share of the rows that the model answers itself; None: see `abstain_below`.
        accuracy: on these rows.
        curve: coverage and accuracy of the most confident rows, up to all of them, if a target was asked for.
    """

    num_rows: int
    temperature: float | None = None
    loss_before: float | None = None
    loss_after: float | None = None
    ece_before: float | None = None
    ece_after: float | None = None
    target_accuracy: float | None = None
    abstain_below: float | None = None
    coverage: Estimate | None = None
    accuracy: Estimate | None = None
    curve: list[list[float]] = field(default_factory=list)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Confidence":
        """From `dataclasses.asdict` of another, for instance out of JSON."""
        read: dict[str, Any] = {
            name: Estimate(**value) if isinstance(value, dict) else value for name, value in values.items()
        }
        return cls(**read)

    def rows(self) -> list[tuple[str, str]]:
        """What was done, and what it gave, for `aligned`."""
        rows = []
        if self.temperature is not None:
            changes = [("loss", self.loss_before, self.loss_after), ("ECE", self.ece_before, self.ece_after)]
            told = ", ".join(f"{name} {old:.4f} -> {new:.4f}" for name, old, new in changes if new is not None)
            fitted = f"temperature {self.temperature:.3f} of {self.num_rows:,} validation rows"
            rows.append(("calibrated", f"{told}  {fitted}"))
        if self.target_accuracy is not None:
            rows.append(("abstains", self.told_of_target()))
        return rows

    def told_of_target(self) -> str:
        """Where the model hands over to a person, and what it reaches on the rest."""
        target = f"accuracy {self.target_accuracy:g}"
        if self.abstain_below is None:
            return (
                f"never: the most confident of {self.num_rows:,} validation rows do not show that {target} is reached"
            )
        assert self.coverage is not None, "it comes with the confidence"
        if not self.abstain_below:
            return f"never: {self.num_rows:,} validation rows show that {target} is reached on all texts"
        answered = f"answers {self.coverage.value:.1%} of the rows, accuracy {self.accuracy}"
        return f"below {self.abstain_below:.4f}, for {target}; {answered}"


def confidence_scores(
    task: Task,
    labels: ArrayLike,
    outputs: NDArray[Any],
    *,
    num_rows: int,
    temperature: float | None,
    target_accuracy: float | None,
) -> Confidence | None:
    """What a temperature and a lowest confidence do on scored rows; None if neither was looked for.

    Args:
        task: with the lowest confidence, if one was found.
        labels: as `Task.analyse` takes them.
        outputs: of `task`, with the temperature.
        num_rows: of validation.
    """
    values: dict[str, Any] = {}
    if temperature is not None:
        exclusive = not isinstance(task, MultiLabel)
        before = with_temperature(outputs, 1 / temperature, exclusive=exclusive)
        values["loss_before"], values["ece_before"] = _loss_and_error(task, labels, before)
        values["loss_after"], values["ece_after"] = _loss_and_error(task, labels, outputs)
    if target_accuracy is not None and isinstance(task, SingleLabel):
        right, confidence = task.right(labels, outputs), outputs.max(axis=1)
        assert right is not None
        values["curve"] = _curve(right, confidence)
        values["abstain_below"] = task.abstain_below
        if task.abstain_below is not None:
            kept = confidence >= task.abstain_below
            values["coverage"] = wilson(int(kept.sum()), len(kept))
            values["accuracy"] = wilson(int(right[kept].sum()), int(kept.sum()))
    if not values:
        return None
    return Confidence(num_rows=num_rows, temperature=temperature, target_accuracy=target_accuracy, **values)


def _loss_and_error(task: Task, labels: ArrayLike, outputs: NDArray[Any]) -> tuple[float, float | None]:
    labels, clipped = np.asarray(labels), outputs.clip(min=np.finfo(np.float64).tiny)
    if isinstance(task, MultiLabel):
        others = (1 - outputs).clip(min=np.finfo(np.float64).tiny)
        return float(-np.log(np.where(labels > 0, clipped, others)).mean()), None
    loss = float(-np.log(clipped[np.arange(len(labels)), labels]).mean())
    return loss, calibration_error(outputs.argmax(axis=1) == labels, outputs.max(axis=1))


def _curve(right: NDArray[np.bool_], confidence: NDArray[Any]) -> list[list[float]]:
    hits = right[np.argsort(-confidence, kind="stable")].cumsum()
    rows = np.unique(np.linspace(1, len(hits), min(POINTS, len(hits))).round().astype(int))
    return np.column_stack([rows / len(hits), hits[rows - 1] / rows]).tolist()
