"""Models that give a text other logits beside other texts are found out before they are trained or asked."""

import pytest
import torch
from architectures import tiny_tokenizer
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from hfcls.batching.choice import check_batching
from hfcls.batching.padding import check_padding
from hfcls.errors import HfclsError

SIZE = {
    "vocab_size": 200,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "initializer_range": 0.2,
}
# In the names that each of them has for the sizes.
OWN_SIZES = {
    "camembert": {},
    "convbert": {"num_attention_heads": 4, "embedding_size": 16},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0},
    "fnet": {},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2},
    "gpt_neox": {},
    "llama": {},
    "longformer": {"attention_window": 4},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 8},
    "reformer": {
        "feed_forward_size": 32,
        "attn_layers": ["local", "lsh"],
        "attention_head_size": 8,
        "axial_pos_embds": False,
        "local_attn_chunk_length": 4,
        "lsh_attn_chunk_length": 4,
        "is_decoder": False,
    },
    "roformer": {},
    "xlnet": {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32},
}


def build(architecture: str) -> PreTrainedModel:
    torch.manual_seed(0)
    marks = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    config = AutoConfig.for_model(architecture, **{**SIZE, **OWN_SIZES[architecture], **marks})
    return AutoModelForSequenceClassification.from_config(config)


@pytest.mark.parametrize(
    "architecture", ["camembert", "deberta-v2", "gpt2", "gpt_neox", "llama", "longformer", "qwen3", "roformer"]
)
def test_what_reads_no_padding_passes(architecture):
    model = build(architecture)
    check_padding(model, tiny_tokenizer(0), max_length=32)
    assert model.training  # as it was


@pytest.mark.parametrize("architecture", ["convbert", "fnet", "reformer", "xlnet"])
def test_what_reads_padding_is_refused(architecture):
    with pytest.raises(
        HfclsError, match=f"the logits of this {architecture} model depend on the padding beside a text"
    ):
        check_batching(build(architecture), tiny_tokenizer(0), None, max_length=32)


def test_what_fails_on_short_texts_is_refused_in_one_line():
    model = build("gpt2")
    model.config.pad_token_id = None
    with pytest.raises(HfclsError, match="this gpt2 model fails on three short texts .*: take another one") as raised:
        check_padding(model, tiny_tokenizer(0), max_length=32)
    assert "\n" not in str(raised.value)


def test_a_batching_that_the_model_does_not_take_is_refused_at_once():
    with pytest.raises(HfclsError, match="cannot pack batches: packing is not proven for roformer"):
        check_batching(build("roformer"), tiny_tokenizer(0), "packed", max_length=32)
