"""What training costs: time and memory, measured on a few steps of the model's shape, and the share of padding."""

import itertools
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from hfcls.batching.collate import TRAINING_LANES, Batch, tight_rows
from hfcls.training.optim import adam
from hfcls.batching.packing import best_fit

BYTES_PER_PARAMETER = 16  # float32: the weight, its gradient, Adam's two moments
MOST_STEPS = 20


@dataclass(frozen=True)
class Cost:
    """What `measure_cost` measured.

    Attributes:
        device: that ran the steps, such as `cpu` or `cuda`.
        parameters: of the model.
        steps: that were timed.
        seconds_per_step: their median.
        memory: bytes of weights, gradients and Adam's moments, and of what autograd keeps for the backward pass of
            the largest of the batches. The data, Python, libraries and working memory of operations come on top.
    """

    device: str
    parameters: int
    steps: int
    seconds_per_step: float
    memory: int


def measure_cost(model: PreTrainedModel, batches: Iterable[Batch], *, seconds: float = 6.0) -> Cost:
    """Train `model` in float32 on `batches`, until they or the `seconds` are used up; the first step only warms up.

    The rate is 0, but dropout draws random numbers and the model is left in training mode: give it one nobody needs.
    """
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    model.to(device).train()  # type: ignore[arg-type]
    optimizer = adam(model.parameters(), learning_rate=0.0)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    largest, times = 0, []
    begin = time.perf_counter()
    for batch in itertools.islice(batches, 1 + MOST_STEPS):
        batch = {name: tensor.to(device) for name, tensor in batch.items()}
        kept: dict[int, int] = {}  # address -> bytes: views of one tensor share its storage, which counts once

        def note(tensor: torch.Tensor, kept: dict[int, int] = kept) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        start = time.perf_counter()
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()  # waits for the device
        times.append(time.perf_counter() - start)
        largest = max(largest, sum(kept.values()))
        if len(times) > 1 and time.perf_counter() - begin > seconds:
            break
    timed = times[1:] or times
    memory = BYTES_PER_PARAMETER * model.num_parameters() + largest
    return Cost(device.type, model.num_parameters(), len(timed), statistics.median(timed), memory)


def padding_shares(
    lengths: Sequence[int], batch_size: int, max_length: int, row_length: int | None
) -> dict[str, float]:
    """Share of computed tokens that is padding, for each batching, in training batches of these texts.

    Args:
        lengths: tokens of each text, special tokens included; consecutive `batch_size` of them are a batch.
        row_length: of packed rows; None: chosen for each batch.
    """
    computed = {"packed": 0, "longest": 0, "fixed": 0}
    for start in range(0, len(lengths), batch_size):
        batch = lengths[start : start + batch_size]
        width, rows = (row_length, best_fit(batch, row_length)) if row_length else tight_rows(batch, TRAINING_LANES)
        computed["packed"] += width * len(rows)
        computed["longest"] += max(batch) * len(batch)
        computed["fixed"] += max_length * len(batch)
    return {batching: 1 - sum(lengths) / tokens for batching, tokens in computed.items()}
