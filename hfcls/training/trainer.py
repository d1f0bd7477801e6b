"""ClassificationTrainer: Hugging Face Trainer with the book's optimizer and schedule, and a loss that is exact."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import PreTrainedModel, TrainingArguments
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK
from transformers.trainer_callback import PrinterCallback

from hfcls.training.callbacks import CallOutChance, PlainProgress, SaveInTime, StopAtNonFiniteLoss, StopEarly, finite_or_stop
from hfcls.batching.collate import IGNORED_LABEL, for_training
from hfcls.scoring.metrics import classification_metrics
from hfcls.training.optim import adam, exponential_decay
from hfcls.batching.packing import enable_packing, packing_support
from hfcls.training.preemption import StopSignals
from hfcls.training.resuming import ContinueExactly, ResumableTrainer
from hfcls.batching.sampling import WholeBatchTrainer
from hfcls.batching.static_shapes import GraphCount

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


class ClassificationTrainer(ResumableTrainer, WholeBatchTrainer):
    """Trainer for `AutoModelForSequenceClassification` models and the batches of `make_collator`.

    Arguments are Trainer's. `args` is a `ClassificationTrainingArguments`; `compute_metrics` defaults to
    `classification_metrics`. Packing is switched on for models that support it; padded batches work as ever.

    `signals` tells when to stop for SIGTERM or Ctrl-C.
    """

    args: ClassificationTrainingArguments
    lr_scheduler: Any

    def __init__(
        self,
        model: PreTrainedModel,
        args: ClassificationTrainingArguments,
        *,
        signals: StopSignals | None = None,
        **kwargs: Any,
    ) -> None:
        if packing_support(model) is None:
            enable_packing(model)
        kwargs.setdefault("compute_metrics", classification_metrics)
        # Trainer takes these models to average the loss over the whole optimizer step themselves, which they do not:
        # without a loss of our own, loss and gradient come out multiplied by processes and accumulation steps.
        kwargs.setdefault("compute_loss_func", classification_loss)
        if args.n_gpu > 1:  # DataParallel would multiply the batch by the number of GPUs, and cannot split packed rows
            logger.warning(
                "%d GPUs are visible, but one process uses one of them; `accelerate launch --multi_gpu` uses all",
                args.n_gpu,
            )
            args._n_gpu = 1
        super().__init__(model=model, args=args, **kwargs)
        self.remove_callback(PrinterCallback if args.disable_tqdm else DEFAULT_PROGRESS_CALLBACK)
        self.add_callback(PlainProgress())
        self.add_callback(StopAtNonFiniteLoss())
        self.add_callback(CallOutChance())
        if args.early_stopping_patience is not None:
            self.add_callback(StopEarly(args.early_stopping_patience))
        if args.device.type == "xla":
            self.add_callback(GraphCount())
        self.add_callback(ContinueExactly(self))
        self.add_callback(SaveInTime(self.accelerator, args.save_minutes, signals))

    def get_train_dataloader(self) -> Any:
        """Trainer's own, with packed rows as narrow as training allows; those of evaluation stay exact."""
        exact, self.data_collator = self.data_collator, for_training(self.data_collator)
        try:
            return super().get_train_dataloader()
        finally:
            self.data_collator = exact

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """Adam at `learning_rate`, created after the model has moved to its device."""
        if self.optimizer is None:
            trained: Any = model or self.model
            self.optimizer = adam(trained.parameters(), self.args.learning_rate)
        return self.optimizer

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Exponential decay per epoch; `num_training_steps` is ignored, since max_steps says nothing about epochs."""
        if self.lr_scheduler is None:
            optimizer = optimizer or self.optimizer
            assert optimizer is not None, "Trainer creates the optimizer first"
            self.lr_scheduler = exponential_decay(optimizer, self.args.lr_gamma, self._update_steps_per_epoch)
            self._created_lr_scheduler = True  # as Trainer's own create_scheduler does
        return self.lr_scheduler

    def set_initial_training_values(self, args: TrainingArguments, dataloader: Any) -> tuple[Any, ...]:
        """Trainer's own, from which the number of optimizer steps in an epoch is kept for the scheduler."""
        values = super().set_initial_training_values(args, dataloader)
        self._update_steps_per_epoch: int = values[1]
        return values

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Trainer's own; on a CPU, where looking costs nothing, a loss that is no number ends the run at once."""
        loss = super().training_step(*args, **kwargs)
        if loss.device.type == "cpu":
            finite_or_stop("loss", loss.item(), self.state, self.args.learning_rate)
        return loss

    def prediction_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[None, torch.Tensor | None, torch.Tensor | None]:
        """No loss per batch: `eval_loss` is computed over all rows by `compute_metrics`, so no row counts twice."""
        _, logits, labels = super().prediction_step(model, inputs, False, ignore_keys)
        return None, logits, labels


def classification_loss(
    outputs: SequenceClassifierOutput | Mapping[str, torch.Tensor],
    labels: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None = None,
) -> torch.Tensor:
    """Mean cross-entropy over all labels of an optimizer step, whatever the processes and accumulation steps.

    Args:
        outputs: with `logits` [N, num_labels].
        labels: class ids [N], or floats [N, num_labels] for multi-label classification; -100 is ignored in both.
        num_items_in_batch: labels in the whole optimizer step; None: those of this batch.
    """
    logits = outputs["logits"].float()
    counted = labels.ne(IGNORED_LABEL)
    if labels.is_floating_point():
        weight = counted.to(logits.dtype)
        total = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, weight, reduction="sum")
    else:
        total = torch.nn.functional.cross_entropy(logits, labels, reduction="sum", ignore_index=IGNORED_LABEL)
    return total / (counted.sum() if num_items_in_batch is None else num_items_in_batch)
