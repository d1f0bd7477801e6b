"""Which tokens are hidden follows from (seed, epoch, row) alone, and a packed masked batch is held to a padded one."""

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from architectures import CONFIGS
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForMaskedLM, PreTrainedModel

from hfcls.batching.choice import collator_for_run
from hfcls.batching.collate import PackedCollator, PaddedCollator
from hfcls.batching.masking import NO_WORD, DrawnRows, Masking, MaskingCollator, hidden_positions, labels_at_most
from hfcls.batching.packing import enable_packing
from hfcls.batching.sampling import EpochSampler, FilledDataset
from hfcls.models.positions import position_offset
from hfcls.training.masked_lm import masked_lm_loss

MASK, ORDINARY = 4, np.arange(5, 100)


def masking(probability: float = 0.3, whole_words: bool = False) -> Masking:
    return Masking(MASK, ORDINARY, probability, whole_words)


def encoded(lengths: list[int], seed: int = 0) -> Dataset:
    """Texts with a special token at both ends, in words of one to three tokens."""
    rng = np.random.default_rng(seed)
    rows = []
    for length in lengths:
        inner = max(0, length - 2)
        words = np.repeat(np.arange(inner), rng.integers(1, 4, inner))[:inner]
        rows.append(
            {
                "input_ids": [2, *rng.integers(5, 100, inner).tolist(), 3][:length],
                "words": [NO_WORD, *words.tolist(), NO_WORD][:length],
            }
        )
    return Dataset.from_list(rows)


def masked_lm(name: str, attention: str = "sdpa") -> PreTrainedModel:
    torch.manual_seed(0)
    config = copy.deepcopy(CONFIGS[name])
    config.initializer_range = 0.2  # wide enough for a wrong mask or position to show
    for option, value in vars(config).items():
        if "dropout" in option and isinstance(value, float):
            setattr(config, option, 0.0)
    model = AutoModelForMaskedLM.from_config(config, attn_implementation=attention)
    enable_packing(model)
    return model


def layouts(model: PreTrainedModel, **options: Any) -> tuple[PackedCollator, PaddedCollator]:
    pad = model.config.pad_token_id or 0
    return PackedCollator(pad, 64, position_offset(model.config), **options), PaddedCollator(pad, 64)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", CONFIGS)
def test_packed_loss_and_gradients_are_those_of_padded_texts_and_a_head_on_all_tokens(name, attention):
    model = masked_lm(name, attention)
    rows = list(DrawnRows(encoded([2, 64, 30, 31, 7, 40, 12]), 7, each_epoch=True))
    losses, gradients = [], []
    for layout in layouts(model):
        batch = MaskingCollator(layout, masking())(rows)
        labels = batch.pop("labels")
        model.zero_grad()
        output = model(**batch)
        loss = masked_lm_loss(output, labels)
        loss.backward()
        losses.append(loss.item())
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    plain = model(**batch, labels=labels).loss.item()  # transformers' own mean over the padded batch
    assert losses == pytest.approx([plain, plain], rel=1e-5)
    assert gradients[0].keys() == gradients[1].keys()
    largest = max(gradient.norm().item() for gradient in gradients[1].values())
    for key, gradient in gradients[1].items():
        gap = (gradients[0][key] - gradient).norm().item() / max(gradient.norm().item(), 1e-3 * largest)
        assert gap < 1e-5, key


def test_a_label_is_one_more_target_at_the_first_token_which_stays():
    row = {**encoded([12])[0], "draw": [7, 0, 0]}
    ids, hidden, targets = masking()(row)
    labelled = masking()({**row, "label_id": 42})
    assert labelled[0] == ids
    assert ids[0] == row["input_ids"][0]
    assert labelled[1].tolist() == [0, *hidden]
    assert labelled[2].tolist() == [42, *targets]
    without = masking()({**row, "label_id": None})
    assert [np.asarray(part).tolist() for part in without] == [ids, hidden.tolist(), targets.tolist()]


def test_a_packed_batch_with_labels_is_held_to_the_padded_one():
    model = masked_lm("bert")
    rows = [{**row, "label_id": 40 + i % 3 if i % 2 else None} for i, row in enumerate(encoded([2, 30, 31, 7, 64]))]
    rows = [{**row, "draw": [7, 0, i]} for i, row in enumerate(rows)]
    losses = []
    for layout in layouts(model):
        batch = MaskingCollator(layout, masking())(rows)
        labels = batch.pop("labels")
        assert {41} <= set(labels.flatten().tolist())
        losses.append(masked_lm_loss(model(**batch), labels).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_the_head_is_computed_at_hidden_tokens_only():
    model = masked_lm("bert")
    rows = list(DrawnRows(encoded([20, 30, 9]), 7, each_epoch=True))
    batch = MaskingCollator(layouts(model)[0], masking())(rows)
    labels = batch.pop("labels")
    assert model(**batch).logits.shape == (len(labels), 1, 100)
    assert 0 < len(labels) < 30


@settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=8),
    seed=st.integers(0, 2**32 - 1),
    probability=st.floats(0.01, 0.99),
    whole=st.booleans(),
)
def test_what_is_hidden_is_ordinary_and_can_be_put_back(lengths, seed, probability, whole):
    lengths = [length + 2 for length in lengths]
    data = encoded(lengths, seed)
    for row, original in zip(DrawnRows(data, seed, each_epoch=True), data, strict=True):
        ids, hidden, targets = masking(probability, whole)(row)
        words = np.asarray(original["words"])
        assert (words[hidden] != NO_WORD).all()
        assert np.unique(hidden).tolist() == hidden.tolist()
        if whole:  # a word is hidden as a whole, or not at all
            assert set(np.flatnonzero(np.isin(words, words[hidden])).tolist()) == set(hidden.tolist())
        restored = np.asarray(ids)
        restored[hidden] = targets
        assert restored.tolist() == original["input_ids"]


@pytest.mark.parametrize("whole_words", [False, True])
@pytest.mark.parametrize("length", [3, 7, 40])
def test_the_share_is_hidden_on_average(length, whole_words):
    rng = np.random.default_rng(1)
    words = np.repeat(np.arange(length), 1 + np.arange(length) % 3)[:length]
    counts = [len(hidden_positions(words, rng, probability=0.2, whole_words=whole_words)) for _ in range(6_000)]
    assert np.mean(counts) == pytest.approx(0.2 * length, rel=0.06)
    if not whole_words:
        assert max(counts) - min(counts) <= 1


def test_hidden_tokens_become_the_mask_others_or_stay():
    data = encoded([30] * 400)
    kinds = {"mask": 0, "stays": 0, "other": 0}
    for row in DrawnRows(data, 7, each_epoch=True):
        ids, hidden, targets = masking()(row)
        for position, target in zip(hidden, targets, strict=True):
            found = ids[position]
            kinds["mask" if found == MASK else "stays" if found == target else "other"] += 1
    shares = {kind: count / sum(kinds.values()) for kind, count in kinds.items()}
    assert shares == pytest.approx({"mask": 0.8, "stays": 0.1, "other": 0.1}, abs=0.02)


def test_a_text_of_one_token_is_left_alone():
    words = np.array([NO_WORD, 0, NO_WORD])
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert len(hidden_positions(words, rng, probability=0.9, whole_words=False)) == 0


def test_masks_follow_from_seed_epoch_and_row_alone():
    data = encoded([20] * 6)

    def drawn(epoch: int, order: list[int], seed: int = 7, each_epoch: bool = True) -> dict[int, list[int]]:
        rows = DrawnRows(data, seed, each_epoch=each_epoch)
        sampler = EpochSampler(FilledDataset(rows, 4), seed)
        sampler.set_epoch(epoch)  # as a loader does
        torch.rand(3), np.random.rand(3)  # whatever the global generators have drawn
        return {i: masking()(row)[0] for i, row in zip(order, rows.__getitems__(order), strict=True)}

    first = drawn(2, [0, 1, 2, 3, 4, 5])
    assert drawn(2, [5, 3, 0]) == {i: first[i] for i in (5, 3, 0)}
    assert all(drawn(3, [i]) != {i: first[i]} for i in range(6))
    assert all(drawn(2, [i], seed=8) != {i: first[i]} for i in range(6))
    assert drawn(0, [1, 2], each_epoch=False) == drawn(5, [1, 2], each_epoch=False)


def test_static_shapes_hold_every_label_and_filler_adds_none():
    model = masked_lm("bert")
    data = encoded([20, 9, 40, 3, 17])
    filled = FilledDataset(DrawnRows(data, 7, each_epoch=True), 8)
    rows = filled.__getitems__(list(range(8)))
    layout, _ = layouts(model)
    static, _ = layouts(model, row_counts={8: [4]})
    free = MaskingCollator(layout, masking())(rows[:5])
    fixed = MaskingCollator(static, masking())(rows)
    assert fixed["input_ids"].shape == (4, 64)
    assert fixed["labels"].shape == fixed["masked_index"].shape == (labels_at_most(4 * 64, 0.3),)
    count = len(free["labels"])
    assert fixed["labels"].tolist() == [*free["labels"].tolist(), *[-100] * (len(fixed["labels"]) - count)]
    losses = []
    for batch in (free, fixed):
        labels = batch.pop("labels")
        losses.append(masked_lm_loss(model(**batch), labels).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_filler_has_no_label_to_learn():
    rows = [{**row, "label_id": 40 + i} for i, row in enumerate(encoded([20, 9, 17]))]
    filled = FilledDataset(DrawnRows(Dataset.from_list(rows), 7, each_epoch=True), 8)
    for layout in layouts(masked_lm("bert")):
        of_rows, of_all = (MaskingCollator(layout, masking())(filled.__getitems__(range(n))) for n in (3, 8))
        counted = [batch["labels"][batch["labels"] != -100].tolist() for batch in (of_rows, of_all)]
        assert counted[0] == counted[1]


def test_a_batch_with_nothing_hidden_has_the_loss_zero():
    model = masked_lm("bert")
    for layout in layouts(model):
        batch = MaskingCollator(layout, masking())(list(DrawnRows(encoded([2, 3]), 7, each_epoch=True)))
        labels = batch.pop("labels")
        assert masked_lm_loss(model(**batch), labels).item() == 0


def test_on_xla_all_batches_of_a_run_have_one_shape_and_lose_no_label():
    """One for training and one for evaluation, or cores that train together would wait for each other's graphs."""
    rng = np.random.default_rng(3)
    splits = {name: encoded(rng.integers(3, 40, n).tolist(), n) for name, n in (("train", 70), ("validation", 21))}
    args: Any = SimpleNamespace(
        device=SimpleNamespace(type="xla"), train_batch_size=16, eval_batch_size=8, world_size=1,
        gradient_accumulation_steps=1, seed=7, data_seed=None, max_steps=-1, num_train_epochs=3,
    )  # fmt: skip
    layout: Any = collator_for_run(masked_lm("bert"), args, splits, pad_token_id=0, max_length=64)
    collate, free = MaskingCollator(layout, masking()), MaskingCollator(layouts(masked_lm("bert"))[0], masking())
    for name, size in (("train", 16), ("validation", 8)):
        filled = FilledDataset(DrawnRows(splits[name], 7, each_epoch=name == "train"), size)
        sampler = EpochSampler(filled, 7 if name == "train" else None)
        shapes = set()
        for epoch in range(3):
            sampler.set_epoch(epoch)
            order = list(sampler)
            for start in range(0, len(order), size):
                rows = filled.__getitems__(order[start : start + size])
                batch = collate(rows)
                shapes.add(tuple((key, tuple(value.shape)) for key, value in batch.items()))
                assert sorted(batch["labels"][batch["labels"] != -100].tolist()) == sorted(
                    label for label in free(rows)["labels"].tolist() if label != -100
                )
        assert len(shapes) == 1
