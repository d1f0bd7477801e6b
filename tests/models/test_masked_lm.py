"""An encoder with a masked-LM head: loaded, begun from scratch, or refused."""

import subprocess
import sys

import pytest
import torch
from architectures import CONFIGS
from conftest import reviews
from transformers import AutoModelForMaskedLM

from hfcls.errors import HfclsError
from hfcls.models.masked_lm import masked_lm_and_tokenizer, ordinary_ids, set_dropout
from hfcls.models.tokenizers import WORD_BEGIN, frequent_characters, train_tokenizer

TEXTS = [text for text, _ in reviews(200)]


def test_from_scratch_it_has_the_shape_that_was_asked_for():
    model, tokenizer = masked_lm_and_tokenizer("scratch", max_length=40, texts=TEXTS, shape=(3, 128), vocab_size=120)
    config = model.config
    assert (config.num_hidden_layers, config.hidden_size, config.intermediate_size) == (3, 128, 512)
    assert (config.num_attention_heads, config.max_position_embeddings) == (2, 128)
    assert (tokenizer.model_max_length, tokenizer.mask_token, len(tokenizer)) == (40, "[MASK]", config.vocab_size)
    assert set(range(len(tokenizer))) - set(ordinary_ids(tokenizer).tolist()) == set(tokenizer.all_special_ids)


def test_a_model_without_mask_token_or_weights_is_refused(tiny_model, tmp_path):
    with pytest.raises(HfclsError, match="has no mask token, so the model was not made for masked texts"):
        masked_lm_and_tokenizer(tiny_model, max_length=40, texts=[], shape=(1, 32), vocab_size=100)
    with pytest.raises(HfclsError, match="no model folder"):
        masked_lm_and_tokenizer(str(tmp_path / "no"), max_length=40, texts=[], shape=(1, 32), vocab_size=100)


@pytest.mark.parametrize("name", CONFIGS)
def test_dropout_can_be_another_one_while_it_learns(name):
    model = AutoModelForMaskedLM.from_config(CONFIGS[name]).train()
    before = model.config.to_dict()
    ids = torch.randint(5, 100, (2, 20))
    set_dropout(model, 0.0)
    assert torch.equal(model(ids).logits, model(ids).logits)
    set_dropout(model, 0.5)
    assert not torch.equal(model(ids).logits, model(ids).logits)
    assert model.config.to_dict() == before


def test_rare_characters_are_unknown_and_of_equals_the_lower_code_is_known():
    assert frequent_characters(["나 나 다", "가 라", "\u1100\u1161"], 4) == [WORD_BEGIN, "가", "나", "다"]
    tokenizer = train_tokenizer(["나 나 다 가 라"], 100, mask_token="[MASK]", alphabet=4)
    words = ["가", "나", "다", "라"]
    known = [word for word in words if tokenizer.unk_token_id not in tokenizer(word)["input_ids"]]
    assert known == ["가", "나", "다"]


TRAINED = """
import random
from hfcls.models.tokenizers import train_tokenizer
rng = random.Random(1)
texts = ["".join(chr(0xAC00 + rng.randrange(3000)) for _ in range(9)) for _ in range(400)]
print(train_tokenizer(texts, 900, mask_token="[MASK]", alphabet=500).backend_tokenizer.to_str())
"""


def test_the_same_texts_give_the_same_tokenizer_in_every_process():
    """Thousands of characters that occur equally often: which of them are known must not depend on a hash."""
    runs = [subprocess.run([sys.executable, "-c", TRAINED], capture_output=True, text=True, check=True) for _ in "12"]
    assert len({run.stdout for run in runs}) == 1
    assert len(runs[0].stdout) > 1000
