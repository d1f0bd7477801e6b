"""Accuracy by kind of text."""

import numpy as np

from hfcls.scoring.slices import slices


def test_each_kind_counts_its_rows_and_those_that_are_right():
    texts = [
        "좋다",
        "별로ㅋㅋ",
        "정말 좋은 영화",
        "보통이에요 그냥",
        "가격 50% 할인 & 배송 빠름",
        "아주 길고도 긴 글입니다 😀 끝까지",
    ]
    right = np.array([True, False, True, True, False, True])
    unknown = np.array([False, False, False, False, False, True])
    found = {kind.name: kind for kind in slices(texts, right, unknown)}
    assert {name: (kind.num_rows, round(kind.accuracy.value * kind.num_rows)) for name, kind in found.items()} == {
        "short": (2, 1),
        "medium": (2, 2),
        "long": (2, 1),
        "chatter": (2, 1),
        "symbols": (1, 0),
        "unknown": (1, 1),
    }
    assert (found["short"].low, found["short"].high) == (2, 4)
    assert found["chatter"].low is None


def test_a_kind_of_all_rows_or_none_is_left_out():
    assert slices(["가나", "다라"], np.array([True, False])) == []
    assert [kind.name for kind in slices(["ㅋㅋ", "ㅠㅠ"], np.array([True, False]), np.array([True, True]))] == []


def test_usual_punctuation_a_lone_jamo_and_a_currency_sign():
    names = [
        [kind.name for kind in slices([text, "가나다라마바사"], np.array([True, True])) if kind.low is None]
        for text in ("정말? 네, 그래요! (끝)", "ㅋ", "5₩", "@누구", "ㅠ.ㅠ")
    ]
    assert names == [[], [], ["symbols"], ["symbols"], []]
