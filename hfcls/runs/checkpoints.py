"""The checkpoints of a run: which are there, which is whole, and whether there is room for more."""

import logging
import re
import shutil
from pathlib import Path

from hfcls.errors import HfclsError
from hfcls.runs.folder import CHECKPOINT
from hfcls.runs.sealing import why_broken

logger = logging.getLogger(__name__)

CHECKPOINT_NAME = re.compile(rf"{CHECKPOINT}-(\d+)")


def sorted_checkpoints(folder: Path) -> list[Path]:
    """The folders `checkpoint-N`, oldest first."""
    found = [path for path in folder.glob(f"{CHECKPOINT}-*") if CHECKPOINT_NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name.split("-")[1]))


def newest_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that can be loaded; broken ones are named in the log and passed over."""
    for checkpoint in reversed(sorted_checkpoints(folder)):
        reason = why_broken(checkpoint)
        if reason is None:
            return checkpoint
        logger.warning("%s is not whole (%s): trying the one before it", checkpoint, reason)
    return None


def check_space(folder: Path, parameters: int, checkpoints: int) -> None:
    """Compare what a run will write to `folder` with what is free there.

    Args:
        folder: the output folder, which exists.
        parameters: of the model, in float32.
        checkpoints: kept at a time; one more lies there while it is written.

    Raises:
        HfclsError: less is free; names both figures.
    """
    # weights and the two moments of Adam in each checkpoint, the weights once more at the end, some small files
    needed = 4 * parameters * (3 * (checkpoints + 1) + 1) + 50 * 2**20
    # of an earlier part of this run, or of a run that is replaced: it is written over
    written = [*folder.glob("model.safetensors"), *folder.glob("checkpoint-*/*")]
    present = sum(path.stat().st_size for path in written if path.is_file())
    free = shutil.disk_usage(folder).free + present
    if free < needed:
        raise HfclsError(
            f"output_dir {folder} has {free / 2**30:.1f} GiB free, the run needs {needed / 2**30:.1f} GiB for "
            f"{checkpoints + 1} checkpoints and the model: free some space or choose another --output_dir"
        )
