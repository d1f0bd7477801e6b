"""Texts become token ids the same way everywhere, and are refused where nothing of them would be left."""

import random

import pytest
from architectures import bare_tokenizer, tiny_tokenizer
from conftest import WORDS, reviews
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from hfcls.data.encoding import tokenize
from hfcls.errors import HfclsError
from hfcls.models.tokenizers import train_tokenizer


def learned(
    model: models.Model, before: pre_tokenizers.PreTokenizer, trainer: trainers.Trainer
) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.NFKC(), before
    tokenizer.train_from_iterator([text for text, _ in reviews(200)], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]")


SPECIAL = {"vocab_size": 200, "special_tokens": ["[PAD]", "[UNK]"], "show_progress": False}
KINDS = {
    "ours": lambda: train_tokenizer([text for text, _ in reviews(200)]),
    "wordpiece": lambda: learned(
        models.WordPiece(unk_token="[UNK]"), pre_tokenizers.BertPreTokenizer(), trainers.WordPieceTrainer(**SPECIAL)
    ),
    "bytes": lambda: learned(
        models.BPE(unk_token="[UNK]"), pre_tokenizers.ByteLevel(add_prefix_space=False), trainers.BpeTrainer(**SPECIAL)
    ),
    "unigram": lambda: learned(
        models.Unigram(), pre_tokenizers.Metaspace(), trainers.UnigramTrainer(**SPECIAL, unk_token="[UNK]")
    ),
    "unigram without words": lambda: learned(
        models.Unigram(), pre_tokenizers.Metaspace(split=False), trainers.UnigramTrainer(**SPECIAL, unk_token="[UNK]")
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return KINDS[request.param]()


@settings(max_examples=30, deadline=None)
@given(
    words=st.lists(
        st.one_of(st.sampled_from([*WORDS, "[UNK]", "\u200b", "e\u0301", "\n\n"]), st.text(max_size=9)), max_size=80
    ),
    max_length=st.sampled_from([3, 8, 30]),
    stride=st.sampled_from([None, 0]),
    long=st.sampled_from([4, 30, 100]),
    between=st.sampled_from([" ", " ", ""]),
)
def test_the_tokens_of_a_very_long_text_are_those_of_all_of_it(kind, words, max_length, stride, long, between):
    """Its beginning alone is read; here texts are very long from a few characters on."""
    long = max(long, 9 * max_length) if not between else long  # one word: the end of what is read may be read otherwise
    texts = [between.join(words), "영화"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hfcls.data.encoding.MOST_WINDOWS", 3)
        patch.setattr("hfcls.data.cuts.beginnings.MOST_WINDOWS", 3)
        whole = tokenize(kind, texts, max_length=max_length, stride=stride)
        patch.setattr("hfcls.data.cuts.beginnings.LONG_TEXT", long)
        assert tokenize(kind, texts, max_length=max_length, stride=stride) == whole


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_time_of_a_very_long_text_is_that_of_its_beginning(side):
    """20 million characters took 10 s and 2 GB."""
    tokenizer = tiny_tokenizer(0)
    tokenizer.truncation_side = side
    words = random.Random(0).choices(WORDS, k=200_000)
    read: list[int] = []
    call = type(tokenizer).__call__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            type(tokenizer), "__call__",
            lambda self, texts, *rest, **more: (read.append(max(map(len, texts))), call(self, texts, *rest, **more))[1],
        )  # fmt: skip
        ids = tokenize(tokenizer, [" ".join(words)], max_length=64)["input_ids"][0]
    assert len(ids) == 64
    assert (max(read) < 140_000 < len(" ".join(words))) == (side == "right")  # its end has to be read


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(
        st.tuples(*[st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=3)), max_size=60)] * 2), min_size=1
    ),
    max_length=st.integers(5, 12),
    side=st.sampled_from(["left", "right"]),
)
def test_the_tokens_of_a_pair_of_long_texts_are_those_of_the_tokenizer(kind, pairs, max_length, side):
    """Each text is read for itself; here texts are long from the first character on."""
    firsts, seconds = ([" ".join(pair[i]) for pair in pairs] for i in (0, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "truncation_side", side)
        patch.setattr("hfcls.data.cuts.pairs.LONG_PART", 1000)
        expected = tokenize(kind, firsts, seconds, max_length=max_length)
        patch.setattr("hfcls.data.cuts.pairs.LONG_PART", 0)
        assert tokenize(kind, firsts, seconds, max_length=max_length) == expected


def test_a_pair_of_long_texts_is_not_joined_piece_by_piece():
    """Two texts of 3,000 characters took 20 MB, and two of 100,000 more than a machine has."""
    tokenizer, text = tiny_tokenizer(0), " ".join(random.Random(0).choices(WORDS, k=10_000))
    with pytest.MonkeyPatch.context() as patch:
        read: list[int] = []  # characters of the shorter text of each pair
        call = type(tokenizer).__call__

        def spied(self, texts, seconds=None, **more):
            read.extend(min(len(a), len(b)) for a, b in zip(texts, seconds or [], strict=bool(seconds)))
            return call(self, texts, seconds, **more)

        patch.setattr(type(tokenizer), "__call__", spied)
        encoded = tokenize(tokenizer, [text, "영화"], [text, "최고"], max_length=64)
    assert [len(ids) for ids in encoded["input_ids"]] == [64, 5]
    assert max(read) <= 100  # of the frame


def test_a_max_length_without_room_for_a_text_is_refused():
    tokenizer = tiny_tokenizer(0)
    assert len(tokenize(tokenizer, ["영화 최고"], max_length=3)["input_ids"][0]) == 3
    with pytest.raises(HfclsError, match="max_length 2 leaves no room for a text beside 2 special tokens"):
        tokenize(tokenizer, ["영화 최고"], max_length=2)
    assert len(tokenize(tokenizer, ["영화 최고"], ["별로 실망"], max_length=5)["input_ids"][0]) == 5
    for max_length in (3, 4):
        with pytest.raises(HfclsError, match="leaves no room for two texts beside 3 special tokens"):
            tokenize(tokenizer, ["영화 최고"], ["별로 실망"], max_length=max_length)


def test_a_text_without_tokens_becomes_one_of_padding():
    bare = bare_tokenizer(unk="<unk>", pad="<pad>")
    assert tokenize(bare, ["", "영화"], max_length=8)["input_ids"][0] == [bare.pad_token_id]
    pairs = tokenize(bare, ["", "영화"], ["", ""], max_length=8)
    assert pairs["input_ids"][0] == [bare.pad_token_id]
    assert all(len(ids) == len(types) for ids, types in zip(*pairs.values(), strict=True))
    assert len(tokenize(tiny_tokenizer(0), [""], max_length=8)["input_ids"][0]) == 2
