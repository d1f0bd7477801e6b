"""What an error of torch, safetensors or the system in the middle of a run means, and what to do about it."""

import errno
from pathlib import Path
from pickle import UnpicklingError

import torch

from hfcls.runs.checkpoints import newest_whole_checkpoint


def explain(error: BaseException, folder: Path, checkpoint: Path | None) -> str | None:
    """What happened to a run and how it goes on, for a person; None for an error that is not known.

    Args:
        folder: of the run.
        checkpoint: that it was resumed from, if any.
    """
    if isinstance(error, UnpicklingError):
        return (
            f"{checkpoint} holds a pickle of more than tensors, which is not loaded, since it could run code: "
            "delete that checkpoint if it did not come from you"
        )
    if is_out_of_memory(error):
        return (
            f"not enough memory ({' '.join(str(error).split()) or type(error).__name__:.200}): raise "
            "--gradient_accumulation_steps, which takes the same steps in smaller parts, lower --eval_batch_size if it "
            "was an evaluation, or lower --max_length"
        )
    if is_lost_process(error):
        return (
            "another process of this run has ended, and this one cannot go on alone: look for its message above or "
            "on the other machine, then continue with --resume"
        )
    if is_disk_full(error):
        last = newest_whole_checkpoint(folder)
        return (
            f"no space left in {folder}; {f'{last} is whole' if last else 'no checkpoint was saved yet'}: "
            "free some space, then continue with --resume"
        )
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the accelerator's memory, or the machine's, was not enough."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "can't allocate memory" in str(error) or "RESOURCE_EXHAUSTED" in str(error)  # the CPU; XLA


def is_lost_process(error: BaseException) -> bool:
    """Whether an error of torch's collective operations (gloo, NCCL) means that another process is gone."""
    return isinstance(error, torch.distributed.DistError) or "gloo/transport" in str(error)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error of Python, torch or safetensors means that the disk or quota is full."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    text = str(error)
    return "No space left on device" in text or "PytorchStreamWriter failed" in text or "file write failed" in text
