"""The checkpoints of a run: which are there, which is whole, and whether there is room for more."""

import logging
import re
import shutil
from pathlib import Path

from hfcls.errors import HfclsError
from hfcls.runs.folder import ASIDE, CHECKPOINT, REPLACED, WEIGHTS
from hfcls.runs.sealing import discard, is_sealed, why_broken

logger = logging.getLogger(__name__)

CHECKPOINT_NAME = re.compile(rf"{CHECKPOINT}-(\d+)")


def sorted_checkpoints(folder: Path) -> list[Path]:
    """The folders `checkpoint-N`, oldest first."""
    found = [path for path in folder.glob(f"{CHECKPOINT}-*") if CHECKPOINT_NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=_step)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def newest_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that can be loaded; others are named in the log and passed over."""
    for checkpoint in reversed(sorted_checkpoints(folder)):
        reason = why_broken(checkpoint)
        if reason is None:
            return checkpoint
        logger.warning("%s is not whole (%s): trying the one before it", checkpoint, reason)
    return None


def foreign_checkpoints(folder: Path) -> list[Path]:
    """The folders `checkpoint-N` that hold something, but were not written by hfcls: those of a plain Trainer."""
    return [path for path in sorted_checkpoints(folder) if not is_sealed(path) and any(path.iterdir())]


def holds_checkpoints(folder: Path) -> bool:
    """Whether a run has left checkpoints there, be it one that a kill has left aside."""
    return bool(sorted_checkpoints(folder) or sorted_checkpoints(folder / REPLACED))


def rotate_checkpoints(folder: Path, limit: int | None, *, newest: Path, best: Path | None) -> None:
    """Delete the oldest checkpoints beyond `limit`, but neither the newest nor the best, nor what hfcls did not write.

    Those with more steps than the newest go first: the run has gone back behind them, since they were broken.
    """
    if not limit:
        return
    ours = [path for path in sorted_checkpoints(folder) if is_sealed(path)]
    ours.sort(key=lambda path: _step(path) <= _step(newest))  # a stable sort: the rest stays in its order
    kept = {newest, best} & set(ours)
    surplus = len(ours) - max(limit, len(kept))
    for path in [path for path in ours if path not in kept][: max(surplus, 0)]:
        discard(path)


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
    ours = [*filter(is_sealed, sorted_checkpoints(folder)), folder / ASIDE, folder / REPLACED]
    written = [path for pattern in WEIGHTS for path in folder.glob(pattern)]
    written += [path for place in ours for path in place.rglob("*")]
    present = sum(path.stat().st_size for path in written if path.is_file())
    free = shutil.disk_usage(folder).free + present
    if free < needed:
        raise HfclsError(
            f"output_dir {folder} has {free / 2**30:.1f} GiB free, the run needs {needed / 2**30:.1f} GiB for "
            f"{checkpoints + 1} checkpoints and the model: free some space or choose another --output_dir"
        )
