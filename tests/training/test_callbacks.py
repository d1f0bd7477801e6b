"""What happens between two steps, callback by callback; the whole runs are in test_resuming.py."""

import logging
import math
import signal
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.utils import DistributedType
from hypothesis import given
from hypothesis import strategies as st
from transformers import TrainerControl, TrainerState

from hfcls.training import callbacks
from hfcls.training.callbacks import (
    ChanceLossCallback,
    CurveCallback,
    EarlyStopCallback,
    PlainProgressCallback,
    TimedCheckpointCallback,
    steps_between_points,
)
from hfcls.training.preemption import Interrupted, StopSignals


def state(*losses: float, **others: Any) -> TrainerState:
    """After an evaluation with each of these losses."""
    return TrainerState(log_history=[{"eval_loss": loss, "step": 1} for loss in losses], **others)


def told(loss: float, classes: int, caplog: pytest.LogCaptureFixture, problem_type: str | None = None) -> str:
    caplog.clear()
    model = SimpleNamespace(config=SimpleNamespace(num_labels=classes, problem_type=problem_type))
    ChanceLossCallback().on_evaluate(None, state(loss, is_world_process_zero=True), TrainerControl(), model=model)
    return caplog.text


@pytest.mark.parametrize("classes", [2, 3, 100])
def test_no_better_than_guessing_is_told_from_diverged(classes, caplog):
    chance = math.log(classes)
    for loss in (0.99 * chance + 1e-9, chance, 1.3 * chance):
        assert f"eval_loss {loss:.4f} is no better than that of guessing ({chance:.4f})" in told(loss, classes, caplog)
        assert "diverged" not in caplog.text
    for loss in (2.1 * chance, 245.76, 1e30):
        text = told(loss, classes, caplog)
        assert f"eval_loss {loss:.4f} is far above that of guessing ({chance:.4f}): the training has diverged" in text
        assert "no better" not in text
    assert told(0.9 * chance, classes, caplog) == ""


@pytest.mark.parametrize(("kind", "chance"), [("multi_label_classification", math.log(2)), ("regression", 1.0)])
def test_guessing_has_a_loss_of_its_own_in_each_task(kind, chance, caplog):
    """Of several labels, each is there or not, however many there are."""
    for labels in (1, 3, 100):
        assert told(0.9 * chance, labels, caplog, kind) == ""
        assert f"no better than that of guessing ({chance:.4f})" in told(chance, labels, caplog, kind)
        assert f"far above that of guessing ({chance:.4f}): the training has diverged" in told(45, labels, caplog, kind)


def stops_after(losses: list[float], patience: int, metric: str = "eval_loss") -> int | None:
    """The number of the evaluation after which training ends."""
    args = SimpleNamespace(metric_for_best_model=metric, greater_is_better=False)
    for count in range(1, len(losses) + 1):
        control = TrainerControl()
        EarlyStopCallback(patience).on_evaluate(args, state(*losses[:count]), control)
        if control.should_training_stop:
            return count
    return None


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), max_size=8), st.integers(1, 4))
def test_early_stopping_waits_for_as_many_evaluations_as_it_says(losses, patience):
    best, since, expected = math.inf, 0, None
    for count, loss in enumerate(losses, 1):
        best, since = (loss, 0) if loss < best else (best, since + 1)
        if since == patience:
            expected = count
            break
    assert stops_after(losses, patience) == expected


def test_early_stopping_knows_a_metric_by_its_short_name():
    assert stops_after([0.3, 0.4], 1, "loss") == stops_after([0.3, 0.4], 1, "eval_loss") == 2


def accelerator(processes: int = 1, is_main: bool = True, kind: DistributedType = DistributedType.NO) -> Any:
    return SimpleNamespace(
        num_processes=processes, is_main_process=is_main, distributed_type=kind, device=torch.device("cpu")
    )


def asked(callback: TimedCheckpointCallback, step: int, **args: Any) -> TrainerControl:
    """What the callback asks for after a step, when an evaluation was due."""
    control = TrainerControl(should_evaluate=True)
    callback.on_train_begin(None, TrainerState(), control)
    arguments = SimpleNamespace(logging_steps=4, save_strategy="epoch", **args)
    callback.on_step_end(arguments, TrainerState(global_step=step), control)
    return control


@pytest.mark.parametrize("is_main", [True, False])
def test_the_clock_of_the_main_process_alone_counts(monkeypatch, is_main):
    """Clocks differ, and processes that save at different steps would wait for each other for ever."""
    others = torch.tensor([[0, 0]])
    monkeypatch.setattr(callbacks, "gather", lambda ours: torch.cat([others, ours]))
    assert asked(TimedCheckpointCallback(accelerator(2, is_main), minutes=0), 1).should_save == is_main


def test_a_signal_of_any_process_stops_all(monkeypatch):
    others = torch.tensor([[0, signal.SIGTERM]])
    monkeypatch.setattr(callbacks, "gather", lambda ours: torch.cat([ours, others]))
    callback = TimedCheckpointCallback(accelerator(2), minutes=9)
    control = asked(callback, 1)
    assert (control.should_save, control.should_evaluate) == (True, False)
    with pytest.raises(Interrupted) as stopped:
        callback.on_save(None, TrainerState(), control)
    assert stopped.value.signal == signal.SIGTERM


def test_a_stop_saves_at_once_and_leaves_the_evaluation_to_the_resumed_run():
    signals = StopSignals()
    signals._noted = signal.SIGINT
    control = asked(TimedCheckpointCallback(accelerator(), 9, signals), 1)
    assert (control.should_save, control.should_evaluate) == (True, False)
    control = asked(TimedCheckpointCallback(accelerator(), 0), 1)
    assert (control.should_save, control.should_evaluate) == (True, True)


def test_on_xla_processes_look_at_the_clock_when_they_log(monkeypatch):
    """They wait for the device then; at other steps neither clock nor signals are looked at."""
    asks: list[int] = []
    monkeypatch.setattr(callbacks, "gather", lambda ours: asks.append(1) or ours)
    saved = {}
    for kind in (DistributedType.XLA, DistributedType.MULTI_GPU):
        callback = TimedCheckpointCallback(accelerator(2, kind=kind), minutes=0)
        saved[kind] = [step for step in range(1, 10) if asked(callback, step).should_save]
        asks.append(0)
    assert saved == {DistributedType.XLA: [4, 8], DistributedType.MULTI_GPU: [*range(1, 10)]}
    assert asks == [1, 1, 0, *[1] * 9, 0]


def test_without_a_save_strategy_the_clock_saves_nothing(caplog):
    caplog.set_level(logging.WARNING)
    signals = StopSignals()
    callback = TimedCheckpointCallback(accelerator(), 0, signals)
    control = TrainerControl()
    callback.on_train_begin(None, TrainerState(), control)
    args = SimpleNamespace(logging_steps=1, save_strategy="no")
    callback.on_step_end(args, TrainerState(global_step=1), control)
    assert not control.should_save
    signals._noted = signal.SIGTERM
    callback.on_step_end(args, TrainerState(global_step=2), control)
    assert control.should_save


@given(st.integers(1, 5000), st.integers(1, 1000))
def test_an_epoch_has_ten_points_and_each_line_is_the_mean_of_whole_ones(steps_per_epoch, logging_steps):
    every = steps_between_points(steps_per_epoch, logging_steps)
    assert logging_steps % every == 0
    assert steps_per_epoch // every >= min(10, steps_per_epoch)
    if 10 * logging_steps <= steps_per_epoch:
        assert every == logging_steps, "a long run logs what it was asked for"


def test_lines_are_as_far_apart_as_asked_and_hold_the_mean_since_the_last():
    lines: list[str] = []
    progress, curve = PlainProgressCallback(), CurveCallback()
    progress.training_bar = SimpleNamespace(write=lines.append)
    args = SimpleNamespace(logging_steps=6, gradient_accumulation_steps=2)
    curve.on_train_begin(args, TrainerState(), TrainerControl(), train_dataloader=range(40))
    assert curve.every == 2
    run = TrainerState(is_world_process_zero=True)
    for step in range(1, 13):
        control = TrainerControl()
        curve.on_step_end(args, TrainerState(global_step=step), control)
        if control.should_log:
            run.global_step = step
            logs = {"loss": float(step), "learning_rate": 1e-5, "epoch": step / 20}
            run.log_history.append({**logs, "step": step})
            progress.on_log(args, run, control, logs)
    assert [entry["step"] for entry in run.log_history] == [2, 4, 6, 8, 10, 12]
    assert [line.split()[3] for line in lines] == ["4.0000", "10.0000"]
