"""Trainer's arguments with the book's defaults, and what a run derives for them."""

import logging
import os
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.utils import is_torch_xla_available

from hfcls.errors import HfclsError

logger = logging.getLogger(__name__)


@dataclass
class ClassificationTrainingArguments(TrainingArguments):
    """`TrainingArguments` plus `lr_gamma`, `early_stopping_patience` and `save_minutes`.

    Defaults that differ from the parent's, all after the book: `learning_rate` 5e-5 decays by `lr_gamma` 0.9 per
    epoch, `max_grad_norm` 0 (no clipping), evaluation and a checkpoint after each epoch, the best by `eval_loss` is
    kept and loaded at the end, `seed` 7. `remove_unused_columns` is off because a packed batch has columns of its own.
    """

    lr_gamma: float = field(default=0.9, metadata={"help": "the rate is multiplied by this after each epoch"})
    early_stopping_patience: int | None = field(
        default=None, metadata={"help": "stop after this many evaluations without a new best"}
    )
    save_minutes: float = field(default=10.0, metadata={"help": "minutes after which a checkpoint is written anyhow"})
    max_grad_norm: float = field(default=0.0, metadata={"help": "clip the gradient to this norm; 0: no clipping"})
    seed: int = field(default=7, metadata={"help": "seed of shuffling and dropout"})
    eval_strategy: str = field(default="epoch", metadata={"help": "when to evaluate"})
    save_strategy: str = field(default="epoch", metadata={"help": "when to save a checkpoint"})
    save_total_limit: int | None = field(default=2, metadata={"help": "checkpoints kept: the best and the newest"})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "end with the best checkpoint"})
    metric_for_best_model: str | None = field(default="eval_loss", metadata={"help": "what best means"})
    remove_unused_columns: bool = field(default=False, metadata={"help": "drop columns that forward does not name"})
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "hide NaN losses; they should be seen"})
    ddp_find_unused_parameters: bool | None = field(default=False, metadata={"help": "every parameter is used"})


def training_arguments(
    *,
    batch_size: int,
    eval_batch_size: int,
    gradient_accumulation_steps: int,
    max_steps: int | None,
    report_to: str,
    **others: Any,
) -> ClassificationTrainingArguments:
    """Trainer's arguments for the options of a run; starts the process group if there are several processes.

    Args:
        batch_size: rows per optimizer step, over all processes and accumulation steps.
        eval_batch_size: rows per forward pass and process in evaluation.
        max_steps: None: as `num_train_epochs` says.
        report_to: see `trackers`.
        **others: fields of `ClassificationTrainingArguments`.

    Raises:
        HfclsError: the global batch does not divide by processes times accumulation steps, or an unknown tracker.
    """
    args = ClassificationTrainingArguments(
        max_steps=max_steps or -1,
        gradient_accumulation_steps=gradient_accumulation_steps,
        per_device_eval_batch_size=eval_batch_size,
        report_to=trackers(report_to),
        use_cpu=only_cpu(),
        **others,
    )
    args.per_device_train_batch_size = batch_per_process(batch_size, args.world_size, gradient_accumulation_steps)
    if args.device.type == "xla":
        args.eval_accumulation_steps = 1  # or predictions grow on the device, with a graph to compile for each length
        args.dataloader_pin_memory = False
    return args


def only_cpu() -> bool:
    """Trainer's `use_cpu`: without it, several processes on a machine without an accelerator would each train alone."""
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true":
        return True
    return not (torch.accelerator.is_available() or is_torch_xla_available())


def use_one_gpu(args: TrainingArguments) -> None:
    """DataParallel, which Trainer takes else, would multiply the batch by the GPUs, and cannot split packed rows."""
    if args.n_gpu > 1:
        logger.warning(
            "%d GPUs are visible, but one process uses one of them; `accelerate launch --multi_gpu` uses all",
            args.n_gpu,
        )
        args._n_gpu = 1


def batch_per_process(batch_size: int, world_size: int, gradient_accumulation_steps: int) -> int:
    """Rows of each forward pass, so that an optimizer step has `batch_size` rows over all processes.

    Raises:
        HfclsError: it does not divide.
    """
    passes = world_size * gradient_accumulation_steps
    if batch_size % passes:
        raise HfclsError(
            f"batch_size {batch_size} does not divide by {world_size} processes x "
            f"{gradient_accumulation_steps} accumulation steps = {passes}; choose a multiple of {passes}"
        )
    return batch_size // passes


def trackers(report_to: str) -> list[str]:
    """The trackers that `report_to` names, in Trainer's own names.

    Args:
        report_to: `auto` (tensorboard if it is installed), `none`, `all` (that are installed), or names that Trainer
            knows, with commas between them.

    Raises:
        HfclsError: a tracker that Trainer does not know, or that is not installed.
    """
    from transformers.integrations import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations
    from transformers.integrations.integration_utils import is_tensorboard_available

    if report_to == "none":
        return []
    if report_to == "auto":
        return ["tensorboard"] if is_tensorboard_available() else []
    installed = get_available_reporting_integrations()
    if report_to == "all":
        return installed
    names = [name.strip() for name in report_to.split(",")]
    if unknown := [name for name in names if name not in INTEGRATION_TO_CALLBACK]:
        raise HfclsError(
            f"report_to knows no tracker {', '.join(unknown)}; known are auto, none, all, "
            f"{', '.join(sorted(INTEGRATION_TO_CALLBACK))}"
        )
    if missing := [name for name in names if name not in installed]:
        raise HfclsError(
            f"report_to {', '.join(missing)}: the tracker is not installed; install its package, or --report_to none"
        )
    return names
