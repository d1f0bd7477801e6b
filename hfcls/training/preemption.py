"""SIGTERM, Ctrl-C and a lost launcher: the step is finished and saved before the run ends.

Trainer has `enable_jit_checkpoint` for this, which is not used: it waits three seconds before it saves, may save in the
middle of a step, after which the resumed run has other random numbers, returns as if the run had ended, and knows
nothing of Ctrl-C, of evaluations or of a launcher that does not pass signals on (transformers 5.23). To be removed when
a run that it stopped goes on to the last bit.
"""

import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from hfcls.system.launch import launcher_pid


class Interrupted(KeyboardInterrupt):
    """The run was told to stop, and what it had done is saved.

    Attributes:
        signal: SIGTERM or SIGINT; the exit status of a process that ends for it is 128 + its number.
    """

    def __init__(self, signal: signal.Signals, message: str = "") -> None:
        super().__init__(message)
        self.signal = signal

    def saved_in(self, folder: Path, step: int, steps: int) -> "Interrupted":
        """The same, with where the run stands and how it goes on; one that takes no steps is short and begins again."""
        if not steps:
            return Interrupted(self.signal, f"stopped by {self.signal.name}: the same command begins again")
        return Interrupted(
            self.signal,
            f"stopped by {self.signal.name} at step {step:,} of {steps:,}, which is saved in {folder}: the same "
            "command with --resume continues from it",
        )


class StopSignals:
    """While in its context, SIGTERM and a first Ctrl-C are only noted in `received`; a second Ctrl-C acts at once.

    The death of the launcher counts as SIGTERM: `accelerate launch` with one process does not pass signals on, and
    its child would train on alone (seen with accelerate 1.15; to be removed when it does pass them on).
    Outside the main thread, where Python allows no handlers, signals act as ever.
    """

    def __init__(self) -> None:
        self._noted: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}
        self._launcher = launcher_pid()

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def received(self) -> signal.Signals | None:
        """The signal to stop for, if any."""
        if self._noted is None and self._launcher not in (None, os.getppid()):
            self._noted = signal.SIGTERM
        return self._noted

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == self._noted == signal.SIGINT:
            raise KeyboardInterrupt
        self._noted = self._noted or signal.Signals(number)
