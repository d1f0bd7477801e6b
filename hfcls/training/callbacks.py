"""What happens between two steps: log lines, early stopping, timed checkpoints, a count of graphs, an orderly end."""

import logging
import math
import signal
import time
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, gather
from tqdm.auto import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.trainer_callback import ProgressCallback
from transformers.trainer_utils import has_length

from hfcls.errors import HfclsError
from hfcls.system.terminal import bars_are_seen
from hfcls.training.preemption import Interrupted, StopSignals

logger = logging.getLogger(__name__)

POINTS_PER_EPOCH = 10


class PlainProgressCallback(ProgressCallback, TrainerCallback):
    """Trainer's progress bars where a person sees them move, with log lines a person can read."""

    training_bar: Any
    prediction_bar: Any

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.current_step = 0
        if state.is_world_process_zero:
            self.training_bar = _bar(state.max_steps, args, desc="train", unit=" steps", leave=True)

    def on_prediction_step(
        self, args: Any, state: TrainerState, control: TrainerControl, eval_dataloader: Any = None, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero and has_length(eval_dataloader):
            if self.prediction_bar is None:
                self.prediction_bar = _bar(len(eval_dataloader), args, desc="score", unit=" batches", leave=False)
            self.prediction_bar.update(1)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        logs = logs or {}
        quiet = logging.getLogger("hfcls").level > logging.INFO
        if quiet or not state.is_world_process_zero or self.training_bar is None or "train_runtime" in logs:
            return
        if "loss" in logs:
            if state.global_step % args.logging_steps:
                return  # a point of the curves
            logs = {**logs, "loss": loss_since(state, state.global_step - args.logging_steps)}
        self.training_bar.write(self.line(logs))

    def line(self, logs: dict[str, float]) -> str:
        epoch = f"epoch {logs.get('epoch', 0):5.2f}"
        if "loss" in logs:
            return f"{epoch}  loss {logs['loss']:.4f}  learning_rate {logs['learning_rate']:.3g}"
        names = [f"eval_{name}" for name in ("loss", "accuracy", "micro_f1", "macro_f1", "pearson", "spearman")]
        return "  ".join([epoch, *(f"{name} {logs[name]:.4f}" for name in names if name in logs)])


def _bar(total: int, args: Any, **looks: Any) -> Any:
    return tqdm(total=total, disable=args.disable_tqdm or not bars_are_seen(), **looks)


def loss_since(state: TrainerState, step: int) -> float:
    """The mean loss of what was logged after a step."""
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry and entry["step"] > step]
    return math.fsum(losses) / len(losses)


class CurveCallback(TrainerCallback):
    """Logs ten points an epoch or more, so that a short run has curves; lines are shown every `logging_steps` only."""

    every = 1

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        steps = math.ceil(len(kwargs["train_dataloader"]) / args.gradient_accumulation_steps)
        self.every = steps_between_points(steps, args.logging_steps)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        control.should_log |= state.global_step % self.every == 0


def steps_between_points(steps_per_epoch: int, logging_steps: int) -> int:
    """The largest divisor of `logging_steps` with which an epoch has ten points, as far as it has ten steps."""
    most = max(1, steps_per_epoch // POINTS_PER_EPOCH)
    return next(every for every in range(min(most, logging_steps), 0, -1) if logging_steps % every == 0)


class NonFiniteLossCallback(TrainerCallback):
    """Ends a run whose loss is no number any more.

    Looks at what is logged, since reading the loss at every step would make an accelerator wait; `check_finite`
    guards each checkpoint.
    """

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        for name in ("loss", "eval_loss", "train_loss"):
            check_finite(name, (logs or {}).get(name, 0.0), state, args.learning_rate)


def check_finite(name: str, value: float, state: TrainerState, learning_rate: float) -> None:
    """Raises `HfclsError` if a number of the run is NaN or infinite."""
    if not math.isfinite(value):
        raise HfclsError(
            f"{name} is {value} at step {state.global_step} (learning_rate {learning_rate:g}): nothing "
            "was saved since the last checkpoint; lower --learning_rate"
        )


class ChanceLossCallback(TrainerCallback):
    """Warns when the first evaluation finds a loss no lower than that of guessing.

    That is ln(num_labels) among classes, ln(2) where each label is there or not, and 1, their variance, for the mean of
    standardised targets.
    """

    def on_evaluate(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        losses = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
        config = kwargs["model"].config
        if len(losses) != 1:
            return
        chances = {"regression": 1.0, "multi_label_classification": math.log(2)}
        loss, chance = losses[0], chances.get(config.problem_type, math.log(config.num_labels))
        if loss > 0.99 * chance and state.is_world_process_zero:
            logger.warning("eval_loss %.4f is %s", loss, worth_of_a_loss(loss, chance))


def worth_of_a_loss(loss: float, chance: float) -> str:
    """What a loss that is not below `chance`, that of guessing, says of a run, and what to do about it.

    Who knows nothing and says so has the loss of guessing. A loss of twice that much is of a model that is sure of what
    is wrong.
    """
    if loss < 2 * chance:
        return (
            f"no better than that of guessing ({chance:.4f}): if it stays there, look at the labels, the tokenizer and "
            "--learning_rate"
        )
    return f"far above that of guessing ({chance:.4f}): the training has diverged; lower --learning_rate"


class EarlyStopCallback(TrainerCallback):
    """Ends training after `patience` evaluations without a new best.

    Unlike Trainer's EarlyStoppingCallback it counts in the log, so a resumed run stops where the whole run does.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._stop_if_due(args, state, control)

    def on_evaluate(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._stop_if_due(args, state, control)

    def _stop_if_due(self, args: Any, state: TrainerState, control: TrainerControl) -> None:
        metric = f"eval_{args.metric_for_best_model.removeprefix('eval_')}"
        values = [entry[metric] for entry in state.log_history if metric in entry]
        if values:
            best = max(values) if args.greater_is_better else min(values)
            control.should_training_stop |= len(values) - 1 - values.index(best) >= self.patience


class TimedCheckpointCallback(TrainerCallback):
    """Asks for a checkpoint every `minutes`, and for one last checkpoint when a signal tells the run to stop.

    With `save_strategy` "no" for the last one only.

    Raises:
        Interrupted: after that last checkpoint was written; during an evaluation, which Trainer's hook lets us leave.
    """

    def __init__(self, accelerator: Accelerator, minutes: float, signals: StopSignals | None = None) -> None:
        self.accelerator = accelerator
        self.seconds = 60 * minutes
        self.signals = signals or StopSignals()
        self.stop: signal.Signals | None = None

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.saved_at = time.monotonic()

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.accelerator.distributed_type == DistributedType.XLA and state.global_step % args.logging_steps:
            return  # processes agree when they wait for each other anyway
        by_clock = args.save_strategy != "no"
        due, self.stop = self._agreed(by_clock and time.monotonic() - self.saved_at >= self.seconds)
        if due or self.stop:
            control.should_save = True
        if self.stop:
            control.should_evaluate = False  # the resumed run does it

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.saved_at = time.monotonic()
        if self.stop:
            raise Interrupted(self.stop)

    def on_prediction_step(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        _, self.stop = self._agreed(False)
        if self.stop:
            raise Interrupted(self.stop)

    def _agreed(self, due: bool) -> tuple[bool, signal.Signals | None]:
        """The same answer in all processes: is the main process's clock due, and did any process get a signal."""
        received = self.signals.received
        if self.accelerator.num_processes > 1:
            notes = torch.tensor([[due and self.accelerator.is_main_process, received or 0]])
            due, number = gather(notes.to(self.accelerator.device)).max(dim=0).values.tolist()
            received = signal.Signals(number) if number else None
        return bool(due), received


class GraphCountCallback(TrainerCallback):
    """Counts the graphs that are compiled for training, evaluation and checkpoints, and tells the counts at the end."""

    def __init__(self) -> None:
        self.seen = self.later = 0
        self.counts = {"training": 0, "evaluation": 0, "checkpoints": 0}

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._count("training", state)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._count("evaluation", state)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._count("checkpoints", state)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        counts = ", ".join(f"{count} for {purpose}" for purpose, count in self.counts.items())
        logger.info("XLA compiled graphs: %s; %d of them after the first epoch", counts, self.later)

    def _count(self, purpose: str, state: Any) -> None:
        new = compiled_graphs() - self.seen
        self.seen += new
        self.counts[purpose] += new
        if state.epoch > 1:
            self.later += new


def compiled_graphs() -> int:
    """How many graphs this process has compiled."""
    from torch_xla.debug import metrics

    data = metrics.metric_data("CompileTime")
    return data[0] if data else 0
