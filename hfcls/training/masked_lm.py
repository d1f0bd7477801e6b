"""Masked-LM pretraining with Trainer: AdamW, a linear schedule, an exact loss, and lines that tell tokens a second."""

import math
import time
from typing import Any

import numpy as np
import torch
from transformers import (
    EvalPrediction,
    PreTrainedModel,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK
from transformers.trainer_callback import PrinterCallback

from hfcls.scoring.losses import IGNORED_LABEL
from hfcls.system.launch import joining
from hfcls.system.memory import keep_few_kernels
from hfcls.system.trackers import trackers
from hfcls.training.callbacks import (
    GraphCountCallback,
    NonFiniteLossCallback,
    PlainProgressCallback,
    TimedCheckpointCallback,
)
from hfcls.training.preemption import StopSignals
from hfcls.training.resuming import ExactResumeCallback, ResumableTrainer
from hfcls.training.steps.whole_batches import WholeBatchTrainer, batch_per_process, only_cpu, use_one_gpu

NEVER = 10**9  # steps: checkpoints come by the clock, and one at the end


def pretraining_arguments(
    *,
    batch_size: int,
    eval_batch_size: int,
    gradient_accumulation_steps: int,
    max_steps: int | None,
    warmup: float,
    eval_steps: int | None,
    report_to: str,
    **others: Any,
) -> TrainingArguments:
    """Trainer's arguments for the options of `hfcls adapt`; starts the process group if there are several processes.

    Args:
        batch_size: texts per optimizer step, over all processes and accumulation steps.
        warmup: share of the steps.
        eval_steps: None: a tenth of the run.
        **others: fields of `TrainingArguments`.

    Raises:
        HfclsError: the global batch does not divide by processes times accumulation steps, an unknown tracker, or an
            environment that speaks of other processes but not of where they are.
    """
    with joining():
        args = TrainingArguments(
            max_steps=max_steps or -1,
            gradient_accumulation_steps=gradient_accumulation_steps,
            per_device_eval_batch_size=eval_batch_size,
            warmup_steps=warmup,  # below 1 it is a share
            lr_scheduler_type="linear",
            eval_strategy="steps",
            eval_steps=eval_steps or 0.1,
            save_strategy="steps",
            save_steps=NEVER,
            save_total_limit=2,
            remove_unused_columns=False,
            logging_nan_inf_filter=False,
            ddp_find_unused_parameters=False,
            report_to=trackers(report_to),
            use_cpu=only_cpu(),
            **others,
        )
    keep_few_kernels()
    args.per_device_train_batch_size = batch_per_process(batch_size, args.world_size, gradient_accumulation_steps)
    if args.device.type == "xla":
        args.optim = "adamw_torch"  # XLA has no fused one
        args.eval_accumulation_steps = 1  # or sums grow on the device, with a graph to compile for each length
        args.dataloader_pin_memory = False
    return args


def masked_lm_loss(
    outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    """Mean cross-entropy over the hidden tokens of an optimizer step, whatever the processes and accumulation steps.

    Args:
        outputs: with `logits` [M, 1, vocabulary] of a packed batch, or [N, T, vocabulary] of a padded one.
        labels: token ids [M] or [N, T]; -100 is ignored.
        num_items_in_batch: labels in the whole optimizer step; None: those of this batch.
    """
    losses = token_losses(outputs["logits"], labels)
    counted = labels.ne(IGNORED_LABEL).sum() if num_items_in_batch is None else torch.as_tensor(num_items_in_batch)
    return losses.sum() / counted.clamp(min=1)


def token_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each label, float32 [number of labels]; 0 where it is -100."""
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), labels.flatten(), reduction="none", ignore_index=IGNORED_LABEL
    )


def perplexity_metrics(found: EvalPrediction) -> dict[str, float]:
    """`loss` (nats a hidden token), `perplexity` and `accuracy` over all batches of `MaskedLMTrainer`.

    Nothing where chance hid no token, as it may among a few short texts.
    """
    loss, right, count = np.asarray(found.predictions, np.float64).sum(axis=0)
    if count == 0:
        return {}
    return {
        "loss": float(loss / count),
        "perplexity": math.exp(min(loss / count, 700.0)),
        "accuracy": float(right / count),
    }


class MaskedLMTrainer(ResumableTrainer, WholeBatchTrainer):
    """Trainer for `AutoModelForMaskedLM` models and the batches of `hfcls.batching.masking.MaskingCollator`.

    Args:
        args: of `pretraining_arguments`.
        tokens: of all training rows together, for tokens a second.
        save_minutes: after which a checkpoint is written.
        signals: tells when to stop for SIGTERM or Ctrl-C.
        **kwargs: Trainer's.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        *,
        tokens: int,
        save_minutes: float = 10.0,
        signals: StopSignals | None = None,
        **kwargs: Any,
    ) -> None:
        use_one_gpu(args)
        super().__init__(
            model=model, args=args, compute_metrics=perplexity_metrics, compute_loss_func=masked_lm_loss, **kwargs
        )
        self.clock = TokenClockCallback(tokens)
        self.remove_callback(PrinterCallback if args.disable_tqdm else DEFAULT_PROGRESS_CALLBACK)
        self.add_callback(self.clock)
        self.add_callback(PretrainingProgressCallback())
        self.add_callback(NonFiniteLossCallback())
        if args.device.type == "xla":
            self.add_callback(GraphCountCallback())
        self.add_callback(ExactResumeCallback(self))
        self.add_callback(TimedCheckpointCallback(self.accelerator, save_minutes, signals))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Trainer's own, with the tokens that were learned from a second since the line before."""
        if "loss" in logs and (rate := self.clock.rate(self.state)):
            logs["tokens_per_second"] = rate
        super().log(logs, start_time)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """Trainer's own, but for weights that are not saved since others hold them: the head's are the embeddings'."""
        missing = [name for name in load_result.missing_keys if name not in self.model.all_tied_weights_keys]
        super()._issue_warnings_after_load(type(load_result)(missing, load_result.unexpected_keys))

    def prediction_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[None, torch.Tensor, torch.Tensor]:
        """[1, 3]: sum of the losses of the batch, tokens guessed right, and tokens hidden; the logits stay here."""
        inputs = self._prepare_inputs(inputs)
        labels = inputs.pop("labels")
        with torch.no_grad(), self.compute_loss_context_manager():
            logits = model(**inputs).logits
        hidden = labels.flatten().ne(IGNORED_LABEL)
        right = (logits.flatten(0, 1).argmax(dim=-1) == labels.flatten()) & hidden
        sums = torch.stack([token_losses(logits, labels).sum(), right.sum(), hidden.sum()]).unsqueeze(0)
        return None, sums, torch.zeros(1, device=sums.device)


class TokenClockCallback(TrainerCallback):
    """Tokens a second of training, evaluations and checkpoints left out.

    Counted in steps, of which each has the same number of tokens on average: to read it from the batches would make an
    accelerator wait.
    """

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.steps, self.seconds = 0, 0.0
        self.told_steps, self.told_seconds = 0, 0.0  # of these, what `rate` has told
        self.since: float | None = None

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.since = self.since or time.monotonic()

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        now = time.monotonic()
        self.steps, self.seconds, self.since = self.steps + 1, self.seconds + now - (self.since or now), now

    def on_evaluate(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.since = None

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.since = None

    def rate(self, state: TrainerState) -> float:
        """Of the steps since the last call; 0 if there was none."""
        steps, seconds = self.steps - self.told_steps, self.seconds - self.told_seconds
        self.told_steps, self.told_seconds = self.steps, self.seconds
        return round(steps * self.tokens_per_step(state) / seconds, 1) if seconds else 0.0

    def mean_rate(self, state: TrainerState) -> float:
        """Of all steps that this process has taken; 0 if there was none."""
        return round(self.steps * self.tokens_per_step(state) / self.seconds, 1) if self.seconds else 0.0

    def tokens_per_step(self, state: TrainerState) -> float:
        """On average: an epoch sees every token once."""
        return self.tokens * (state.epoch or 0) / max(1, state.global_step)


class PretrainingProgressCallback(PlainProgressCallback):
    """Trainer's progress bar, with lines of loss, tokens a second and perplexity."""

    def line(self, logs: dict[str, float]) -> str:
        line = f"epoch {logs.get('epoch', 0):5.2f}"
        if "loss" in logs:
            line += f"  loss {logs['loss']:.4f}  learning_rate {logs['learning_rate']:.3g}"
            line += f"  tokens/s {logs.get('tokens_per_second', 0):,.0f}"
        if "eval_loss" in logs:
            line += f"  eval_loss {logs['eval_loss']:.4f}  perplexity {logs['eval_perplexity']:.2f}"
        return line
