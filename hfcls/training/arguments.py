"""Trainer's arguments with the book's defaults, and what a run derives for them."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

import torch
from accelerate.utils import gather
from transformers import SchedulerType, TrainingArguments
from transformers.trainer_pt_utils import AcceleratorConfig
from transformers.training_args import OptimizerNames

from hfcls.config.options import check_range, check_values
from hfcls.errors import FailedElsewhere, HfclsError
from hfcls.system.launch import joining
from hfcls.system.trackers import trackers
from hfcls.training.accepted import BELONGS, KEYS, KINDS, KNOWN, LEAST, REFUSED
from hfcls.training.optim import EpochSchedule
from hfcls.training.steps.whole_batches import batch_per_process, only_cpu


@dataclass(kw_only=True)
class ClassificationTrainingArguments(TrainingArguments):
    """`TrainingArguments` plus those of ours that are not the parent's, such as `lr_gamma` and `class_weights`.

    Defaults that differ from the parent's, all after the book: `learning_rate` 5e-5 decays by `lr_gamma` 0.9 per
    epoch (`lr_scheduler_type` "exponential"), `max_grad_norm` 0 (no clipping), evaluation and a checkpoint after each
    epoch, the best by `eval_loss` is kept and loaded at the end, `seed` 7. `remove_unused_columns` is off because a
    packed batch has columns of its own.

    Without `optim` and `weight_decay` the optimizer is plain Adam; with either it is Trainer's own, as is any other
    schedule than the default.

    Raises:
        HfclsError: an argument that would be ignored, or mean something else, or cannot have its value; says why.
    """

    lr_scheduler_type: Any = field(
        default=EpochSchedule.EXPONENTIAL,
        metadata={"help": "exponential: times lr_gamma after each epoch; or one of Trainer's, such as linear"},
    )
    lr_gamma: float = field(default=0.9, metadata={"help": "the rate is multiplied by this after each epoch"})
    layerwise_lr_decay: float = field(default=1.0, metadata={"help": "rate of a layer by that of the layer above it"})
    lora_rank: int | None = field(default=None, metadata={"help": "train updates of this rank, and the head"})
    class_weights: list[float] | None = field(
        default=None, metadata={"help": "what the loss of a row of each class is multiplied by"}
    )
    focal_gamma: float = field(default=0.0, metadata={"help": "of the focal loss; 0: none"})
    rdrop: float = field(default=0.0, metadata={"help": "weight of R-Drop; 0: none"})
    fgm: float = field(default=0.0, metadata={"help": "how far FGM moves the embeddings of a text; 0: not at all"})
    early_stopping_patience: int | None = field(default=None, metadata={"help": "evaluations without a new best"})
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

    def __post_init__(self) -> None:
        self._check()
        exponential = self.lr_scheduler_type == EpochSchedule.EXPONENTIAL
        if exponential:  # the parent knows its own schedules only
            self.lr_scheduler_type = SchedulerType.CONSTANT
        super().__post_init__()
        if exponential:
            self.lr_scheduler_type = EpochSchedule.EXPONENTIAL

    def _check(self) -> None:
        for f in fields(self):
            default = f.default_factory() if f.default_factory is not MISSING else f.default
            usual = (default, AcceleratorConfig()) if f.name == "accelerator_config" else (default,)
            if f.name in REFUSED and getattr(self, f.name) not in usual:
                raise HfclsError(f"{f.name}={getattr(self, f.name)!r} is not taken: {REFUSED[f.name]}")
        if isinstance(self.class_weights, tuple):
            self.class_weights = [*self.class_weights]
        check_values(self, kinds=KINDS, least=LEAST, known=KNOWN, keys=KEYS)
        for name, needed in BELONGS.items():
            if getattr(self, name) and not any(getattr(self, other) for other in needed):
                raise HfclsError(f"{name} does nothing without {' or '.join(needed)}: set that as well, or drop {name}")
        good = all(0 <= each < float("inf") for each in self.class_weights or ())
        check_range("class_weights", self.class_weights, good, "a list of numbers from 0 on")
        order, orders = self.train_sampling_strategy, "random or sequential, whose order a resumed run repeats"
        check_range("train_sampling_strategy", order, order in ("random", "sequential"), orders)
        for name in ("label_smoothing_factor", "adam_beta1", "adam_beta2"):
            check_range(name, share := getattr(self, name), 0 <= share < 1, "from 0 to below 1")
        steps, decay = self.max_steps, self.layerwise_lr_decay
        check_range("max_steps", steps, steps == -1 or steps > 0, "at least 1, or -1: as num_train_epochs says")
        check_range("layerwise_lr_decay", decay, 0 < decay <= 1, "above 0 and at most 1")
        good = all(each.count("=") == 1 for each in (self.optim_args or "=").split(","))
        check_range("optim_args", self.optim_args, good, "name=value, with commas between several")
        if self.lr_scheduler_type == EpochSchedule.EXPONENTIAL and self.lr_scheduler_kwargs:
            raise HfclsError("lr_scheduler_kwargs belongs to a schedule of Trainer: set lr_scheduler_type as well")
        if self.lr_scheduler_type != EpochSchedule.EXPONENTIAL and self.lr_gamma != 0.9:
            raise HfclsError("lr_gamma belongs to lr_scheduler_type exponential, the default: drop one of them")
        optim, low_rank = OptimizerNames(self.optim).value, ("galore", "apollo")
        if (self.is_adam and self.optim_args) or (self.optim_target_modules and not optim.startswith(low_rank)):
            raise HfclsError("optim_args and optim_target_modules belong to another optimizer: set optim as well")

    @property
    def is_adam(self) -> bool:
        """Whether the optimizer is plain Adam: AdamW without decay, Trainer's default, takes the same steps."""
        return self.optim == OptimizerNames.ADAMW_TORCH_FUSED and not self.weight_decay

    @contextmanager
    def main_process_first(self, local: bool = True, desc: str = "work") -> Iterator[None]:
        """Trainer's own, where what fails in one process fails in all: else the others would go on, or wait for it.

        Raises:
            HfclsError: that of this process, if it is the first that has one.
            FailedElsewhere: otherwise.
        """
        failure = None
        with super().main_process_first(local, desc):
            try:
                yield
            except HfclsError as error:
                failure = error
        failed = [int(failure is not None)]
        if self.world_size > 1:
            failed = gather(torch.tensor(failed, device=self.device)).tolist()
        if any(failed):
            first = failed.index(1)
            raise failure if failure and first == self.process_index else FailedElsewhere(f"see process {first}")


def check_same_rows(args: TrainingArguments, *hashes: Any) -> None:
    """Raises `HfclsError`, in all processes of a run, if one of them has read other rows: machines have own drives.

    Each would learn from its part of an order of rows that the others do not have, and score rows of another place.
    `hashes` are of all rows that processes divide among them.
    """
    if args.world_size == 1:
        return
    own = int(hashlib.sha256(json.dumps(hashes).encode()).hexdigest()[:15], 16)
    found = gather(torch.tensor([own], device=args.device)).tolist()
    if other := [process for process, number in enumerate(found) if number != found[0]]:
        raise HfclsError(
            f"process {other[0]} has read other rows than process 0, so that they do not train one model: bring the "
            "same files of --dataset to all machines, and the same options"
        )


def training_arguments(
    *,
    batch_size: int,
    eval_batch_size: int,
    gradient_accumulation_steps: int,
    max_steps: int | None,
    report_to: str,
    optimizer: str = "adam",
    lr_scheduler: str = "exponential",
    warmup_ratio: float = 0.0,
    label_smoothing: float = 0.0,
    gradient_checkpointing: bool = False,
    eval_steps: int | None = None,
    **others: Any,
) -> ClassificationTrainingArguments:
    """Trainer's arguments for the options of a run; starts the process group if there are several processes.

    Args:
        batch_size: rows per optimizer step, over all processes and accumulation steps.
        eval_batch_size: rows per forward pass and process in evaluation.
        max_steps: None: as `num_train_epochs` says.
        report_to: see `trackers`.
        optimizer: adam or adamw; that of Trainer is Adam where there is no `weight_decay`.
        lr_scheduler: exponential, linear, cosine or constant.
        warmup_ratio: share of the steps in which the rate rises.
        eval_steps: steps between two evaluations, each with a checkpoint; None: after each epoch.
        **others: fields of `ClassificationTrainingArguments`.

    Raises:
        HfclsError: the global batch does not divide by processes times accumulation steps, an unknown tracker, or an
            environment that speaks of other processes but not of where they are.
    """
    if eval_steps:
        others |= dict.fromkeys(("eval_strategy", "save_strategy"), "steps")
        others |= dict.fromkeys(("eval_steps", "save_steps"), eval_steps)
    others = {name: value for name, value in others.items() if value is not None}  # the rest follows from the data
    if others.get("metric_for_best_model") == "last":
        others |= {"load_best_model_at_end": False, "metric_for_best_model": None}
    if others.get("fp16") and only_cpu():
        raise HfclsError("fp16 needs a GPU, found a CPU: use --bf16, or leave it out")
    if lr_scheduler == "constant" and warmup_ratio:
        lr_scheduler = "constant_with_warmup"
    with joining():
        args = ClassificationTrainingArguments(
            max_steps=max_steps or -1,
            gradient_accumulation_steps=gradient_accumulation_steps,
            per_device_eval_batch_size=eval_batch_size,
            report_to=trackers(report_to),
            use_cpu=only_cpu(),
            lr_scheduler_type=lr_scheduler,
            warmup_steps=warmup_ratio,
            label_smoothing_factor=label_smoothing,
            activation_checkpointing=gradient_checkpointing,
            **others,
        )
    args.per_device_train_batch_size = batch_per_process(batch_size, args.world_size, gradient_accumulation_steps)
    if args.device.type == "xla":
        args.eval_accumulation_steps = 1  # or predictions grow on the device, with a graph to compile for each length
        args.dataloader_pin_memory = False
    return args
