"""Copies of a text are found: exact, normalised and near ones."""

import builtins
import logging
import random

import numpy as np
import pytest
from conftest import WORDS
from datasets import Dataset, DatasetDict

from hfcls.data.duplicates import (
    kept_train_rows,
    near_duplicates,
    normalized,
    repeats,
    seen_in_train,
    several_labels,
    shingle_hashes,
    stands_in,
    text_keys,
)
from hfcls.errors import HfclsError


def corpus(**splits: list[str]) -> DatasetDict:
    return DatasetDict({name: Dataset.from_dict({"text": texts}) for name, texts in splits.items()})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  최고\t예요 \n", "최고 예요"),
        ("최고예요!!!", "최고예요!"),
        ("진짜… 별로...", "진짜. 별로."),
        ("ＧＯＯＤ　Good", "good good"),
        ("\u1100\u1161\u11a8", "\uac01"),  # decomposed and composed Hangul are one text
        ("👍👍👍 1000", "👍 1000"),  # digits mean something when they are repeated
        ("", ""),
    ],
)
def test_normalisation_is_as_stated(text, expected):
    assert normalized(text) == expected


def test_repeated_jamo_count_once():
    assert normalized("ㅋㅋㅋㅋ ㅠㅠ") == normalized("ㅋ ㅠ")
    assert normalized("ㅋㅋ") != normalized("ㅎㅎ")


def test_repeats_labels_and_overlap_are_counted_by_row():
    keys = ["a", "b", "a", "a", "c"]
    assert repeats(keys).tolist() == [False, False, True, True, False]
    assert stands_in(["a", "x", "c"], keys).tolist() == [True, False, True]
    assert several_labels(keys, [0, 1, 0, 1, 0]) == 1
    assert several_labels(keys, [0, 1, 0, 0, 0]) == 0


def test_a_pair_is_a_copy_only_if_both_texts_are():
    rows = Dataset.from_dict({"text": ["a b", "a b", "a"], "text_pair": ["c", "d", "b c"]})
    assert not repeats(text_keys(rows)).any()
    assert repeats(text_keys(Dataset.from_dict({"text": ["a b", "A  b"], "text_pair": ["c", "c!!"]}))).sum() == 0
    assert repeats(text_keys(Dataset.from_dict({"text": ["a b", "A  b"], "text_pair": ["c!", "c!!"]}))).sum() == 1


def test_dropping_acts_on_train_only_and_logs_what_it_dropped(caplog):
    caplog.set_level(logging.INFO, logger="hfcls")
    parts = corpus(train=["가", "나", "가!", "다", "가", "라"], validation=["라", "라"], test=["다!!", "마"])
    drop = {"drop_duplicates": False, "drop_overlap": False}
    assert kept_train_rows(parts, **drop).tolist() == [0, 1, 2, 3, 4, 5]
    assert kept_train_rows(parts, **{**drop, "drop_duplicates": True}).tolist() == [0, 1, 2, 3, 5]
    assert kept_train_rows(parts, **{**drop, "drop_overlap": True}).tolist() == [0, 1, 2, 3, 4]
    caplog.clear()
    parts["test"] = Dataset.from_dict({"text": ["다", "마"]})
    assert kept_train_rows(parts, drop_duplicates=True, drop_overlap=True).tolist() == [0, 1, 2]
    assert caplog.messages == [
        "train: 1 rows dropped that repeat an earlier text (drop_duplicates)",
        "train: 2 rows dropped whose text stands in validation or test (drop_overlap)",
    ]
    caplog.clear()
    kept_train_rows(DatasetDict({"train": parts["test"]}), drop_duplicates=True, drop_overlap=True)
    assert caplog.messages == [], "nothing was dropped"
    assert seen_in_train(parts).tolist() == [True, False]
    with pytest.raises(HfclsError, match="leave no training row"):
        kept_train_rows(corpus(train=["가"], test=["가"]), drop_duplicates=False, drop_overlap=True)


def test_near_duplicates_are_those_that_comparing_all_pairs_finds():
    rng = random.Random(0)
    originals = [" ".join(rng.choices(WORDS, k=rng.randrange(8, 20))) + f" {i}" for i in range(300)]
    texts = [*originals, *(text.replace(" ", "  ", 1) for text in originals[:100])]
    texts += [text[:-6] for text in originals[100:150]]
    texts += ["가", "", "나"]  # too short to be near anything

    def jaccard(a: str, b: str) -> float:
        x, y = ({text[i : i + 3] for i in range(len(text) - 2)} for text in (a, b))
        return len(x & y) / max(len(x | y), 1)

    expected = {
        i for i in range(len(texts)) if any(jaccard(texts[i], texts[j]) >= 0.8 for j in range(i) if len(texts[j]) > 2)
    }
    found = near_duplicates(texts)
    assert all(jaccard(texts[i], texts[j]) >= 0.8 for i, j in found.items())
    assert set(found) <= expected
    assert len(expected) > 100
    assert len(found) >= 0.95 * len(expected)
    assert near_duplicates([]) == {}


def test_many_copies_of_one_template_take_no_quadratic_time():
    template = "주문번호 {:05d} 배송이 너무 늦어요 다시는 여기서 안 삽니다 환불도 안 됩니다 모두 조심하시기 바랍니다"
    assert len(near_duplicates([template.format(i) for i in range(3000)])) > 2900


def test_shingles_are_the_grams_of_each_text_alone():
    hashes, offsets = shingle_hashes(["가나다라", "나", "가나다\ud800"])
    assert offsets.tolist() == [0, 2, 3, 5]
    assert hashes[0] == hashes[3]  # 가나다
    assert len(np.unique(hashes)) == 4


def test_without_rensa_the_message_names_the_extra(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "rensa":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(HfclsError, match=r"pip install -e '.\[check\]'"):
        near_duplicates(["가나다라", "가나다라"])
