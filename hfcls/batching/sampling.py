"""Every row once, in whole batches: the last one of an epoch is filled with rows that no loss and no metric counts.

Left to itself, Accelerate fills the last batches of several processes with rows of the first ones, which then count
twice; a short batch would be a new shape for XLA to compile; and since batches are the same whatever the processes, so
is every bit of the logits.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler
from transformers import EvalPrediction, Trainer
from transformers.trainer_pt_utils import nested_truncate
from transformers.trainer_utils import EvalLoopOutput

from hfcls.batching.collate import IGNORED_LABEL, Row


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
        return -(-len(self.rows) // self.batch_size) * self.batch_size

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


class EpochSampler(Sampler[int]):
    """Indices of a `FilledDataset`: its rows shuffled by (seed, epoch) alone, or in order without a seed, then filler.

    The order is that of accelerate's `SeedableRandomSampler`.
    """

    def __init__(self, dataset: FilledDataset, seed: int | None) -> None:
        self.dataset = dataset
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the loader before each epoch, also when a resumed run begins in mid-epoch."""
        self.epoch = epoch

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
    if "labels" in row:
        labels = row["labels"]
        short["labels"] = [float(IGNORED_LABEL)] * len(labels) if isinstance(labels, list) else IGNORED_LABEL
    return short


class WholeBatchTrainer(Trainer):
    """Trainer whose steps and metrics are the same on any number of processes."""

    args: Any

    def _get_dataloader(
        self,
        dataset: Any,
        description: str,
        batch_size: int,
        sampler_fn: Callable[..., Any] | None = None,
        is_training: bool = False,
        dataloader_key: str | None = None,
    ) -> Any:
        """Trainer's own, with every row once and in whole batches."""
        if is_training and self.args.train_sampling_strategy != "random":
            return super()._get_dataloader(dataset, description, batch_size, sampler_fn, is_training, dataloader_key)
        filled = FilledDataset(dataset, batch_size * self.args.world_size)
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        sampler = EpochSampler(filled, seed if is_training else None)
        loader = super()._get_dataloader(
            filled, description, batch_size, lambda _: sampler, is_training, dataloader_key
        )
        # so that the epoch reaches it also through the two wrappers of a run with several processes that is resumed
        _unwrapped(loader).set_sampler(sampler)
        return loader

    def num_examples(self, dataloader: Any) -> int:
        """Rows of the loader's dataset, without filler."""
        dataset = _unwrapped(dataloader).dataset
        return len(dataset.rows if isinstance(dataset, FilledDataset) else dataset)

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Trainer's own, with metrics over each row of the dataset once: filler stands behind them and is cut off."""
        rows, compute_metrics = self.num_examples(dataloader), self.compute_metrics

        def without_filler(arrays: Any) -> Any:
            return None if arrays is None else nested_truncate(arrays, rows)

        if compute_metrics is not None:
            self.compute_metrics = lambda found: compute_metrics(
                EvalPrediction(without_filler(found.predictions), without_filler(found.label_ids))
            )
        try:
            output = super().evaluation_loop(
                dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
            )
        finally:
            self.compute_metrics = compute_metrics
        if self.args.world_size > 1 and not (self.is_in_train or self.is_fsdp_enabled):
            # Accelerate would take the model as prepared, and the processes of a later training would each learn alone.
            vars(self.model).pop("_is_accelerate_prepared", None)
        return EvalLoopOutput(
            without_filler(output.predictions), without_filler(output.label_ids), output.metrics, rows
        )


def _unwrapped(loader: Any) -> Any:
    """Accelerate's loader; on XLA another one is wrapped around it."""
    return getattr(loader, "dataloader", loader)
