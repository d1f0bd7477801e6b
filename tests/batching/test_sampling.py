"""Every row once, in the same steps, however many processes share them."""

import random
from dataclasses import replace
from itertools import chain

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard, SeedableRandomSampler
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import BatchSampler

from hfcls.batching.collate import make_collator
from hfcls.batching.sampling import EpochSampler, FilledDataset, filler
from hfcls.batching.static_shapes import static_row_counts
from hfcls.scoring.losses import classification_loss
from hfcls.training.arguments import ClassificationTrainingArguments

ROWS = [{"input_ids": [2, 7 + i, 3], "labels": i % 2} for i in range(5)]
FILLER_ROW = {"input_ids": [2], "labels": -100}


def steps(num_rows: int, batch_size: int, processes: int, epoch: int = 0, seed: int | None = 7) -> list[list[int]]:
    """The rows of each step over all processes, as Accelerate divides them, without filler."""
    dataset = FilledDataset(range(num_rows), batch_size * processes)
    sampler = EpochSampler(dataset, seed)
    sampler.set_epoch(epoch)
    batches = BatchSampler(sampler, batch_size, drop_last=False)
    shards = [list(BatchSamplerShard(batches, processes, index)) for index in range(processes)]
    assert len({len(shard) for shard in shards}) == 1  # or a process would wait for the others for ever
    assert {len(batch) for shard in shards for batch in shard} == {batch_size}
    return [[i for batch in parts for i in batch if i < num_rows] for parts in zip(*shards, strict=True)]


@settings(deadline=None)
@given(num_rows=st.integers(1, 100), per_device=st.integers(1, 9), processes=st.integers(2, 8), epoch=st.integers(0, 3))
def test_processes_share_the_steps_of_one(num_rows, per_device, processes, epoch):
    whole = steps(num_rows, per_device * processes, 1, epoch)
    assert steps(num_rows, per_device, processes, epoch) == whole
    assert sorted(chain.from_iterable(whole)) == list(range(num_rows))
    assert list(chain.from_iterable(steps(num_rows, per_device, processes, seed=None))) == list(range(num_rows))


def test_the_order_is_that_of_accelerate_and_depends_on_seed_and_epoch_only():
    dataset = FilledDataset(range(50), 1)
    ours, theirs = EpochSampler(dataset, 7), SeedableRandomSampler(range(50), data_seed=7)
    orders = []
    for epoch in (0, 1, 5):
        torch.rand(1)
        ours.set_epoch(epoch)
        theirs.set_epoch(epoch)
        orders.append(list(ours))
        assert orders[-1] == list(ours) == list(theirs)
    assert orders[0] != orders[1] != orders[2]


@pytest.mark.parametrize("rows", [ROWS, Dataset.from_list(ROWS)])
def test_filler_stands_behind_the_rows_and_has_one_token(rows):
    dataset = FilledDataset(rows, 4)
    assert len(dataset) == 8
    assert dataset.__getitems__([3, 4, 5, 6]) == [*ROWS[3:], *[FILLER_ROW] * 2]
    assert dataset.__getitems__([6, 7]) == [FILLER_ROW] * 2
    assert dataset[0] == ROWS[0]
    assert len(FilledDataset(rows, 5)) == len(FilledDataset(rows, 1)) == 5


def test_static_row_counts_fit_every_batch_of_the_run_in_one_shape(tmp_path):
    rng = random.Random(0)
    splits = {"train": 103, "validation": 31, "test": 65}
    encoded = {
        split: Dataset.from_list([{"input_ids": [5] * rng.randint(2, 32), "labels": 0} for _ in range(rows)])
        for split, rows in splits.items()
    }
    args = ClassificationTrainingArguments(
        output_dir=str(tmp_path), per_device_train_batch_size=8, per_device_eval_batch_size=16, use_cpu=True
    )
    for changes, epochs in (({"num_train_epochs": 3}, 3), ({"max_steps": 14}, 2)):
        counts = static_row_counts(replace(args, **changes), encoded, row_length=32)
        assert counts.keys() == {8, 16}
        collate = make_collator("packed", pad_token_id=0, max_length=32, row_counts=counts)
        tight = make_collator("packed", pad_token_id=0, max_length=32, row_length=32)
        needed = 0
        for epoch in range(epochs):
            dataset = FilledDataset(encoded["train"], 8)
            sampler = EpochSampler(dataset, args.seed)
            sampler.set_epoch(epoch)
            for batch in BatchSampler(sampler, 8, drop_last=False):
                rows = dataset.__getitems__(batch)
                assert collate(rows)["input_ids"].shape == (counts[8][0], 32)
                needed = max(needed, len(tight(rows)["input_ids"]))
        assert counts[8] == [needed]
        for split in ("validation", "test"):
            dataset = FilledDataset(encoded[split], 16)
            for batch in BatchSampler(EpochSampler(dataset, None), 16, drop_last=False):
                assert collate(dataset.__getitems__(batch))["input_ids"].shape == (counts[16][0], 32)


def test_filler_with_float_labels_changes_neither_loss_nor_gradient():
    row = {"input_ids": [2, 7, 3], "token_type_ids": [0, 0, 1], "labels": [0.0, 1.0, 1.0]}
    assert filler(row) == {"input_ids": [2], "token_type_ids": [0], "labels": [-100.0] * 3}
    logits = torch.randn(4, 3, requires_grad=True)
    labels = torch.tensor([row["labels"], [1.0, 0.0, 0.0], *[filler(row)["labels"]] * 2])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[:2], labels[:2])
    torch.testing.assert_close(classification_loss({"logits": logits}, labels), expected)
    (gradient,) = torch.autograd.grad(classification_loss({"logits": logits}, labels), logits)
    torch.testing.assert_close(gradient[:2], torch.autograd.grad(expected, logits)[0][:2])
    assert not gradient[2:].any()
