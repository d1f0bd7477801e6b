"""Checkpoints that are whole or absent, and runs that go on from them as if they had never stopped."""

import errno
import json
import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState
from transformers.trainer_utils import EvalLoopOutput, TrainOutput

from hfcls.errors import HfclsError
from hfcls.runs.checkpoints import newest_whole_checkpoint, rotate_checkpoints
from hfcls.runs.folder import ASIDE, CHECKPOINT, STATE_FILE
from hfcls.runs.sealing import put_in_place, seal, why_broken
from hfcls.runs.weights import remove_model
from hfcls.system.files import follow_umask
from hfcls.system.memory import give_back_memory
from hfcls.system.retries import with_retries
from hfcls.training.callbacks import check_finite
from hfcls.training.preemption import Interrupted

logger = logging.getLogger(__name__)
# In trainer_state.json, what Trainer does not keep of a run.
UNLOGGED, SECONDS = "unlogged_loss", "training_seconds"
# Errors of a network drive that may pass; a full disk or a missing permission does not.
PASSING_ERRORS = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.ENOTCONN, errno.EINTR}


STEPS_OF_MEMORY = 100  # after which a CPU gives back what it does not use


class ResumableTrainer(Trainer):
    """Trainer whose resumed run ends as the whole run does: to the last bit on one thread of a CPU.

    Checkpoints are written aside, sealed with a manifest (`hfcls.runs.sealing`) and renamed.
    """

    model: Any
    args: Any
    _seconds_before = 0.0  # of the parts of this run that ended in the checkpoint it goes on from
    _began = 0.0  # on the monotonic clock
    _earlier_steps: int | None = None  # that the run was to take when its checkpoint was written

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> TrainOutput:
        """Trainer's own, from a checkpoint that this class wrote; True: from the newest whole one.

        Raises:
            HfclsError: there is none, it is not one of this class, or it is without its optimizer.
        """
        if resume_from_checkpoint is True:
            newest = newest_whole_checkpoint(Path(self.args.output_dir))
            if newest is None:
                raise HfclsError(f"no whole checkpoint to resume from in {self.args.output_dir}")
            resume_from_checkpoint = str(newest)
        self._earlier_steps = planned_steps(Path(resume_from_checkpoint)) if resume_from_checkpoint else None
        self._began, self._seconds_before = time.monotonic(), 0.0
        output: TrainOutput = super().train(resume_from_checkpoint, *args, **kwargs)
        self.training_seconds = self._seconds()
        return output

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._began

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Trainer's own; on a CPU, where looking costs nothing, a loss that is no number ends the run at once."""
        loss = super().training_step(*args, **kwargs)
        if loss.device.type == "cpu":
            check_finite("loss", loss.item(), self.state, self.args.learning_rate)
            if self.state.global_step % STEPS_OF_MEMORY == 0:
                give_back_memory()
        return loss

    def create_scheduler(
        self, num_training_steps: int, *args: Any, **kwargs: Any
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Trainer's own; tells where a resumed run has another number of steps, on which its rates depend."""
        kind = str(getattr(self.args.lr_scheduler_type, "value", self.args.lr_scheduler_type))
        follows = kind not in ("exponential", "constant") or self.args.get_warmup_steps(num_training_steps) > 0
        if follows and self._earlier_steps not in (None, num_training_steps):
            logger.warning(
                "the run was to take %d steps and is to take %d now: its rates follow the new number from here on, and "
                "may rise again",
                *(self._earlier_steps, num_training_steps),
            )
        return super().create_scheduler(num_training_steps, *args, **kwargs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Trainer's own, after which the random numbers of training go on as if nothing had been evaluated."""
        try:
            with torch.random.fork_rng(devices=[]):  # the loader draws its seed from the CPU's generator
                return super().evaluation_loop(*args, **kwargs)
        except Interrupted:
            if self.is_in_train:
                self._save_checkpoint(self.model, None)
            raise

    def evaluate_resumed(self) -> None:
        """The evaluation that Trainer does at the end of an epoch; the checkpoint that goes with it is there."""
        self._determine_best_metric(self._evaluate(None, None), None)
        self._find_best_checkpoint()

    def restore_unlogged_state(self) -> None:
        """After a checkpoint was loaded: what Trainer does not keep, or only for a folder that stays where it is."""
        self._find_best_checkpoint()
        best = self.state.best_model_checkpoint
        if best and (reason := why_broken(Path(best))):
            logger.warning("%s, the best so far, is not whole (%s): the best is taken from those to come", best, reason)
            self.state.best_global_step = self.state.best_metric = self.state.best_model_checkpoint = None
        stored: Any = self.state.stateful_callbacks
        kept = stored[UNLOGGED]
        self._seconds_before = stored.get(SECONDS, 0.0)
        of_process = kept["of_process"]
        mean = sum(of_process) / len(of_process)
        same = len(of_process) == self.accelerator.num_processes
        self._tr_loss += of_process[self.accelerator.process_index] if same else mean
        self._globalstep_last_logged = kept["last_logged_step"]
        self._total_loss_scalar -= mean  # train_loss is over the steps of this call

    def save_whole_model(self, folder: Path) -> None:
        """Model and tokenizer, each file whole or absent, without the pickled training arguments."""
        aside = folder / ASIDE
        if self.args.should_save:  # what a kill has left is not of this model
            shutil.rmtree(aside, ignore_errors=True)
        self.save_model(str(aside))
        if self.args.should_save:
            (aside / "training_args.bin").unlink(missing_ok=True)
            files = list(aside.iterdir())
            for path in files:
                follow_umask(path)
                os.replace(path, folder / path.name)
            remove_model(folder, keep=[path.name for path in files])
            aside.rmdir()

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """Trainer's own, which takes a step before it looks whether the resumed run was to stop."""
        if not self.control.should_training_stop:
            super()._run_epoch(*args, **kwargs)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """Trainer's checkpoint, written aside, sealed and renamed; on a network drive tried three times."""
        if self.accelerator.is_local_main_process:  # what a kill has left; the others write after `gather`
            shutil.rmtree(self._get_output_dir(trial), ignore_errors=True)
        norm = torch.nn.utils.get_total_norm([parameter.detach() for parameter in self.model.parameters()])
        check_finite("the norm of the weights", norm.item(), self.state, self.args.learning_rate)
        check_finite("loss", self._tr_loss.item(), self.state, self.args.learning_rate)
        stored: Any = self.state.stateful_callbacks  # TrainerState writes it into trainer_state.json
        stored[UNLOGGED] = {
            "of_process": self.accelerator.gather(self._tr_loss.reshape(1)).tolist(),
            "last_logged_step": self._globalstep_last_logged,
        }
        stored[SECONDS] = self._seconds()
        alone = self.accelerator.num_processes == 1  # the others would wait for one that begins again
        with_retries(
            lambda: self._save_whole_checkpoint(model, trial),
            "writing a checkpoint",
            may_pass=lambda error: alone and isinstance(error, OSError) and error.errno in PASSING_ERRORS,
        )

    def _save_whole_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        parent, state = Path(self.args.output_dir), self.state
        name = f"{CHECKPOINT}-{state.global_step}"
        super()._save_checkpoint(model, trial)
        aside = Path(self._get_output_dir(trial)) / name
        self.accelerator.wait_for_everyone()  # each process writes its random state
        if self.args.should_save:
            state.best_model_checkpoint = None  # a path that may not last; it follows from best_global_step
            state.save_to_json(str(aside / STATE_FILE))
            seal(aside)
        self._find_best_checkpoint()
        # the main process first; on other machines with a disk of their own the folder is still there afterwards
        with self.accelerator.main_process_first():
            if self.accelerator.is_local_main_process and aside.is_dir():
                put_in_place(aside, parent / name)
                aside.parent.rmdir()
        if self.args.should_save:
            best = Path(state.best_model_checkpoint) if state.best_model_checkpoint else None
            rotate_checkpoints(parent, self.args.save_total_limit, newest=parent / name, best=best)

    def _find_best_checkpoint(self) -> None:
        """Where it lies now: the folder of the run may have been moved since it was written."""
        if self.state.best_global_step:
            folder = Path(self.args.output_dir) / f"{CHECKPOINT}-{self.state.best_global_step}"
            self.state.best_model_checkpoint = str(folder)

    def _get_output_dir(self, trial: Any) -> str:
        """Where Trainer makes its folder `checkpoint-N`: aside, until it is whole."""
        return str(Path(super()._get_output_dir(trial)) / ASIDE)


def planned_steps(checkpoint: Path) -> int:
    """The steps that the run of a checkpoint was to take; raises `HfclsError` if it cannot go on exactly from there."""
    try:
        state = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
        written_here, steps = UNLOGGED in state["stateful_callbacks"], int(state["max_steps"])
    except (OSError, ValueError, KeyError, TypeError):
        written_here = False
    if not written_here:
        raise HfclsError(
            f"cannot resume from {checkpoint}: it is no checkpoint of ClassificationTrainer; train from its weights "
            "instead, as those of a pretrained model"
        )
    if not any(checkpoint.glob("*optimizer*")):
        raise HfclsError(
            f"cannot resume from {checkpoint}: it was saved without its optimizer (save_only_model); train from its "
            "weights instead, as those of a pretrained model"
        )
    return steps


class ExactResumeCallback(TrainerCallback):
    """Makes a resumed run go on as the whole run would have.

    Trainer forgets the loss since the last log line and where the best checkpoint lies if the folder was moved, skips
    an evaluation that was still to come, and takes one more step after the last (transformers 5.23).
    """

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step == 0:
            return
        self.trainer.restore_unlogged_state()
        control.should_training_stop |= state.global_step >= state.max_steps
        if self._evaluation_is_due(args, state, control):
            self.trainer.evaluate_resumed()

    def _evaluation_is_due(self, args: Any, state: TrainerState, control: TrainerControl) -> bool:
        """Whether Trainer evaluates after the step that the checkpoint is of, and had not done it yet."""
        if any("eval_loss" in entry and entry["step"] == state.global_step for entry in state.log_history):
            return False
        if args.eval_strategy == "epoch":
            due, reached = state.epoch == int(state.epoch or 0), state.epoch
        elif args.eval_strategy == "steps":
            due, reached = state.global_step % state.eval_steps == 0, state.global_step
        else:
            return False
        return (due or control.should_training_stop) and args.eval_delay <= reached
