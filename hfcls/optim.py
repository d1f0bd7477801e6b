"""The book's optimizer: Adam, with the rate multiplied by `gamma` after each epoch."""

from collections.abc import Iterable

import torch
from torch.optim.lr_scheduler import StepLR


def adam(parameters: Iterable[torch.nn.Parameter], learning_rate: float) -> torch.optim.Adam:
    """Plain Adam (Kingma and Ba, 2015) without weight decay over the parameters that train.

    Not fused: the fused kernel does not exist on XLA, and the result must not depend on the device.
    """
    return torch.optim.Adam((p for p in parameters if p.requires_grad), lr=learning_rate)


def exponential_decay(optimizer: torch.optim.Optimizer, gamma: float, steps_per_epoch: int) -> StepLR:
    """A scheduler that is stepped after every optimizer step: the rate of epoch e (from 0) is lr * gamma**e.

    Trainer steps its scheduler once per optimizer step, so `ExponentialLR`, which the book steps once per epoch,
    would decay thousands of times too fast. `StepLR` multiplies the rate just as `ExponentialLR` does, so the two
    agree to the last bit.
    """
    return StepLR(optimizer, step_size=steps_per_epoch, gamma=gamma)
