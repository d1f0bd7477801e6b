"""What started this process, alone or as one of several, and which of them speaks when the command ends."""

import gc
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise

from hfcls.errors import HfclsError

NUMBERS = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_PORT")  # what torchrun tells each process
MPI_RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")  # which accelerate takes in the place of RANK
START = "start all processes with `accelerate launch` or torchrun, or unset it to run alone"
LAUNCHERS = ("accelerate", "accelerate-launch", "torchrun")
LAUNCHER_MODULES = ("accelerate.commands.", "torch.distributed.run", "torch.distributed.launch")
PATIENCE = 5.0  # seconds in which a launcher ends the other processes when one has failed; it looks ten times a second

LOOK_UP = 3.0  # seconds in which the name of the machine where processes meet must be known


def check_launch() -> None:
    """See that the environment is that of a process started alone, or by a launcher that told all that is needed.

    Raises:
        HfclsError: it speaks of several processes but not of where they meet, or of a place that nobody knows, or a
            number is none.
    """
    launcher_pid()  # is read while it lives: one that ends before the training begins would be taken for none
    _check_numbers()
    size = world_size()
    if size > 1 and not os.environ.get("MASTER_ADDR"):
        raise HfclsError(f"the environment has WORLD_SIZE={size} but no MASTER_ADDR, where the processes meet: {START}")
    rank = next((os.environ[name] for name in ("RANK", *MPI_RANKS) if name in os.environ), "")
    if size > 1 and not (rank.isdecimal() and int(rank) < size):
        raise HfclsError(
            f"the environment has WORLD_SIZE={size} and {f'RANK={rank}' if rank else 'no RANK'}, which should be from "
            f"0 to {size - 1}: {START}"
        )
    if size > 1:
        _check_name(os.environ["MASTER_ADDR"])


def _check_name(host: str) -> None:
    """Torch would look for it for minutes; a pod that is only starting is known a moment later."""
    end = time.monotonic() + LOOK_UP
    while True:
        try:
            socket.getaddrinfo(host, None)
            return
        except (OSError, UnicodeError) as error:  # a name with a part that is too long has no encoding
            if time.monotonic() < end:
                time.sleep(0.5)
                continue
            reason = getattr(error, "strerror", None) or error
            raise HfclsError(
                f"the environment has MASTER_ADDR={host!r}, where the processes meet, and no machine of this name is "
                f"known ({reason}): name that of the first process, or {START}"
            ) from error


def _check_numbers() -> None:
    for name in NUMBERS:
        value = os.environ.get(name, "1")
        if not value.removeprefix("-").isdecimal():
            raise HfclsError(f"the environment has {name}={value!r}, which is no whole number: {START}")
        if name == "WORLD_SIZE" and int(value) < 1:
            raise HfclsError(f"the environment has WORLD_SIZE={value}, which should be 1 or more: {START}")


@contextmanager
def joining() -> Iterator[None]:
    """While the processes that the environment speaks of meet; raises `HfclsError` if they do not, or cannot."""
    check_launch()
    try:
        yield
    except (ValueError, RuntimeError) as error:
        from torch import distributed

        if {"WORLD_SIZE", "RANK", "LOCAL_RANK"}.isdisjoint(os.environ) or distributed.is_initialized():
            raise
        reason = " ".join(str(error).split())[:200]
        raise HfclsError(f"the processes that the environment speaks of do not meet ({reason}): {START}") from error


def rank_and_size() -> tuple[int, int]:
    """Which process this is and of how many, for work in which they need not meet.

    Raises:
        HfclsError: there is no such process, so that what is its share would be done by none, or twice.
    """
    _check_numbers()
    rank, size = int(os.environ.get("RANK", "0")), world_size()
    if not 0 <= rank < size:
        raise HfclsError(f"the environment has RANK={rank}, which should be from 0 to {size - 1}: {START}")
    if size > 1 and "RANK" not in os.environ:
        raise HfclsError(f"the environment has WORLD_SIZE={size} and no RANK: {START}")
    return rank, size


def world_size() -> int:
    """How many processes the environment speaks of."""
    size = os.environ.get("WORLD_SIZE", "1")
    return int(size) if size.isdecimal() else 1


@cache
def launcher_pid() -> int | None:
    """The process that started this one, if it is `accelerate launch` or torchrun; as it was at the first call."""
    import psutil

    parent = os.getppid()
    try:
        words = psutil.Process(parent).cmdline()
    except psutil.Error:
        return None
    names = [os.path.basename(word).removesuffix(".exe") for word in words[:2]]  # python /usr/bin/torchrun
    modules = [word for option, word in pairwise(words[:4]) if option == "-m"]
    known = any(name in LAUNCHERS for name in names) or any(name.startswith(LAUNCHER_MODULES) for name in modules)
    return parent if known else None


def speaks_first() -> bool:
    """Whether this process, of several, is the one that says why the command ends: the first that asks.

    Processes that are not joined yet cannot agree. Then those that are not the first of their machine wait a while for
    their launcher to end them, as it does when the first has failed as well.
    """
    if world_size() == 1:
        return True
    if "torch" in sys.modules:
        from torch import distributed

        if distributed.is_available() and distributed.is_initialized():
            try:
                # the store by which the processes met; it has no public name (torch 2.13)
                return distributed.distributed_c10d._get_default_store().add("hfcls/said", 1) == 1
            except RuntimeError:  # it went with the process that kept it
                return True
    if os.environ.get("LOCAL_RANK", "0") != "0":
        time.sleep(PATIENCE)
    return True


def leave_process_group() -> None:
    """End torch's process group, if this process is in one, as all processes do that have come this far.

    Left to the end of Python, a thread of gloo now and then aborts a process whose work is done (status -6), and NCCL
    warns. The threads end with the last reference to the group, and a model in DistributedDataParallel holds one: such
    models wait in reference cycles (Trainer's) for the garbage collector. Models that the caller still holds keep the
    threads. To be removed when torch does it at exit: https://github.com/pytorch/pytorch/issues/190489
    """
    if "torch" in sys.modules:
        from torch import distributed

        if distributed.is_initialized():
            gc.collect()
            distributed.destroy_process_group()
