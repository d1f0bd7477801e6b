"""XLA compiles a graph for each shape that it meets: one shape for training, one for evaluation, and a count."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import TrainingArguments

from hfcls.batching.bins import best_fit
from hfcls.batching.sampling import EpochSampler, FilledDataset

logger = logging.getLogger(__name__)


def static_row_counts(args: TrainingArguments, encoded: Mapping[str, Any], row_length: int) -> dict[int, list[int]]:
    """`row_counts` of `make_collator` under which training has one shape and evaluation has one.

    It is the largest number of rows that any batch of any epoch and any process needs. The order of rows is known
    beforehand, so it can be counted, in about a second for 5,000 batches. Cores that train together have to run the
    same graph in every step, so that a smaller shape for smaller batches is no choice.

    Args:
        encoded: the splits; `train` is shuffled by `args.seed`, the others are evaluated in their order.
    """
    size = args.train_batch_size
    filled = FilledDataset(encoded["train"], size * args.world_size)
    sampler = EpochSampler(filled, args.seed if args.data_seed is None else args.data_seed)
    steps = math.ceil(len(filled) / (size * args.world_size * args.gradient_accumulation_steps))
    epochs = math.ceil(args.max_steps / steps if args.max_steps > 0 else args.num_train_epochs)
    lengths = _lengths(filled)
    most = {size: 1}
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        most[size] = max(most[size], _rows_needed([lengths[i] for i in sampler], size, row_length))
    size = args.eval_batch_size
    for split in encoded:
        if split != "train":
            lengths = _lengths(FilledDataset(encoded[split], size * args.world_size))
            most[size] = max(most.get(size, 1), _rows_needed(lengths, size, row_length))
    return {size: [rows] for size, rows in most.items()}


def _lengths(dataset: FilledDataset) -> list[int]:
    ids = [len(row) for row in dataset.rows["input_ids"]]
    return ids + [1] * (len(dataset) - len(ids))


def _rows_needed(lengths: Sequence[int], batch_size: int, row_length: int) -> int:
    return max(
        len(best_fit(lengths[start : start + batch_size], row_length)) for start in range(0, len(lengths), batch_size)
    )
