"""Scores of an evaluation in training: through scikit-learn, scipy and torch, without network or cache."""

from collections.abc import Callable

import numpy as np
import torch
from transformers import EvalPrediction

from hfcls.errors import HfclsError


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
