"""The book's optimizer, Adam with the rate multiplied by `gamma` after each epoch; rates by layer; and the loss."""

import itertools
import re
from collections.abc import Callable, Collection, Iterable
from enum import Enum
from functools import partial
from typing import Any

import torch
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR
from transformers import PreTrainedModel

from hfcls.errors import HfclsError
from hfcls.scoring.losses import classification_loss
from hfcls.scoring.tasks import Regression, SingleLabel

EMBEDDINGS = re.compile(r"embed|\bw[tp]e\b")  # the latter of GPT-2
LAYER = re.compile(r"\.(\d+(?:\.\d+)*)\.")  # Funnel's layers stand in blocks, as 1.0


class EpochSchedule(str, Enum):
    """The schedules that Trainer does not have."""

    EXPONENTIAL = "exponential"


def adam(
    parameters: Iterable[torch.nn.Parameter],
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
) -> torch.optim.Adam:
    """Plain Adam (Kingma and Ba, 2015) without weight decay over the parameters that train.

    In one fused kernel where torch has one: on the CPU it takes a sixth of the time for KcBERT's 109 M parameters.
    XLA has none, and would fail at the first step.
    """
    trained = [p for p in parameters if p.requires_grad]
    fused = all(p.device.type in ("cpu", "cuda") for p in trained)
    return torch.optim.Adam(trained, lr=learning_rate, betas=betas, eps=epsilon, fused=fused)


class EpochExponentialLR(ExponentialLR):
    """`ExponentialLR` that is stepped after every optimizer step: the rate of epoch e (from 0) is lr * gamma**e.

    Trainer steps its scheduler once per optimizer step; `ExponentialLR` itself, which the book steps once per epoch,
    would decay thousands of times too fast. The rates are the book's to the last bit, since its own code computes them.

    Args:
        steps_per_epoch: optimizer steps in an epoch.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, gamma: float, steps_per_epoch: int) -> None:
        self.steps_per_epoch = steps_per_epoch
        super().__init__(optimizer, gamma)

    def get_lr(self) -> list[Any]:
        """The rate of each parameter group after this step: decayed where an epoch has just ended."""
        if self.last_epoch % self.steps_per_epoch:  # `last_epoch` counts calls of `step`
            return [group["lr"] for group in self.optimizer.param_groups]
        return super().get_lr()


def warmed_up_exponential(
    optimizer: torch.optim.Optimizer, gamma: float, steps_per_epoch: int, warmup_steps: int
) -> LambdaLR:
    """The rates of `EpochExponentialLR`, which over the first `warmup_steps` rise from 0 as those of Trainer do."""
    return LambdaLR(optimizer, lambda step: min(step / warmup_steps, 1.0) * gamma ** (step // steps_per_epoch))


def layerwise_groups(
    model: torch.nn.Module, learning_rate: float, layer_decay: float, weight_decay: float, decayed: Collection[str]
) -> list[dict[str, Any]]:
    """The parameters that train, in groups of their own rate, the head first.

    The head has `learning_rate`, the last layer `layer_decay` times that, and so on down to the embeddings (Sun et al.
    2019; Zhang et al. 2021).

    Args:
        decayed: names of the parameters that have `weight_decay`.

    Raises:
        HfclsError: the encoder has no layers with a number.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    inner = [name for name, _ in named if f".{model.base_model_prefix}." in f".{name}"]  # a head may have numbers, too
    layers = {name: [*map(int, found[1].split("."))] for name in inner if (found := LAYER.search(name))}
    order = [number for number, _ in itertools.groupby(sorted(layers.values()))]
    if not order:
        raise HfclsError("layerwise_lr_decay: the layers of this model are not known: drop it")
    depths = {name: len(order) - order.index(number) for name, number in layers.items()}
    groups: dict[tuple[int, float], list[torch.nn.Parameter]] = {}
    for name, parameter in named:
        depth = len(order) + 1 if EMBEDDINGS.search(name) else depths.get(name, 0)
        groups.setdefault((depth, weight_decay if name in decayed else 0.0), []).append(parameter)
    return [
        {"params": groups[key], "lr": learning_rate * layer_decay ** key[0], "weight_decay": key[1]}
        for key in sorted(groups)
    ]


def check_optim_args(optimizer: torch.optim.Optimizer, given: str | None) -> None:
    """Raises HfclsError for a value of `optim_args` that the optimizer does not have: Trainer passes over those that it
    does not know, and over `weight_decay`, which is an argument of its own.

    Args:
        optimizer: of torch or transformers; others may keep theirs elsewhere.
        given: name=value, with commas between them.
    """
    if not given or not type(optimizer).__module__.startswith(("torch.", "transformers.")):
        return
    for each in given.replace(" ", "").split(","):
        name, _, value = each.partition("=")
        if _written(value) not in [_written(group[name]) for group in optimizer.param_groups if name in group]:
            raise HfclsError(f"optim_args: {type(optimizer).__name__} of Trainer does not take {each}")


def _written(value: Any) -> str:
    """A value as one may write it: 0.50 is 0.5."""
    try:
        return str(value).lower() if isinstance(value, bool) else str(float(value))
    except (TypeError, ValueError):
        return str(value).lower()


def changed_loss_options(args: Any) -> list[str]:
    """The arguments that change the loss."""
    names = ("label_smoothing_factor", "class_weights", "focal_gamma", "rdrop")
    return [name for name in names if getattr(args, name)]


def loss_for(model: PreTrainedModel, args: Any) -> Callable[..., torch.Tensor]:
    """The loss that these arguments ask for; raises `HfclsError` if it does not go with what the model says."""
    changed, exclusive = changed_loss_options(args), model.config.problem_type == SingleLabel.problem_type
    if not changed:
        return partial(classification_loss, exclusive=exclusive)
    name = changed[0].removesuffix("_factor")  # as it is called everywhere but in Trainer's arguments
    if model.config.problem_type == "multi_label_classification":
        raise HfclsError(f"{name} is for one label a text, and this model has several: drop it")
    if model.config.problem_type == Regression.problem_type:
        raise HfclsError(f"{name} is for classes, and this model gives a number: drop it")
    return partial(
        classification_loss,
        label_smoothing=args.label_smoothing_factor,
        class_weights=args.class_weights,
        focal_gamma=args.focal_gamma,
        rdrop=args.rdrop,
        exclusive=exclusive,
    )
