"""Fewer bits: the packed batches of an int8 or bf16 model are its padded ones, and near those in float32."""

import pytest
import torch
from architectures import CONFIGS, collators, texts, tiny

from hfcls.errors import HfclsError
from hfcls.inference.classifier import Classifier
from hfcls.models.compact.precision import Int8Linear, lower_precision
from hfcls.models.tokenizers import train_tokenizer

LENGTHS = [5, 12, 30, 3, 24, 60]


@pytest.mark.parametrize("precision", ["int8", "bf16"])
@pytest.mark.parametrize("architecture", CONFIGS)
@torch.inference_mode()
def test_packed_batches_stay_those_of_the_same_texts(architecture, precision, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    model, rows = tiny(architecture), texts(LENGTHS, seed=0)
    packed, padded = (collator(rows) for collator in collators(model, None))
    reference = model(**packed).logits
    lower_precision(model, precision)
    spread = reference.std().item()
    for batch in (packed, padded):
        difference = (model(**batch).logits.float() - reference).abs().max().item()
        assert 0 < difference < 0.2 * spread
    if precision == "int8":  # not the head and the pooler, and every layer of the blocks
        assert not any(
            type(module) is torch.nn.Linear and "layer" in name for name, module in model.base_model.named_modules()
        )
        assert any(isinstance(module, Int8Linear) for module in model.modules())
        assert not any(isinstance(m, Int8Linear) for name, m in model.named_modules() if "classifier" in name)


@pytest.mark.parametrize("bias", [True, False])
def test_an_int8_layer_is_the_layer_rounded(bias):
    torch.manual_seed(0)
    linear = torch.nn.Linear(64, 32, bias=bias)
    hidden = torch.randn(3, 5, 64)
    with torch.no_grad():
        linear.weight[3] = 0  # a row without a scale
        linear.weight[4] *= 1000  # each row has its own
        expected, rounded = linear(hidden), Int8Linear(linear)(hidden)
    assert rounded.shape == expected.shape
    error, spread = (tensor.std(dim=(0, 1)) for tensor in (rounded - expected, expected))
    assert (error <= 0.05 * spread).all()  # 7 bits; the row that is 1000 times as large takes none from the others


def test_what_the_device_cannot_do_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True}, raising=False)
    with pytest.raises(HfclsError, match="no bf16 arithmetic"):
        lower_precision(tiny("bert"), "bf16")
    with pytest.raises(HfclsError, match="int8 is for a CPU"):
        lower_precision(tiny("bert").to("meta"), "int8")


@pytest.mark.parametrize("name", ["bfloat16", "fp16", None])
def test_a_precision_by_another_name_is_refused(name):
    """It was float32, and the log said that in bfloat16 no label changes."""
    with pytest.raises(HfclsError, match="precision must be one of float32, int8, bf16, found"):
        lower_precision(tiny("bert"), name)


def test_exact_batches_are_refused_in_int8():
    model = tiny("bert")
    lower_precision(model, "int8")
    with pytest.raises(HfclsError, match="exact batching needs float32"):
        Classifier(model, train_tokenizer(["영화"], vocab_size=50), max_length=32, batching="exact")
