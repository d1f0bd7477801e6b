"""Texts become token ids the same way everywhere, and are refused where nothing of them would be left."""

import pytest
from architectures import bare_tokenizer, tiny_tokenizer

from hfcls.data.encoding import tokenize
from hfcls.errors import HfclsError


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
