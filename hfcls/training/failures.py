"""What an error of torch, safetensors or the system in the middle of a run means, and what to do about it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

import torch
from transformers import Trainer

from hfcls.errors import HfclsError
from hfcls.runs.checkpoints import newest_whole_checkpoint
from hfcls.system.files import is_disk_full, with_causes
from hfcls.training.preemption import Interrupted


@contextmanager
def explained(trainer: Trainer, checkpoint: Path | None) -> Iterator[None]:
    """The work of a trainer whose errors, where they are known, end as one line.

    Args:
        checkpoint: that the run was resumed from, if any.

    Raises:
        Interrupted: told to stop; what was done is saved.
        HfclsError: what `explain` knows, such as a full disk.
    """
    folder = Path(str(trainer.args.output_dir))
    try:
        yield
    except Interrupted as interrupted:
        state = trainer.state  # `train` makes it anew
        raise interrupted.saved_in(folder, state.global_step, state.max_steps) from None
    except Exception as error:
        if explanation := explain(error, folder, checkpoint):
            raise HfclsError(explanation) from error
        raise


def explain(error: BaseException, folder: Path, checkpoint: Path | None) -> str | None:
    """What happened to a run and how it goes on, for a person; None for an error that is not known.

    Args:
        folder: of the run.
        checkpoint: that it was resumed from, if any.
    """
    errors = list(with_causes(error))
    if any(isinstance(error, UnpicklingError) for error in errors):
        return (
            f"{checkpoint} holds a pickle of more than tensors, which is not loaded, since it could run code: "
            "delete that checkpoint if it did not come from you"
        )
    if memory := next(filter(is_out_of_memory, errors), None):
        return (
            f"not enough memory ({' '.join(str(memory).split()) or type(memory).__name__:.200}): raise "
            "--gradient_accumulation_steps, which takes the same steps in smaller parts, lower --eval_batch_size if it "
            "was an evaluation, or lower --max_length"
        )
    if lost := lost_process(errors):
        return lost
    if any(map(is_disk_full, errors)):
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


def lost_process(errors: Iterable[BaseException]) -> str | None:
    """What to do where one of torch's collective operations (gloo, NCCL) failed, as they do when a process is gone.

    NCCL fails for reasons of its own too, such as a small /dev/shm, which its last line tells.
    """
    found = (
        error for error in errors if isinstance(error, torch.distributed.DistError) or "gloo/transport" in str(error)
    )
    if (error := next(found, None)) is None:
        return None
    own = f", or NCCL fails ({str(error).strip().splitlines()[-1]:.200})" if "NCCL" in str(error) else ""
    return (
        f"another process of this run has ended{own}, and this one cannot go on alone: look for its message above or "
        "on the other machine, then continue with --resume"
    )
