"""The baseline: character n-grams and logistic regression, which cost seconds and are hard to beat with few labels."""

import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hfcls.baseline.ngrams import Matrix, Ngrams, Text
from hfcls.errors import HfclsError
from hfcls.system.files import follow_umask, whole, write_whole

logger = logging.getLogger(__name__)

# At most a minute on one core: 150,000 NSMC reviews (5.4 million characters, read twice) took 47 s of a busy one.
MAX_CHARACTERS = 6_000_000
SHORTEST_CUT = 200  # characters; texts are cut to no less, then rows are left out
MAX_WEIGHTS = 20_000_000  # n-grams times classes
# Above this many n-grams of texts times classes, a few epochs of SAGA in place of L-BFGS until it converges: the same
# accuracy on all of NSMC (.868, .867) and of 3i4K (.887, .887), in a sixth of the time on the latter's 7 classes.
LBFGS_WORK = 20_000_000
SAGA_WORK = 4_000_000_000
ABSENT_LOGIT = -30.0  # of a class without a training row: no probability, but a finite loss

WEIGHTS_FILE, SETTINGS_FILE = "baseline.safetensors", "baseline.json"


class Baseline:
    """A linear classifier of character n-grams of 1 to 4, weighted by TF-IDF; its weights are plain numbers.

    Args:
        ngrams: the features.
        weight, bias: float32 [num_labels, ngrams.width] and [num_labels]; logits are features @ weight.T + bias.
        multi_label: whether each label has a probability of its own.
    """

    def __init__(
        self, ngrams: Ngrams, weight: NDArray[np.float32], bias: NDArray[np.float32], *, multi_label: bool = False
    ) -> None:
        self.ngrams, self.weight, self.bias, self.multi_label = ngrams, weight, bias, multi_label

    @classmethod
    def fit(cls, texts: Sequence[Text], labels: Any, num_labels: int, *, seed: int = 0) -> "Baseline":
        """The baseline of these texts; the same bits for the same arguments.

        Args:
            texts: each a str, or each a pair of str.
            labels: class ids [N], or 0 and 1 [N, num_labels] for multi-label classification.
            num_labels: classes, some of which may have no row.
            seed: of the rows that are left out of a corpus that would take longer than a minute.

        Raises:
            ValueError: no rows, or not as many labels as texts.
        """
        labels = np.asarray(labels)
        if not len(texts) or len(texts) != len(labels):
            raise ValueError(f"a baseline needs texts and as many labels, found {len(texts)} and {len(labels)}")
        rows, cut = _affordable(texts, seed)
        if len(rows) < len(texts):
            logger.info("baseline: fitted on %d of %d rows, to stay within a minute", len(rows), len(texts))
        texts, labels = [texts[i] for i in rows], labels[rows]
        ngrams = Ngrams.learn(texts, cut=cut, max_features=MAX_WEIGHTS // (num_labels * _parts(texts[0])))
        features = ngrams.matrix(texts)
        if labels.ndim == 1:
            return cls(ngrams, *_fit_classes(features, labels.astype(int), num_labels))
        binary = [_fit_classes(features, (column > 0.5).astype(int), 2) for column in labels.T]
        weight = np.stack([weight[1] - weight[0] for weight, _ in binary])
        bias = np.array([bias[1] - bias[0] for _, bias in binary], np.float32)
        return cls(ngrams, weight, bias, multi_label=True)

    def probabilities(self, texts: Sequence[Text]) -> NDArray[np.float64]:
        """Float64 [len(texts), num_labels]: rows sum to 1, unless the baseline is multi-label."""
        logits = self.logits(texts)
        if self.multi_label:
            return 1 / (1 + np.exp(-logits))
        exp = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exp / exp.sum(axis=1, keepdims=True)

    def logits(self, texts: Sequence[Text]) -> NDArray[np.float64]:
        """Float64 [len(texts), num_labels]."""
        return np.asarray(self.ngrams.matrix(texts) @ self.weight.T, np.float64) + self.bias

    def save(self, folder: str | Path) -> None:
        """Write the numbers and, as JSON, the n-grams to `folder`; reading them runs no code."""
        from safetensors.numpy import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"idf": self.ngrams.idf, "weight": self.weight, "bias": self.bias}
        with whole(folder / WEIGHTS_FILE) as aside:
            save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, aside)
            follow_umask(aside)
        settings = {
            "pairs": self.ngrams.pairs,
            "cut": self.ngrams.cut,
            "multi_label": self.multi_label,
            "ngrams": self.ngrams.ngrams,
        }
        write_whole(folder / SETTINGS_FILE, json.dumps(settings, ensure_ascii=False))

    @classmethod
    def load(cls, folder: str | Path) -> "Baseline":
        """What `save` wrote, with the same probabilities to the bit.

        Raises:
            HfclsError: a file is missing or damaged, or the two do not belong together.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        folder = Path(folder)
        try:
            arrays = load_file(folder / WEIGHTS_FILE)
            settings = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
            ngrams = Ngrams(settings["ngrams"], arrays["idf"], pairs=settings["pairs"], cut=settings["cut"])
            weight, bias = arrays["weight"], arrays["bias"]
            if weight.shape != (len(bias), ngrams.width):
                raise ValueError(f"{weight.shape} weights for {len(bias)} classes of {ngrams.width} features")
            return cls(ngrams, weight, bias, multi_label=settings["multi_label"])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise HfclsError(
                f"{folder} holds no whole baseline ({WEIGHTS_FILE} and {SETTINGS_FILE} are needed): {error}; train it "
                "again"
            ) from error


def ridge(
    texts: Sequence[Text], targets: NDArray[np.float64], scored: Sequence[Text], *, seed: int = 0
) -> NDArray[np.float64]:
    """What ridge regression on the same n-grams, fitted on `texts`, answers for `scored`: float64 [len(scored)]."""
    from sklearn.linear_model import Ridge

    rows, cut = _affordable(texts, seed)
    texts = [texts[i] for i in rows]
    ngrams = Ngrams.learn(texts, cut=cut, max_features=MAX_WEIGHTS // _parts(texts[0]))
    if not ngrams.width:
        return np.full(len(scored), targets.mean())
    fitted = Ridge(alpha=1.0, random_state=0).fit(ngrams.matrix(texts), targets[rows])
    answers: NDArray[np.float64] = np.asarray(fitted.predict(ngrams.matrix(scored)), np.float64)
    return answers


def _parts(text: Text) -> int:
    """Columns of an n-gram: see `Ngrams.matrix`."""
    return 3 if isinstance(text, tuple) else 1


def _affordable(texts: Sequence[Text], seed: int) -> tuple[NDArray[np.int64], int]:
    """Which rows to take, in order, and how many characters of each text, so that they are `MAX_CHARACTERS` at most."""
    lengths = np.array([len(text) if isinstance(text, str) else max(map(len, text)) * 2 for text in texts])
    longest = max(int(lengths.max()), 1)
    rows, cut = np.arange(len(texts)), longest
    while cut > SHORTEST_CUT and np.minimum(lengths, cut).sum() > MAX_CHARACTERS:
        cut = max(SHORTEST_CUT, cut * 9 // 10)
    total = int(np.minimum(lengths, cut).sum())
    if total > MAX_CHARACTERS:
        count = max(1, len(texts) * MAX_CHARACTERS // total)
        rows = np.sort(np.random.default_rng(seed).permutation(len(texts))[:count])
    return rows, cut


def _fit_classes(
    features: Matrix, labels: NDArray[np.int64], num_labels: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight [num_labels, features] and bias [num_labels] of multinomial logistic regression."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    weight = np.zeros((num_labels, features.shape[1]), np.float32)
    bias = np.full(num_labels, ABSENT_LOGIT, np.float32)
    present, counts = np.unique(labels, return_counts=True)
    if len(present) == 1 or not features.shape[1]:
        bias[present] = np.log(counts / len(labels))
        return weight, bias
    work = features.nnz * (len(present) if len(present) > 2 else 1)
    solver = {"solver": "lbfgs"} if work <= LBFGS_WORK else {"solver": "saga", "max_iter": _epochs(work)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough: see LBFGS_WORK
        model = LogisticRegression(C=10, random_state=0, **solver).fit(features, labels)
    if len(present) == 2:  # the weights of the second class alone
        weight[present], bias[present] = np.array([-0.5, 0.5])[:, None] * model.coef_, [-0.5, 0.5] * model.intercept_
    else:
        weight[present], bias[present] = model.coef_, model.intercept_
    return weight, bias


def _epochs(work: int) -> int:
    return int(np.clip(SAGA_WORK // work, 3, 10))
