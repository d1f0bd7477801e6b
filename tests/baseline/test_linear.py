"""The baseline: as good as the plain scikit-learn pipeline, whole through a file, and steady on odd input."""

import json
import random
import shutil

import numpy as np
import pytest
from conftest import reviews
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from hfcls.baseline import linear as module
from hfcls.baseline.linear import SETTINGS_FILE, WEIGHTS_FILE, Baseline
from hfcls.errors import HfclsError


def texts_and_labels(count: int, seed: int = 0) -> tuple[list[str], list[int]]:
    rows = reviews(count, seed)
    return [text for text, _ in rows], [int(label) for _, label in rows]


def three_classes(count: int, seed: int = 0) -> tuple[list[str], list[int]]:
    texts, labels = texts_and_labels(count, seed)
    return texts, [2 if "음악" in text else label for text, label in zip(texts, labels, strict=True)]


@pytest.mark.parametrize("rows", [texts_and_labels, three_classes])
def test_it_is_the_plain_pipeline_of_scikit_learn(rows):
    texts, labels = rows(200)
    new = rows(100, seed=1)[0]
    plain = make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True, min_df=2), LogisticRegression(C=10)
    ).fit(texts, labels)
    ours = Baseline.fit(texts, labels, len(set(labels))).probabilities(new)
    assert np.allclose(ours, plain.predict_proba(new), atol=1e-3)


def pairs(count: int) -> tuple[list[tuple[str, str]], list[int]]:
    """Whether both texts are one: nothing in either text alone tells."""
    rng = random.Random(0)
    texts = texts_and_labels(2 * count)[0]
    labels = [rng.randrange(2) for _ in range(count)]
    return [(texts[i], texts[i] if same else texts[count + i]) for i, same in enumerate(labels)], labels


def test_a_pair_is_seen_as_a_pair():
    texts, labels = pairs(300)
    fitted = Baseline.fit(texts[:200], labels[:200], 2)
    assert (fitted.probabilities(texts[200:]).argmax(axis=1) == labels[200:]).mean() > 0.95


def multi_label(count: int) -> tuple[list[str], np.ndarray]:
    texts = texts_and_labels(count)[0]
    return texts, np.array([[float(word in text) for word in ("음악", "배우", "없는말")] for text in texts])


def test_each_of_several_labels_has_a_probability_of_its_own():
    texts, labels = multi_label(300)
    fitted = Baseline.fit(texts[:200], labels[:200], 3)
    probabilities = fitted.probabilities(texts[200:])
    logits = fitted.ngrams.matrix(texts[200:]) @ fitted.weight.T + fitted.bias
    assert np.allclose(probabilities, expit(logits))
    assert ((probabilities > 0.5) == labels[200:]).mean() > 0.95
    assert (probabilities[:, 2] < 1e-6).all()  # no row has it


@pytest.mark.parametrize("rows", [texts_and_labels, three_classes, pairs, multi_label])
def test_a_loaded_baseline_gives_the_same_bits_and_is_deterministic(rows, tmp_path):
    texts, labels = rows(100)
    fitted = Baseline.fit(texts, labels, 3)
    fitted.save(tmp_path / "new" / "baseline")
    loaded = Baseline.load(tmp_path / "new" / "baseline").probabilities(texts)
    assert np.array_equal(loaded, fitted.probabilities(texts))
    assert np.array_equal(loaded, Baseline.fit(texts, labels, 3).probabilities(texts))
    assert sorted(path.name for path in (tmp_path / "new" / "baseline").iterdir()) == [SETTINGS_FILE, WEIGHTS_FILE]


@pytest.mark.parametrize("damage", ["absent", "no json", "other shape", "no key", "no tensors", "a list"])
def test_a_damaged_baseline_is_one_line(damage, tmp_path):
    Baseline.fit(*texts_and_labels(50), 2).save(tmp_path)
    settings_file = tmp_path / SETTINGS_FILE
    if damage == "absent":
        shutil.rmtree(tmp_path)
    elif damage == "no json":
        settings_file.write_text("{")
    elif damage == "other shape":
        settings_file.write_text(json.dumps(json.loads(settings_file.read_text()) | {"pairs": True}))
    elif damage == "no key":
        settings_file.write_text("{}")
    elif damage == "a list":
        settings_file.write_text("[]")
    else:
        (tmp_path / WEIGHTS_FILE).write_bytes(b"\0" * 20)
    with pytest.raises(HfclsError, match="holds no whole baseline .* train it again"):
        Baseline.load(tmp_path)


TEXT = st.text(alphabet="가나 a.\u1100\u1161", max_size=8)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(TEXT, st.integers(0, 3)), min_size=1, max_size=6), st.booleans())
def test_any_few_rows_give_probabilities(rows, as_pairs):
    """One row, one class, texts with no n-gram in common, or with none at all."""
    texts = [(text, text[::-1]) for text, _ in rows] if as_pairs else [text for text, _ in rows]
    labels = [label for _, label in rows]
    fitted = Baseline.fit(texts, labels, 5)
    probabilities = fitted.probabilities([*texts, ("새 글", "") if as_pairs else "새 글"])
    assert probabilities.shape == (len(rows) + 1, 5)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert np.isfinite(np.log(probabilities)).all()
    assert set(probabilities.argmax(axis=1)) <= set(labels)
    assert fitted.probabilities([]).shape == (0, 5)


def test_n_grams_of_single_texts_serve_where_no_two_share_one():
    fitted = Baseline.fit(["좋다", "나빠"], [1, 0], 2)
    assert fitted.probabilities(["좋다", "나빠"]).argmax(axis=1).tolist() == [1, 0]


def test_decomposed_hangul_is_read_as_composed():
    fitted = Baseline.fit(*texts_and_labels(100), 2)
    assert np.array_equal(fitted.probabilities(["최고"]), fitted.probabilities(["\u110e\u116c\u1100\u1169"]))


def test_a_large_corpus_is_cut_then_thinned(monkeypatch):
    texts, labels = texts_and_labels(200)
    long = [text + " 그냥" * 2000 for text in texts]
    monkeypatch.setattr(module, "MAX_CHARACTERS", 100_000)
    rows, cut = module._affordable(long, 0)
    assert len(rows) == 200
    assert cut <= 500
    monkeypatch.setattr(module, "MAX_CHARACTERS", 20_000)
    rows, cut = module._affordable(long, 0)
    assert cut == module.SHORTEST_CUT
    assert 90 <= len(rows) <= 100
    assert (np.diff(rows) > 0).all()
    fitted = Baseline.fit(long, labels, 2)
    assert (fitted.probabilities(long).argmax(axis=1) == labels).mean() > 0.9
    assert fitted.ngrams.cut == module.SHORTEST_CUT


def test_many_classes_have_fewer_n_grams_each(monkeypatch):
    texts, labels = three_classes(100)
    monkeypatch.setattr(module, "MAX_WEIGHTS", 300)
    assert Baseline.fit(texts, labels, 3).weight.shape == (3, 100)
    assert Baseline.fit([(text, text) for text in texts], labels, 3).weight.size <= 300 + 3  # and how alike they are


def test_a_large_fit_takes_few_epochs_and_agrees(monkeypatch):
    texts, labels = three_classes(600)
    slow = Baseline.fit(texts, labels, 3).probabilities(texts)
    monkeypatch.setattr(module, "LBFGS_WORK", 0)
    fast = Baseline.fit(texts, labels, 3).probabilities(texts)
    assert (slow.argmax(axis=1) == fast.argmax(axis=1)).mean() > 0.98
    assert module._epochs(1) == 10
    assert module._epochs(10**12) == 3


def test_rows_and_labels_must_match():
    with pytest.raises(ValueError, match="found 1 and 2"):
        Baseline.fit(["가"], [0, 1], 2)
    with pytest.raises(ValueError, match="found 0 and 0"):
        Baseline.fit([], [], 2)


@pytest.mark.slow
def test_real_sets_reach_what_scikit_learn_reaches(shared):
    import csv

    def read(name: str) -> tuple[list[str], list[str]]:
        with (shared / "korean" / name).open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [row["text"] for row in rows], [row["label"] for row in rows]

    for folder, count, accuracy in (("chatbot", 300, 0.702), ("malicious", 1000, 0.822), ("intent3i4k", 1000, 0.751)):
        (texts, labels), (new, gold) = read(f"{folder}/train.csv"), read(f"{folder}/test.csv")
        names = sorted(set(labels))
        fitted = Baseline.fit(texts[:count], [names.index(label) for label in labels[:count]], len(names))
        predicted = fitted.probabilities(new).argmax(axis=1)
        assert (predicted == [names.index(label) for label in gold]).mean() == pytest.approx(accuracy, abs=0.002)
