"""Probabilities that mean what they say: a temperature, and the confidence below which a person should decide."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hfcls.errors import HfclsError
from hfcls.scoring.tasks import MultiLabel, Task

# A temperature of n rows costs 1 / (2 n) nats on average where none was needed: 0.01 at 50 rows, 0.02 at 25. Fine-tuned
# encoders that are too sure lose more than the former.
FEWEST_ROWS = 50
HOTTEST = 100.0
SHARES = 20  # of the rows, the most confident first, whose accuracy is tested in turn
ERROR = 0.1  # chance that the accuracy of the rows that are kept is below the target all the same


def check_confidence(problem_type: str, *, calibrate: bool | None, target_accuracy: float | None) -> None:
    """Raises HfclsError if a model of this kind has no probabilities to calibrate, or none of one class a text."""
    if problem_type == "regression" and calibrate:
        raise HfclsError("calibrate is for probabilities, and this model gives a number: drop it")
    if problem_type != "single_label_classification" and target_accuracy is not None:
        raise HfclsError("target_accuracy is for one class a text, and this data asks for something else: drop it")


def why_not_fitted(num_rows: int) -> str:
    """Why neither temperature nor confidence can be found on a validation split of `num_rows`; empty if they can."""
    if not num_rows:
        return "there is no validation split: leave --validation_size at 0.1, or bring one"
    if num_rows < FEWEST_ROWS:
        return f"the validation split has {num_rows} rows, and at least {FEWEST_ROWS} are needed: bring more"
    return ""


def tuned_on_validation(task: Task, fitted: Mapping[str, Any], *, validation: bool) -> list[str]:
    """What a trained model was given that was found on the validation split, if there is one, in words.

    Args:
        task: of the model, with all that was found.
        fitted: as `confidence_scores` takes it; empty: nothing was fitted.
    """
    found = {
        "the thresholds": validation and isinstance(task, MultiLabel),
        "the temperature": fitted.get("temperature") is not None,
        "the lowest confidence": getattr(task, "abstain_below", None) is not None,
    }
    return [what for what, was in found.items() if was]


def fit_temperature(labels: ArrayLike, logits: ArrayLike) -> float:
    """What to divide the logits by, so that their cross-entropy on these rows is the lowest (Guo et al. 2017).

    The order of a row's classes stays as it is, and so does what is predicted. The logarithm of the temperature has a
    normal prior of standard deviation 1, which counts as much as a few rows: without it, rows that are all right would
    ask for certainty.

    Args:
        labels: class ids [N], or 0 and 1 [N, C] where labels do not exclude each other.
        logits: [N, C].
    """
    from scipy.optimize import minimize_scalar  # imported here: it takes a second

    labels, logits = np.asarray(labels), np.asarray(logits, np.float64)

    def cost(log_temperature: float) -> float:
        return _negative_log_likelihood(labels, logits * math.exp(-log_temperature)) + log_temperature**2 / 2

    bound = math.log(HOTTEST)
    return math.exp(float(minimize_scalar(cost, bounds=(-bound, bound), method="bounded").x))


def _negative_log_likelihood(labels: NDArray[np.int64], logits: NDArray[np.float64]) -> float:
    """Summed over the rows, in nats."""
    if labels.ndim == 2:
        return float((np.logaddexp(0, logits) - labels * logits).sum())
    shifted = logits - logits.max(axis=1, keepdims=True)
    return float((np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]).sum())


def with_temperature(outputs: ArrayLike, temperature: float, *, exclusive: bool = True) -> NDArray[np.float64]:
    """Probabilities [N, C] as they would be with their logits divided by `temperature`.

    Args:
        exclusive: rows sum to 1; else each probability is of its own.
    """
    tiny = np.finfo(np.float64).tiny
    logs = np.log(np.clip(np.asarray(outputs, np.float64), tiny, None))
    if not exclusive:
        others = np.log(np.clip(1 - np.asarray(outputs, np.float64), tiny, None))
        changed: NDArray[np.float64] = 1 / (1 + np.exp(-(logs - others) / temperature))
        return changed
    powers = np.exp((logs - logs.max(axis=1, keepdims=True)) / temperature)
    changed = powers / powers.sum(axis=1, keepdims=True)
    return changed


def lowest_confidence(correct: ArrayLike, confidence: ArrayLike, target: float) -> float | None:
    """The confidence from which on answers are right in at least `target` of the cases; None if that is not shown.

    The more confident rows are tested first, in steps of a twentieth of all. A step is passed where the lower end of
    the one-sided 90 % interval of Clopper and Pearson (1934) is at least the target, and the first that is not ends it.
    Since no later step is then looked at, the chance that any of those passed is wrong stays at 10 % (fixed sequence
    testing: Angelopoulos et al. 2021, "Learn then Test"). The first step has three times the rows that would do without
    any error, or at least half of all: one error should not end it.

    Args:
        correct: whether each row [N] is right.
        confidence: the probability of what it was given [N].
        target: between 0 and 1.

    Returns:
        A number between two rows' confidences, so that rounding moves no row; 0 where all rows pass.
    """
    from scipy.stats import beta

    confidence = np.asarray(confidence, np.float64)
    order = np.argsort(-confidence, kind="stable")
    confidence, right = confidence[order], np.asarray(correct)[order].cumsum()
    num_rows, kept = len(right), 0
    fewest = math.ceil(math.log(ERROR) / math.log(target))  # rows that show it if all are right
    first = max(fewest, min(3 * fewest, num_rows / 2))
    for share in range(1, SHARES + 1):
        rows = num_rows * share // SHARES
        if rows:  # those of the same confidence are kept with them
            rows = int(np.searchsorted(-confidence, -confidence[rows - 1], side="right"))
        if rows < first:
            continue
        hits = int(right[rows - 1])
        if not hits or beta.ppf(ERROR, hits, rows - hits + 1) < target:
            break
        kept = rows
    if kept == num_rows and kept:
        return 0.0
    return float(confidence[kept - 1 : kept + 1].mean()) if kept else None
