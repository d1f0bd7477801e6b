"""How many tokens a model takes is what its position table takes, of every way to count them."""

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    BloomConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
    XLNetConfig,
)

from hfcls.models.positions import AFTER_PADDING, position_count, usable_length

SIZE = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 26,
}
OWN_SIZES = {
    "lilt": {"hidden_size": 24},
    "longformer": {"attention_window": 4},
    "luke": {"entity_vocab_size": 5, "entity_emb_size": 4},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX", "adapter_reduction_factor": 2},
}
UNKNOWN = 10**30  # a tokenizer that names no limit


@pytest.mark.parametrize("architecture", AFTER_PADDING)
def test_models_that_count_after_padding_have_two_positions_less(architecture):
    sizes = {**SIZE, **OWN_SIZES.get(architecture, {})}
    config = AutoConfig.for_model(architecture, **sizes, pad_token_id=1)
    if architecture == "esm":
        config.position_embedding_type = "absolute"
    model = AutoModelForSequenceClassification.from_config(config).eval()
    count = position_count(config)
    assert count == 24
    with torch.no_grad():
        model(input_ids=torch.full((1, count), 7), attention_mask=torch.ones(1, count, dtype=torch.long))
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=torch.full((1, 27), 7), attention_mask=torch.ones(1, 27, dtype=torch.long))


def test_models_without_a_table_have_no_count():
    assert position_count(BloomConfig()) is None
    assert position_count(XLNetConfig()) is None
    assert position_count(GPT2Config(n_positions=77)) == 77
    assert position_count(LlamaConfig(max_position_embeddings=99)) == 99


@pytest.mark.parametrize(
    ("config", "model_max_length", "expected"),
    [
        (BertConfig(max_position_embeddings=300), UNKNOWN, 300),  # KcBERT
        (BertConfig(max_position_embeddings=300), 128, 128),
        (BertConfig(max_position_embeddings=64), 512, 64),
        (BertConfig(max_position_embeddings=8192), 1000, 1000),
        (BertConfig(max_position_embeddings=8192), UNKNOWN, 8192),
        (BloomConfig(), UNKNOWN, 512),
        (BloomConfig(), 2048, 2048),
    ],
)
def test_a_text_is_read_as_far_as_training_did_and_positions_go(config, model_max_length, expected):
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE()), model_max_length=model_max_length)
    assert usable_length(config, tokenizer) == expected
