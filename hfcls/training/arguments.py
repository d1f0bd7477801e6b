"""Trainer's arguments from the options of a run."""

import os

import torch
from transformers.utils import is_torch_xla_available

from hfcls.config.train import TrainConfig
from hfcls.errors import HfclsError
from hfcls.training.trackers import trackers
from hfcls.training.trainer import ClassificationTrainingArguments


def training_arguments(config: TrainConfig) -> ClassificationTrainingArguments:
    """Trainer's arguments for these options; starts the process group if there are several processes.

    Raises:
        HfclsError: the global batch does not divide by processes times accumulation steps, or an unknown tracker.
    """
    # Without this, several processes on a machine without an accelerator would each train alone.
    use_cpu = not (torch.accelerator.is_available() or is_torch_xla_available())
    args = ClassificationTrainingArguments(
        output_dir=config.output_dir,
        num_train_epochs=config.num_train_epochs,
        max_steps=config.max_steps or -1,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        per_device_eval_batch_size=config.eval_batch_size,
        learning_rate=config.learning_rate,
        lr_gamma=config.lr_gamma,
        early_stopping_patience=config.early_stopping_patience,
        save_minutes=config.save_minutes,
        max_grad_norm=config.max_grad_norm,
        seed=config.seed,
        logging_steps=config.logging_steps,
        dataloader_num_workers=config.dataloader_num_workers,
        report_to=trackers(config.report_to),
        use_cpu=use_cpu or os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true",
    )
    parts = args.world_size * config.gradient_accumulation_steps
    if config.batch_size % parts:
        raise HfclsError(
            f"batch_size {config.batch_size} does not divide by {args.world_size} processes x "
            f"{config.gradient_accumulation_steps} accumulation steps = {parts}; choose a multiple of {parts}"
        )
    args.per_device_train_batch_size = config.batch_size // parts
    if args.device.type == "xla":
        args.eval_accumulation_steps = 1  # or predictions grow on the device, with a graph to compile for each length
        args.dataloader_pin_memory = False
    return args
