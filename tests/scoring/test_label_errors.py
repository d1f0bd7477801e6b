"""Labels that look wrong: the rule of the paper, folds that keep copies together, models that are weighted."""

import numpy as np

from hfcls.scoring.label_errors import FOLDS, find_label_errors, pooled, text_folds


def test_doubted_are_the_rows_off_the_diagonal_of_the_confident_joint():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), 300)
    labels = np.where(rng.random(300) < 0.7, probabilities.argmax(1), rng.integers(3, size=300))
    found = find_label_errors(labels, probabilities)
    means = [probabilities[labels == c, c].mean() for c in range(3)]
    doubted = []
    for i, row in enumerate(probabilities):
        best = max(range(3), key=row.__getitem__)
        if best != labels[i] and row[best] >= means[best]:
            doubted.append(i)
    assert np.flatnonzero(found.doubted).tolist() == doubted
    assert 20 < len(doubted) < (probabilities.argmax(1) != labels).sum()
    assert set(found.order) == set(np.flatnonzero(probabilities.argmax(1) != labels))
    first = found.order[: len(doubted)]
    assert set(first) == set(doubted)
    margins = (probabilities[np.arange(300), labels] - probabilities.max(1))[first]
    assert (np.diff(margins) >= 0).all()


def test_a_row_that_cannot_be_judged_is_not_doubted_and_sways_no_threshold():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.7, 0.3, 0.0], [0.9, 0.1, 0.0]])
    judged = [True, True, True, False]
    found = find_label_errors([0, 1, 1, 2], probabilities, judged)
    assert found.order.tolist() == [2]
    assert not found.doubted.any()  # 0.7 is below the 0.9 that class 0 has where it is the label
    assert find_label_errors([0, 1, 1, 2], probabilities).order.tolist() == [3, 2]


def test_copies_share_a_fold_and_each_class_is_in_all_of_them():
    keys = [f"글 {i // 2}" for i in range(200)] + ["하나", "하나", "둘"]
    labels = [i // 100 for i in range(200)] + [2, 2, 3]
    folds, judged = text_folds(keys, labels, seed=1)
    assert len({(key, fold) for key, fold in zip(keys, folds, strict=True)}) == len(set(keys))
    counts = [[sum((folds == fold) & (np.array(labels) == label)) for fold in range(FOLDS)] for label in (0, 1)]
    assert counts == [[20] * FOLDS] * 2
    assert np.flatnonzero(~judged).tolist() == [200, 201, 202]  # their only text is in one fold
    assert (folds == text_folds(keys, labels, seed=1)[0]).all()
    assert (folds != text_folds(keys, labels, seed=2)[0]).any()


def test_who_knows_more_gets_more_weight_and_both_together_lose_less():
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=2000)

    def model(noise: float) -> np.ndarray:
        logit = (2 * labels - 1) + noise * rng.normal(size=len(labels))
        return np.stack([1 / (1 + np.exp(logit)), 1 / (1 + np.exp(-logit))], axis=1)

    def loss(probabilities: np.ndarray) -> float:
        return -np.log(probabilities[np.arange(len(labels)), labels]).mean()

    good, middling, noise = model(1.0), model(2.0), rng.dirichlet([1, 1], len(labels))
    mixed, weights = pooled([good, middling, noise], labels)
    assert weights[0] > 2 * weights[1] > 0.1
    assert abs(weights[2]) < 0.05
    assert loss(mixed) < loss(good) < loss(middling)
    assert np.allclose(mixed.sum(1), 1)
    nudged = [loss(_mix(weights + step, good, middling, noise)) for step in np.eye(3) * 0.05]
    assert min(nudged) >= loss(mixed) - 1e-9  # nothing near is better


def _mix(weights: np.ndarray, *parts: np.ndarray) -> np.ndarray:
    product = np.prod([part**weight for part, weight in zip(parts, weights, strict=True)], axis=0)
    return product / product.sum(1, keepdims=True)


def test_a_certain_no_is_no_infinite_loss():
    mixed, weights = pooled([np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])], [0, 1, 1])
    assert np.isfinite(mixed).all()
    assert 0 < weights[0] < 1
