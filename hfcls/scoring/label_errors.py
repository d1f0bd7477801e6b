"""Which labels look wrong: confident learning (Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating
Uncertainty in Dataset Labels", JAIR 70).

Only probabilities of models that have not seen the row are of use: a model that has seen it repeats its label.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FOLDS = 5
LEAST = 1e-12  # of a probability, before its logarithm is taken
MOST_WEIGHT = 5.0


@dataclass(frozen=True)
class LabelErrors:
    """What was found in N rows.

    Attributes:
        suggested: the most probable class of each row [N].
        order: rows whose label is another one, those first that confident learning doubts, and of these the ones whose
            label is the least probable beside the suggested class.
        doubted: whether confident learning takes the label for wrong [N].
    """

    suggested: NDArray[np.int64]
    order: NDArray[np.int64]
    doubted: NDArray[np.bool_]


def find_label_errors(labels: ArrayLike, probabilities: ArrayLike, judged: ArrayLike | None = None) -> LabelErrors:
    """Rank the rows whose label is not the most probable class.

    A row is doubted if its most probable class is another one, and is as probable as that class is on average where it
    is the label: a class of which models are never sure needs less. These rows are off the diagonal of the paper's
    confident joint; of those that it counts beside, whose most probable class is their label, none is taken.

    Args:
        labels: class ids as they are given [N].
        probabilities: of each class, out of fold [N, C].
        judged: bool [N]: rows of which the models can tell something; None: all.
    """
    labels, probabilities = np.asarray(labels, np.int64), np.asarray(probabilities, np.float64)
    judged = np.ones(len(labels), bool) if judged is None else np.asarray(judged, bool)
    own = probabilities[np.arange(len(labels)), labels]
    classes = np.arange(probabilities.shape[1])
    thresholds = np.array(
        [own[(labels == c) & judged].mean() if ((labels == c) & judged).any() else 1.0 for c in classes]
    )
    suggested = probabilities.argmax(axis=1)
    best = probabilities.max(axis=1)
    differs = (suggested != labels) & judged
    doubted = differs & (best >= thresholds[suggested])
    order = np.flatnonzero(differs)
    order = order[np.lexsort((order, (own - best)[order], ~doubted[order]))]
    return LabelErrors(suggested, order, doubted)


def text_folds(keys: Sequence[str], labels: ArrayLike, seed: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The fold of each row, 0 to FOLDS - 1 [N], and whether other folds hold a row of its class [N].

    Rows with one key are in one fold, or a copy would give the label away. Each class is spread over the folds.
    """
    labels = np.asarray(labels, np.int64)
    number: dict[str, int] = {}
    key_of = np.array([number.setdefault(key, len(number)) for key in keys])
    _, firsts = np.unique(key_of, return_index=True)
    shuffled = np.random.default_rng(seed).permutation(len(firsts))
    by_class = shuffled[np.argsort(labels[firsts][shuffled], kind="stable")]
    fold_of_key = np.empty(len(firsts), np.int64)
    fold_of_key[by_class] = np.arange(len(firsts)) % FOLDS
    folds = fold_of_key[key_of]
    counts = np.zeros((labels.max() + 1, FOLDS), np.int64)
    np.add.at(counts, (labels, folds), 1)
    return folds, counts.sum(axis=1)[labels] > counts[labels, folds]


def pooled(parts: Sequence[NDArray[np.float64]], labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Several models' probabilities [N, C] as one, and the weight of each model.

    The logarithms are added with the weights, at least 0, that give the labels the least loss: a model that knows
    nothing gets no say, and one that is too sure of itself is toned down.
    """
    from scipy.optimize import minimize  # imported here: it takes a second

    labels = np.asarray(labels, np.int64)
    logs, rows = np.log(np.maximum(np.stack(parts), LEAST)), np.arange(len(labels))

    def mixed(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        exponents = np.tensordot(weights, logs, 1)
        exponents = np.exp(exponents - exponents.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float64] = exponents / exponents.sum(axis=1, keepdims=True)
        return probabilities

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        probabilities = mixed(weights)
        own = logs[:, rows, labels] - np.einsum("mnc,nc->mn", logs, probabilities)
        return -float(np.log(np.maximum(probabilities[rows, labels], LEAST)).mean()), -own.mean(axis=1)

    bounds = [(0.0, MOST_WEIGHT)] * len(parts)
    weights = minimize(loss, np.full(len(parts), 1 / len(parts)), jac=True, method="L-BFGS-B", bounds=bounds).x
    return mixed(weights), weights
