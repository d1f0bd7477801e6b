"""Every row once, in whole batches: the last one of an epoch is filled with rows that no loss and no metric counts.

Left to itself, Accelerate fills the last batches of several processes with rows of the first ones, which then count
twice; a short batch would be a new shape for XLA to compile; and since batches are the same whatever the processes, so
is every bit of the logits.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch.utils.data import Dataset, Sampler

from hfcls.batching.collate import Row
from hfcls.scoring.losses import IGNORED_LABEL


class FilledDataset(Dataset[Row]):
    """`rows`, then filler up to a multiple of `batch_size`.

    Args:
        rows: an encoded `datasets.Dataset`, or any sized dataset of such rows.
        batch_size: rows of a batch over all processes.
    """

    def __init__(self, rows: Any, batch_size: int) -> None:
        self.rows = rows
        self.batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size) * self.batch_size

    def __getitem__(self, index: int) -> Row:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Row]:
        """The rows of a batch in one go, as torch's loader asks for them; filler stands behind the others."""
        real = [index for index in indices if index < len(self.rows)]
        fetch = getattr(self.rows, "__getitems__", lambda wanted: [self.rows[index] for index in wanted])
        rows = list(fetch(real)) if real else []
        if missing := len(indices) - len(real):
            rows += [filler(self.rows[0])] * missing
        return rows


@runtime_checkable
class RowsByEpoch(Protocol):
    """Rows that differ from one epoch to the next, and so have to know it."""

    def set_epoch(self, epoch: int) -> None: ...


class EpochSampler(Sampler[int]):
    """Indices of a `FilledDataset`: its rows shuffled by (seed, epoch) alone, or in order without a seed, then filler.

    The order is that of accelerate's `SeedableRandomSampler`.
    """

    def __init__(self, dataset: FilledDataset, seed: int | None) -> None:
        self.dataset = dataset
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the loader before each epoch, also when a resumed run begins in mid-epoch; tells rows that ask."""
        self.epoch = epoch
        if isinstance(self.dataset.rows, RowsByEpoch):
            self.dataset.rows.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[int]:
        rows = len(self.dataset.rows)
        if self.seed is None:
            yield from range(rows)
        else:
            yield from torch.randperm(rows, generator=torch.Generator().manual_seed(self.seed + self.epoch)).tolist()
        yield from range(rows, len(self))


def filler(row: Row) -> Row:
    """A row with the columns of `row`, one token, and labels that losses and metrics ignore: -100, or floats of it."""
    short = {name: value[:1] if isinstance(value, list) else value for name, value in row.items()}
    if "window_lengths" in row:
        short["window_lengths"] = [1]
    if "label_id" in row:  # that of pretraining
        short["label_id"] = None
    if "labels" in row:
        labels = row["labels"]
        ignored = float(IGNORED_LABEL) if isinstance(labels, list | float) else IGNORED_LABEL
        short["labels"] = [ignored] * len(labels) if isinstance(labels, list) else ignored
    return short
