"""Real processes that run a command, and may send themselves a signal in the middle of it."""

import importlib
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

# A server that has imported everything and forks a fresh process for each run: a run takes a second instead of ten.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["hfcls.finetune", "hfcls.pretraining", "hfcls.cli", "sklearn.metrics", "pandas"])


def run(options: dict[str, Any], send: int = signal.SIGKILL, at: str | None = None, call: int = 1) -> None:
    """What a process does: run a command, and send itself a signal when `at` is called for the n-th time."""
    import hfcls.cli

    multiprocessing.set_start_method("fork", force=True)  # of data workers, as in a process started by hand
    log = Path(options["output_dir"]).with_suffix(".log").open("a")
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    if at:
        _interrupt(at, call, send)
    command = options.pop("command", "train")
    flags = [f"--{name}={value}" for name, value in options.items() if value is not True]
    flags += [f"--{name}" for name, value in options.items() if value is True]
    sys.exit(hfcls.cli.main([command, *flags]))


def _interrupt(at: str, call: int, send: int) -> None:
    module, _, path = at.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original, calls = getattr(owner, name), [0]

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == call:
            print("signal sent at", time.time(), flush=True)
            os.kill(os.getpid(), send)
        return original(*args, **kwargs)

    setattr(owner, name, interrupted)


def start(*args: Any) -> Any:
    process = SERVER.Process(target=run, args=args)
    process.start()
    return process


def finish(*args: Any) -> int | None:
    process = start(*args)
    process.join(120)
    return process.exitcode
