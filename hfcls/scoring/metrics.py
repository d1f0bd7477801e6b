"""Scores of an evaluation in training, without network or cache; and further metrics that a user asks for by name.

The latter come from the library `evaluate`, which is imported only then.
"""

import inspect
import logging
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from transformers import EvalPrediction

from hfcls.errors import HfclsError
from hfcls.scoring.tasks import MultiLabel, Regression, Task

logger = logging.getLogger(__name__)


def classification_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Trainer's `compute_metrics`: `accuracy`, `macro_f1` and `loss` (mean cross-entropy, in nats) over all rows.

    The loss is the mean over rows, not over batches, so it does not depend on the batch size or the number of
    processes. Macro F1 is the unweighted mean over the classes that occur in labels or predictions.

    Args:
        prediction: `predictions` are logits [N, num_labels], `label_ids` class ids [N].
    """
    from sklearn.metrics import accuracy_score, f1_score  # imported here: it takes two seconds

    logits = np.asarray(prediction.predictions, dtype=np.float64)
    labels = np.asarray(prediction.label_ids)
    predicted = logits.argmax(axis=-1)
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "macro_f1": float(f1_score(labels, predicted, average="macro", zero_division=0)),
        "loss": torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)).item(),
    }


def multi_label_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """`micro_f1` and `macro_f1` at a threshold of 0.5, and `loss` (mean binary cross-entropy) over all decisions.

    Args:
        prediction: `predictions` are logits [N, num_labels], `label_ids` 0 or 1 [N, num_labels].
    """
    from sklearn.metrics import f1_score

    logits, labels = (np.asarray(part, np.float64) for part in (prediction.predictions, prediction.label_ids))
    f1 = {kind: float(f1_score(labels, logits > 0, average=kind, zero_division=0)) for kind in ("micro", "macro")}
    loss = torch.nn.functional.binary_cross_entropy_with_logits(torch.from_numpy(logits), torch.from_numpy(labels))
    return {"micro_f1": f1["micro"], "macro_f1": f1["macro"], "loss": loss.item()}


def regression_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """`pearson` and `spearman` (0 where the answers do not vary) and `loss`, the mean squared error.

    Args:
        prediction: `predictions` are [N, 1], `label_ids` targets [N], both standardised.
    """
    from scipy.stats import pearsonr, spearmanr  # imported here: it takes a second

    answers, targets = (
        np.asarray(prediction.predictions, np.float64)[:, 0],
        np.asarray(prediction.label_ids, np.float64),
    )
    varies = len(targets) > 1 and np.ptp(answers) > 0 and np.ptp(targets) > 0
    pearson, spearman = (float(score(targets, answers).statistic) if varies else 0.0 for score in (pearsonr, spearmanr))
    return {"pearson": pearson, "spearman": spearman, "loss": float(((answers - targets) ** 2).mean())}


KNOWN = {  # what each kind measures while it trains
    "single_label_classification": ("loss", "accuracy", "macro_f1"),
    "multi_label_classification": ("loss", "micro_f1", "macro_f1"),
    "regression": ("loss", "pearson", "spearman"),
}


def check_metric(name: str, problem_type: str) -> None:
    """Raises `HfclsError` if a model of this kind has no such metric that a checkpoint could be chosen by."""
    known = KNOWN[problem_type]
    if name not in ("last", *known, *(f"eval_{metric}" for metric in known)):
        raise HfclsError(
            f"metric_for_best_model {name} is not measured for {problem_type.replace('_', ' ')}: choose one of "
            f"eval_loss, {', '.join(known[1:])}, or last"
        )


def metrics_for(problem_type: str | None) -> Callable[[EvalPrediction], dict[str, float]]:
    """Trainer's `compute_metrics` for what a model says of a text."""
    metrics = {"multi_label_classification": multi_label_metrics, "regression": regression_metrics}
    return metrics.get(problem_type or "", classification_metrics)


# Metrics by their name

LOADABLE = "give a name that `evaluate` knows, such as f1, or the folder or file of a metric here"


@dataclass(frozen=True)
class _Metric:
    name: str
    module: Any  # an evaluate.EvaluationModule
    fields: tuple[str, ...]  # what it is given
    options: dict[str, Any]


def further_metrics(names: str | None, task: Task, trust_remote_code: bool = False) -> "FurtherMetrics | None":
    """The metrics of these names, between commas; None of none. Each is tried on made-up labels.

    Names are those of `evaluate.load`, which runs the code of a metric: `f1` is one of Hugging Face's, `./mine` one of
    this machine, `somebody/theirs` one of anybody.

    Raises:
        HfclsError: `evaluate` cannot load one, it does not go with what the model says, or it is somebody's code and
            `trust_remote_code` is not set.
    """
    wanted = [name.strip() for name in (names or "").split(",") if name.strip()]
    if not wanted:
        return None
    metrics = FurtherMetrics(task, [_loaded(name, task, trust_remote_code) for name in dict.fromkeys(wanted)])
    labels, outputs = _made_up(task)
    for metric in metrics.metrics:
        try:
            metrics.of(metric, task, labels, outputs)
        except Exception as error:  # a metric may raise anything
            raise HfclsError(f"metric {metric.name} cannot be computed here: {_line(error)}; drop it") from error
    return metrics


@dataclass(frozen=True)
class FurtherMetrics:
    """Metrics that were loaded for a task; called with labels and outputs, as `Task.analyse` is."""

    task: Task
    metrics: list[_Metric]

    def __call__(self, labels: ArrayLike, outputs: ArrayLike, task: Task | None = None) -> dict[str, float]:
        """Each number by the name that its metric gives it; what fails is told in a log line and left out.

        Args:
            task: the same with other names or thresholds; default: the one they were loaded for.
        """
        found: dict[str, float] = {}
        for metric in self.metrics:
            try:
                values = self.of(metric, task or self.task, np.asarray(labels), np.asarray(outputs))
            except Exception as error:
                logger.warning("metric %s failed and is left out: %s", metric.name, _line(error))
                continue
            found |= {f"{metric.name}: {key}" if key in found else key: value for key, value in values.items()}
        return found

    @staticmethod
    def of(metric: _Metric, task: Task, labels: NDArray[Any], outputs: NDArray[Any]) -> dict[str, float]:
        """The numbers that one metric gives; another kind of value, or NaN, is told in a log line and left out."""
        binary = outputs.ndim == 2 and outputs.shape[1] == 2 and not isinstance(task, MultiLabel)
        given: dict[str, Callable[[], NDArray[Any]]] = {
            "predictions": lambda: _predictions(task, outputs),
            "prediction_scores": lambda: outputs[:, 1] if binary else outputs,
            "references": lambda: labels.astype(float if isinstance(task, Regression) else int),
        }
        values = metric.module.compute(**{name: given[name]() for name in metric.fields}, **metric.options)
        numbers = {key: float(value) for key, value in values.items() if np.ndim(value) == 0 and _is_number(value)}
        if left_out := [key for key in values if key not in numbers]:
            logger.warning("metric %s: %s is not one number and left out", metric.name, ", ".join(left_out))
        return numbers


def _loaded(name: str, task: Task, trust_remote_code: bool) -> _Metric:
    path = os.path.expanduser(name)
    if "/" in name and not os.path.exists(path) and not trust_remote_code:
        raise HfclsError(
            f"metric {name} is no file or folder here; on the Hub it is its owner's code, which runs only with "
            "--trust_remote_code"
        )
    try:
        import evaluate
    except ImportError as error:
        raise HfclsError(f"metrics need the package evaluate ({error}): pip install evaluate") from error
    kind = _kind(task)
    for config_name in (kind, None) if kind else (None,):
        try:
            module = evaluate.load(path if os.path.exists(path) else name, config_name, keep_in_memory=True)
            break
        except Exception as error:  # its own errors, the Hub's, and whatever the code of a metric raises
            if config_name is None:
                raise HfclsError(f"metric {name} cannot be loaded ({_line(error)}): {LOADABLE}") from error
    features = module.features[0] if isinstance(module.features, list) else module.features
    known = ("predictions", "prediction_scores", "references")
    if others := [field for field in features if field not in known]:
        raise HfclsError(f"metric {name} needs {', '.join(others)}, which a classifier does not give: drop it")
    kinds = {getattr(features[field], "dtype", "") for field in features}
    if isinstance(task, Regression) and any(str(dtype).startswith(("int", "bool", "string")) for dtype in kinds):
        raise HfclsError(f"metric {name} is for classes, and this model gives a number: drop it")
    parameters = inspect.signature(module._compute).parameters
    averaged = {"average": "macro"} if kind and "average" in parameters else {}
    one_against_rest = {"multi_class": "ovr"} if kind == "multiclass" and "multi_class" in parameters else {}
    return _Metric(name, module, tuple(features), averaged | one_against_rest)


def _kind(task: Task) -> str | None:
    """The configuration by which metrics of scikit-learn tell several labels, or more than two classes."""
    if isinstance(task, MultiLabel):
        return "multilabel"
    return None if isinstance(task, Regression) or len(task.names) == 2 else "multiclass"


def _predictions(task: Task, outputs: NDArray[Any]) -> NDArray[Any]:
    if isinstance(task, Regression):
        return outputs
    if isinstance(task, MultiLabel):
        return (outputs > np.asarray(task.thresholds)).astype(int)
    return outputs.argmax(axis=-1)


def _made_up(task: Task) -> tuple[NDArray[Any], NDArray[Any]]:
    """Labels and outputs of a few rows in which each label stands, and all but one row is right."""
    count = len(task.names)
    if isinstance(task, Regression):
        return np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 3.5])
    ids = np.tile(np.arange(count), 2)
    outputs = np.where(np.eye(count)[np.r_[ids[:-1], (ids[-1] + 1) % count]] > 0, 0.9, 0.1 / max(count - 1, 1))
    return (np.eye(count)[ids] if isinstance(task, MultiLabel) else ids), outputs


def _is_number(value: Any) -> bool:
    return not isinstance(value, str) and value is not None and math.isfinite(value)  # JSON has no NaN


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
