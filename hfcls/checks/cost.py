"""What training costs: time and memory, measured on a few steps of the model's shape, and the share of padding."""

import itertools
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from hfcls.batching.collate import Batch
from hfcls.training.optim import adam

BYTES_PER_PARAMETER = 16  # float32: the weight, its gradient, Adam's two moments
MOST_STEPS = 20


@dataclass(frozen=True)
class Cost:
    """What `measure_cost` measured.

    Attributes:
        device: where the steps ran, such as `cpu` or `cuda`.
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
        kept = _KeptStorage(weights)
        start = time.perf_counter()
        with torch.autograd.graph.saved_tensors_hooks(kept.note, lambda tensor: tensor):
            loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()  # waits for the device
        times.append(time.perf_counter() - start)
        largest = max(largest, kept.nbytes())
        if len(times) > 1 and time.perf_counter() - begin > seconds:
            break
    timed = times[1:] or times
    memory = BYTES_PER_PARAMETER * model.num_parameters() + largest
    return Cost(device.type, model.num_parameters(), len(timed), statistics.median(timed), memory)


class _KeptStorage:
    """What autograd keeps for the backward pass; views of one tensor share its storage, which counts once."""

    def __init__(self, weights: set[int]) -> None:
        self.weights = weights  # addresses that do not count: they are there anyway
        self.bytes_at: dict[int, int] = {}

    def note(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.weights:
            self.bytes_at[storage.data_ptr()] = storage.nbytes()
        return tensor

    def nbytes(self) -> int:
        return sum(self.bytes_at.values())
