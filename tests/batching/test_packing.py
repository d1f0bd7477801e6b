"""Packed batches are held to padded ones: the same logits, losses and gradients."""

import copy
import gc
import io
import pickle
import threading
from typing import Any

import pytest
import torch
from architectures import CONFIGS, SIZE, WITH_TOKEN_TYPES, collators, texts, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    GPT2Config,
    PreTrainedModel,
)

from hfcls.batching.bins import best_fit, few_row_counts
from hfcls.batching.choice import choose_batching
from hfcls.batching.packing import PROVEN, _mask_texts, enable_packing, packing_support
from hfcls.batching.sampling import filler
from hfcls.errors import HfclsError

BATCHES = given(
    lengths=st.lists(st.integers(2, 64), min_size=1, max_size=64),
    seed=st.integers(0, 1000),
    pairs=st.booleans(),
)


@pytest.fixture(scope="module")
def models() -> dict[str, PreTrainedModel]:
    return {name: tiny(name) for name in CONFIGS}


def test_every_proven_architecture_is_tested():
    assert {config.model_type for config in CONFIGS.values()} == set(PROVEN)
    assert all(packing_support(config) is None for config in CONFIGS.values())


@settings(max_examples=40, deadline=None)
@BATCHES
def test_bert_logits_are_those_of_padded_texts_bit_for_bit(models, lengths, seed, pairs):
    model = models["bert"]
    rows = texts(lengths, seed, pairs)
    for width in (64, 80, 128, 192, None):  # None: chosen by the collator
        batch = collators(model, width)[0](rows)
        padded = collators(model, batch["input_ids"].shape[1])[1]
        with torch.no_grad():
            assert torch.equal(model(**batch).logits, model(**padded(rows)).logits)


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=10, deadline=None)
@BATCHES
def test_logits_of_every_architecture_are_those_of_padded_texts(models, name, lengths, seed, pairs):
    model = models[name]
    rows = texts(lengths, seed, pairs and name in WITH_TOKEN_TYPES)
    for width in (64, None):
        packed, padded = collators(model, width)
        with torch.no_grad():
            torch.testing.assert_close(model(**packed(rows)).logits, model(**padded(rows)).logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", CONFIGS)
def test_gradients_are_those_of_padded_texts(name, attention, checkpointing):
    model = tiny(name, attn_implementation=attention)
    if checkpointing:
        if not model.supports_gradient_checkpointing:
            pytest.skip(f"{name} has no gradient checkpointing")
        model.activation_checkpointing_enable()
        model.train()  # checkpointing is for training only; there is no dropout
    packed, padded = collators(model, 64)
    rows = texts([2, 64, 30, 31, 7, 40, 12], seed=1, labels=True)
    gradients = []
    for collate in (packed, padded):
        model.zero_grad()
        model(**collate(rows)).loss.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    largest = max(gradient.norm().item() for gradient in gradients[1].values())
    for key, gradient in gradients[1].items():
        # softmax does not depend on the keys' bias: its gradient is rounding noise around 0, compared to the largest
        gap = (gradients[0][key] - gradient).norm().item() / max(gradient.norm().item(), 1e-3 * largest)
        assert gap < 1e-5, key


def test_float_labels_and_bf16_work():
    model = tiny("bert")
    model.config.problem_type = "multi_label_classification"
    packed, padded = collators(model, 64)
    rows = [{**row, "labels": [0.0, 1.0, float(i % 2)]} for i, row in enumerate(texts([5, 60, 20], 2))]
    with torch.no_grad():
        torch.testing.assert_close(model(**packed(rows)).loss, model(**padded(rows)).loss)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.testing.assert_close(model(**packed(rows)).logits, model(**padded(rows)).logits, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("name", ["bert", "modernbert"])
def test_every_token_attends_to_something(models, name):
    batch = collators(models[name], 64, row_counts={3: [2]})[0](texts([10, 20, 30], seed=3))
    mask = _mask_texts(models[name].base_model, (), batch)[1]["attention_mask"]
    for each in mask.values() if isinstance(mask, dict) else [mask]:
        assert each.any(-1).all()  # a softmax over nothing is NaN on some devices


def test_filler_changes_neither_logits_nor_gradients():
    model = tiny("bert")
    rows = texts([10, 20, 30], seed=3, labels=True)
    filled = [*rows, *[filler(rows[0])] * 29]
    packed, padded = collators(model, 64)
    static = collators(model, 64, row_counts={32: few_row_counts(32)})[0]
    assert static(filled)["input_ids"].shape == (4, 64)
    assert static(filled)["labels"].tolist() == [*packed(rows)["labels"].tolist(), *[-100] * 29]
    grads, logits = [], []
    for batch in (packed(rows), static(filled), padded(filled)):
        model.zero_grad()
        output = model(**batch)
        output.loss.backward()
        grads.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
        logits.append(output.logits[:3])
    for other in (1, 2):
        torch.testing.assert_close(logits[other], logits[0])
        torch.testing.assert_close(grads[other], grads[0])


def test_compiling_sees_only_the_few_shapes():
    torch._dynamo.reset()
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    model = tiny("bert")
    packed = collators(model, 64, row_counts={8: few_row_counts(8)})[0]
    compiled = torch.compile(model, backend=count, dynamic=False)
    shapes = set()
    for seed, lengths in enumerate([[2] * 8, [64] * 8, [30] * 8, [30] * 5 + [2] * 3, [20] * 8, [40] * 8]):
        batch = packed(texts(lengths, seed, labels=True))
        shapes.add(tuple(batch["input_ids"].shape))
        torch.testing.assert_close(compiled(**batch).loss, model(**batch).loss)
    assert len(graphs) == len(shapes) <= 6


def test_the_model_stays_a_plain_one(tmp_path):
    torch.manual_seed(0)
    plain = AutoModelForSequenceClassification.from_config(CONFIGS["bert"]).eval()
    rows = texts([5, 9], seed=4)
    packed, padded = collators(plain, None)
    with torch.no_grad():
        before = plain(**padded(rows)).logits
        keys, config = list(plain.state_dict()), plain.config.to_dict()
        enable_packing(plain)
        enable_packing(plain)
        assert len(plain.base_model._forward_hooks) == 1
        assert torch.equal(plain(**padded(rows)).logits, before)
        assert (list(plain.state_dict()), plain.config.to_dict()) == (keys, config)
        for copied in (copy.deepcopy(plain), pickle.load(io.BytesIO(pickle.dumps(plain)))):
            assert torch.equal(copied(**packed(rows)).logits, plain(**packed(rows)).logits)
        plain.save_pretrained(tmp_path)
        loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
        assert torch.equal(loaded(**padded(rows)).logits, before)


def test_layers_may_be_dropped_after_packing_was_enabled():
    model = tiny("bert")
    encoder = model.base_model.encoder
    encoder.layer = encoder.layer[:1]
    packed, padded = collators(model, 64)
    rows = texts([5, 60, 20, 9], seed=2)
    with torch.no_grad():
        assert torch.equal(model(**packed(rows)).logits, model(**padded(rows)).logits)


def test_a_feed_forward_network_in_chunks_takes_packed_batches():
    config = BertConfig(**SIZE, chunk_size_feed_forward=8)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    enable_packing(model)
    packed, padded = collators(model, 64)
    rows = texts([5, 60, 20, 9], seed=2)
    with torch.no_grad():
        torch.testing.assert_close(model(**packed(rows)).logits, model(**padded(rows)).logits)


def test_texts_and_rows_of_one_token(models):
    packed, padded = collators(models["bert"], 1)
    rows = texts([1] * 20, seed=2)
    with torch.no_grad():
        torch.testing.assert_close(models["bert"](**packed(rows)).logits, models["bert"](**padded(rows)).logits)


@pytest.mark.parametrize("name", ["bert", "electra", "roberta", "xlm-roberta"])
def test_the_last_feed_forward_network_sees_the_first_tokens_alone(models, name):
    """And padded batches as ever: it is where 5 % of the speed comes from, so that it must not get lost unseen."""
    seen = []
    feed_forward = models[name].base_model.encoder.layer[-1].intermediate
    handle = feed_forward.register_forward_pre_hook(lambda module, args: seen.append(tuple(args[0].shape)))
    packed, padded = collators(models[name], 64)
    rows = texts([9] * 20, seed=2)
    with torch.no_grad():
        models[name](**packed(rows))
        models[name](**padded(rows))
    handle.remove()
    assert seen == [(32, 1, 32), (20, 64, 32)]


def test_threads_may_share_a_model(models):
    model = models["bert"]
    packed = collators(model, 64)[0]
    batches = [packed(texts([3 + i, 20, 40 - i], seed=i)) for i in range(8)]
    with torch.no_grad():
        expected = [model(**batch).logits for batch in batches]
    results: dict[int, torch.Tensor] = {}

    def work(i: int) -> None:
        with torch.no_grad():
            for _ in range(10):
                results[i] = model(**batches[i]).logits

    workers = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(torch.equal(results[i], expected[i]) for i in range(8))


class Adapter(torch.nn.Module):
    """What packing sees of a model in an adapter of peft, which is no part of these tests."""

    def __init__(self, model: PreTrainedModel, is_prompt_learning: bool = False) -> None:
        super().__init__()
        self.base_model, self.config = torch.nn.Sequential(model), model.config
        self.active_peft_config = type("Config", (), {"is_prompt_learning": is_prompt_learning})

    def get_base_model(self) -> torch.nn.Module:
        return self.base_model[0]

    def forward(self, **batch: torch.Tensor) -> Any:
        return self.get_base_model()(**batch)


def test_an_adapter_is_packed_by_the_model_in_it():
    torch.manual_seed(0)
    plain = AutoModelForSequenceClassification.from_config(CONFIGS["bert"]).eval()
    adapter = Adapter(plain)
    assert choose_batching(adapter, None) == "packed"
    enable_packing(adapter)
    packed, padded = collators(plain, 64)
    rows = texts([5, 60, 20], seed=2)
    with torch.no_grad():
        torch.testing.assert_close(adapter(**packed(rows)).logits, plain(**padded(rows)).logits, rtol=0, atol=1e-5)
    assert "puts tokens of its own before each row" in str(packing_support(Adapter(plain, is_prompt_learning=True)))
    assert choose_batching(Adapter(plain, is_prompt_learning=True), None) == "longest"


def test_what_is_not_proven_is_refused_with_the_reason():
    gpt2 = AutoModelForSequenceClassification.from_config(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=10))
    with pytest.raises(ValueError, match="packing is not proven for gpt2 models .*; use batching longest"):
        enable_packing(gpt2)
    assert choose_batching(gpt2, None) == "longest"
    assert choose_batching(gpt2, "fixed") == "fixed"
    with pytest.raises(HfclsError, match="cannot pack batches: packing is not proven for gpt2 .*--batching longest"):
        choose_batching(gpt2, "packed")
    assert choose_batching(tiny("bert"), None) == "packed"
    assert "causal" in str(packing_support(BertConfig(**SIZE, is_decoder=True)))
    model = tiny("bert")
    batch = collators(model, None)[0](texts([5, 9], seed=4))
    model.config._attn_implementation = "flash_attention_2"
    assert packing_support(model) == "packing needs sdpa or eager attention, not flash_attention_2"
    with pytest.raises(ValueError, match="a packed batch needs sdpa or eager attention, found flash_attention_2"):
        model(**batch)


def test_a_wrapped_model_averages_gradients_over_packed_batches(tmp_path):
    model = tiny("bert")
    batch = collators(model, 64)[0](texts([5, 60, 20], seed=2, labels=True))
    plain = model(**batch).logits
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        wrapped = torch.nn.parallel.DistributedDataParallel(model)
        output = wrapped(**batch)
        output.loss.backward()
        logits = output.logits.detach().clone()
        del wrapped, output  # else the group ends with the last of these, and now and then waits for itself
        gc.collect()
    finally:
        torch.distributed.destroy_process_group()
    assert torch.equal(logits, plain)


@given(lengths=st.lists(st.integers(1, 64), max_size=80))
def test_best_fit_places_each_text_once_and_no_worse_than_first_fit(lengths):
    rows = best_fit(lengths, 64)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in row) <= 64 for row in rows)
    first_fit: list[int] = []
    for length in sorted(lengths, reverse=True):
        for r, used in enumerate(first_fit):
            if used + length <= 64:
                first_fit[r] += length
                break
        else:
            first_fit.append(length)
    assert len(rows) <= len(first_fit)


def test_best_fit_falls_back_where_first_fit_needs_fewer_rows():
    assert len(best_fit([49, 272, 224, 297, 105, 231, 20, 1, 192, 120, 262, 220], 1000)) == 2
    assert best_fit([], 8) == []


def test_a_text_longer_than_a_row_is_refused_with_both_numbers():
    with pytest.raises(ValueError, match="a text of 65 tokens does not fit a row of 64: raise row_length"):
        best_fit([3, 65], 64)
