"""ClassificationTrainer: Hugging Face Trainer with the book's optimizer and schedule, and a loss that is exact."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from transformers import PreTrainedModel, TrainingArguments
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK
from transformers.trainer_callback import PrinterCallback
from transformers.training_args import OptimizerNames

from hfcls.batching.collate import TwiceCollator, for_training
from hfcls.batching.packing import enable_packing, packing_support
from hfcls.errors import HfclsError
from hfcls.models.classes import fold_into_head, scale_head
from hfcls.models.compact.lora import add_lora, merge_lora
from hfcls.scoring.confidence.fitting import fit_temperature, lowest_confidence, why_not_fitted
from hfcls.scoring.metrics import metrics_for
from hfcls.scoring.multi_label import reliable_thresholds
from hfcls.scoring.tasks import MultiLabel, Regression, SingleLabel, Task
from hfcls.training.arguments import ClassificationTrainingArguments
from hfcls.training.callbacks import (
    ChanceLossCallback,
    CurveCallback,
    EarlyStopCallback,
    GraphCountCallback,
    NonFiniteLossCallback,
    PlainProgressCallback,
    TimedCheckpointCallback,
)
from hfcls.training.optim import (
    EpochExponentialLR,
    EpochSchedule,
    adam,
    changed_loss_options,
    check_optim_args,
    layerwise_groups,
    loss_for,
    warmed_up_exponential,
)
from hfcls.training.preemption import StopSignals
from hfcls.training.resuming import ExactResumeCallback, ResumableTrainer
from hfcls.training.steps.adversarial import AdversarialTrainer, check_fgm
from hfcls.training.steps.whole_batches import WholeBatchTrainer, use_one_gpu

logger = logging.getLogger(__name__)


class ClassificationTrainer(ResumableTrainer, AdversarialTrainer, WholeBatchTrainer):
    """Trainer for `AutoModelForSequenceClassification` models and the batches of `make_collator`.

    Arguments are Trainer's. `args` is a `ClassificationTrainingArguments`; `compute_metrics` defaults to those of the
    model's problem_type, `classification_metrics` for classes. Packing is switched on for models that support it;
    padded batches work as ever.

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
        if args.lora_rank:
            add_lora(model, args.lora_rank, args.seed)
        if packing_support(model) is None:
            enable_packing(model)
        if (changed := changed_loss_options(args)) and kwargs.get("compute_loss_func"):
            raise HfclsError(f"{changed[0]} is for the loss of ClassificationTrainer: drop it, or your loss")
        kwargs.setdefault("compute_metrics", metrics_for(model.config.problem_type))
        # Trainer takes these models to average the loss over the whole optimizer step themselves, which they do not:
        # without a loss of our own, loss and gradient come out multiplied by processes and accumulation steps.
        kwargs.setdefault("compute_loss_func", loss_for(model, args))
        if args.rdrop and args.device.type == "xla":
            raise HfclsError("rdrop puts each text into a batch twice, for which XLA has no shape here: drop it")
        if args.rdrop and not any(module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)):
            logger.warning("rdrop: the model has no dropout, so both answers to a text are the same: drop it")
        check_fgm(args)
        use_one_gpu(args)
        super().__init__(model=model, args=args, **kwargs)
        self._pad_token_id = model.config.pad_token_id
        self.fitted: dict[str, Any] = {}  # to the probabilities, after the training; see `confidence_scores`
        self.remove_callback(PrinterCallback if args.disable_tqdm else DEFAULT_PROGRESS_CALLBACK)
        self.add_callback(PlainProgressCallback())
        self.add_callback(CurveCallback())
        self.add_callback(NonFiniteLossCallback())
        self.add_callback(ChanceLossCallback())
        if args.early_stopping_patience is not None:
            self.add_callback(EarlyStopCallback(args.early_stopping_patience))
        if args.device.type == "xla":
            self.add_callback(GraphCountCallback())
        self.add_callback(ExactResumeCallback(self))
        self.add_callback(TimedCheckpointCallback(self.accelerator, args.save_minutes, signals))

    def _get_collator_with_removed_columns(self, data_collator: Any, description: str | None = None) -> Any:
        """Trainer's own, with packed rows as narrow as training allows; those of evaluation stay exact.

        R-Drop trains on each text twice in a batch.
        """
        collator = for_training(data_collator) if description == "Training" else data_collator
        if self.args.rdrop and description == "Training":
            collator = TwiceCollator(collator)
        return super()._get_collator_with_removed_columns(collator, description)

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """Adam, or what `optim` and `weight_decay` ask of Trainer, each layer at its rate; on the model's device."""
        args: ClassificationTrainingArguments = self.args
        trained: Any = model or self.model
        adam_suffices = args.is_adam and args.layerwise_lr_decay == 1 and self.optimizer_cls_and_kwargs is None
        if self.optimizer is None and adam_suffices:
            betas = (args.adam_beta1, args.adam_beta2)
            self.optimizer = adam(trained.parameters(), args.learning_rate, betas, args.adam_epsilon)
        elif args.device.type == "xla" and args.optim == OptimizerNames.ADAMW_TORCH_FUSED:
            args.optim = OptimizerNames.ADAMW_TORCH  # XLA has no fused kernel
        if self.optimizer is None and args.layerwise_lr_decay < 1:
            decayed = self.get_decay_parameter_names(trained)
            groups = layerwise_groups(trained, args.learning_rate, args.layerwise_lr_decay, args.weight_decay, decayed)
            kind, options = self.optimizer_cls_and_kwargs or self.get_optimizer_cls_and_kwargs(args, trained)
            self.optimizer = kind(groups, **options)
        optimizer = super().create_optimizer(model)
        check_optim_args(optimizer, args.optim_args)
        return optimizer

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Exponential decay per epoch, or the schedule of Trainer that `lr_scheduler_type` names."""
        if self.lr_scheduler is None and self.args.lr_scheduler_type == EpochSchedule.EXPONENTIAL:
            optimizer = optimizer or self.optimizer
            assert optimizer is not None, "Trainer creates the optimizer first"
            gamma, steps = self.args.lr_gamma, self._update_steps_per_epoch  # max_steps says nothing about epochs
            warmup_steps = self.args.get_warmup_steps(num_training_steps)
            self.lr_scheduler = (
                warmed_up_exponential(optimizer, gamma, steps, warmup_steps)
                if warmup_steps
                else EpochExponentialLR(optimizer, gamma, steps)
            )
            self._created_lr_scheduler = True  # as Trainer's own create_scheduler does
        return super().create_scheduler(num_training_steps, optimizer)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Trainer's own; with `lora_rank`, what it has learned is then in plain weights."""
        trained = super().train(*args, **kwargs)
        merge_lora(self.model)
        return trained

    def train_nothing(self, seconds: float) -> None:
        """In place of `train`, for a model that is as it shall be, which took `seconds`: it is evaluated once."""
        self.training_seconds, self.state.epoch = seconds, 1.0
        if self.args.eval_strategy != "no":
            self.evaluate()

    def set_initial_training_values(self, args: TrainingArguments, dataloader: Any) -> tuple[Any, ...]:
        """Trainer's own, from which the number of optimizer steps in an epoch is kept for the scheduler."""
        # Trainer has just put the tokenizer's in its place, from which a reloaded RoBERTa would count other positions
        self.model.config.pad_token_id = self._pad_token_id
        values = super().set_initial_training_values(args, dataloader)
        self._update_steps_per_epoch: int = values[1]
        return values

    def finish(
        self,
        task: Task,
        splits: Mapping[str, Any],
        scored: str | None,
        *,
        calibrate: bool | None = False,
        target_accuracy: float | None = None,
    ) -> Task:
        """Give the trained model what a loss does not teach, before it is saved; returns what it says from then on.

        The logits are divided by a temperature; the thresholds of labels, and the confidence below which a person
        should decide, are found and written to its config; a regression answers in the unit of its targets.

        Args:
            splits: encoded rows; all this is found on `validation`, without which thresholds stay at 0.5.
            scored: the split that is scored at the end. If it is `validation`, no confidence is looked for: the scores
                would no longer tell what it is worth. A temperature, one number that changes no answer, is.
            calibrate: find a temperature, which `fitted` then tells; None: if there are rows for it.
            target_accuracy: of the texts that are not handed over; None: all are answered.
        """
        self.leave_mixed_precision()
        if isinstance(task, Regression):
            fold_into_head(self.model, task.mean, task.scale)
            self.compute_metrics = None
            return task
        validation = splits.get("validation")
        if target_accuracy is not None and scored == "validation":
            logger.warning("no target accuracy: the validation split is the one that is scored: bring a test split")
            target_accuracy = None
        if why := why_not_fitted(0 if validation is None else len(validation)):
            if calibrate or target_accuracy is not None:
                logger.warning("probabilities stay as trained, without temperature or target accuracy: %s", why)
            calibrate, target_accuracy = False, None
        calibrate = calibrate is not False
        if validation is not None and (calibrate or target_accuracy is not None or isinstance(task, MultiLabel)):
            task = self._fitted_to(validation, task, calibrate, target_accuracy)
        elif isinstance(task, MultiLabel):
            logger.warning("without a validation split, the threshold of each label is 0.5")
        if isinstance(task, MultiLabel):
            self.model.config.thresholds = task.thresholds
        elif task.abstain_below is not None:
            self.model.config.abstain_below = task.abstain_below
        return task

    def _fitted_to(
        self, rows: Any, task: SingleLabel | MultiLabel, calibrate: bool, target_accuracy: float | None
    ) -> SingleLabel | MultiLabel:
        """See `finish`; the head is changed, too."""
        found: Any = self.predict(rows, metric_key_prefix="validation")
        labels, logits = found.label_ids, found.predictions
        temperature = fit_temperature(labels, logits) if calibrate else None
        if temperature is not None:
            scale_head(self.model, 1 / temperature)
            logits = logits / temperature
            logger.info("calibrated: temperature %.3f, fitted on %d validation rows", temperature, len(labels))
        if calibrate or target_accuracy is not None:
            self.fitted = {"num_rows": len(labels), "temperature": temperature, "target_accuracy": target_accuracy}
        outputs = task.outputs(logits)
        if isinstance(task, MultiLabel):
            return replace(task, thresholds=reliable_thresholds(labels, outputs).tolist())
        if target_accuracy is None:
            return task
        right = outputs.argmax(axis=-1) == labels
        lowest = lowest_confidence(right, outputs.max(axis=-1), target_accuracy)
        if lowest is None:
            logger.warning(
                "target_accuracy %g: the most confident of the %d validation rows do not show it, so the model "
                "never abstains; bring more rows, or ask for less", target_accuracy, len(labels),
            )  # fmt: skip
        return replace(task, abstain_below=lowest)

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
