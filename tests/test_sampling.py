"""Every row once, in the same steps, however many processes share them."""

from itertools import chain

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard, SeedableRandomSampler
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import BatchSampler

from hfcls.sampling import EpochSampler, FilledDataset, filler
from hfcls.trainer import classification_loss

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
