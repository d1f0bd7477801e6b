"""The output folder of a run: is it free, and which of its checkpoints is whole."""

import json
import logging
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml

from hfcls.errors import HfclsError
from hfcls.files import write_whole
from hfcls.runs.checkpoints import tidy, why_broken
from hfcls.runs.predictions import PREDICTIONS_FILE

logger = logging.getLogger(__name__)

OPTIONS_FILE = "run.yaml"  # the options of the run: a recipe that repeats it
DATA_FILE = "data.json"  # the SHA-256 of each split: a run goes on with the rows that it began with
REPORT_FILE = "report.html"
RESULTS_FILE = "results.json"  # written last: its presence says that the run is finished
CHECKPOINT = re.compile(r"checkpoint-(\d+)")
# Options that may differ between a run and its continuation: they do not enter what is learned.
FREE_OPTIONS = {
    *("output_dir", "resume", "overwrite_output_dir", "num_train_epochs", "max_steps", "data_dir", "save_minutes"),
    *("batching", "row_length", "eval_batch_size", "logging_steps", "dataloader_num_workers"),
    *("report", "report_to"),
    *("push_to_hub", "hub_model_id", "hub_private"),
}


def check_output_dir(folder: Path, options: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
    """Make sure that `prepare_output_dir` will do, before anything else is tried; replaces nothing.

    Raises:
        HfclsError: the folder cannot be written to, holds another run, or holds a run with other options to resume.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise HfclsError(
            f"cannot write to output_dir {folder}: {error.strerror}; choose another --output_dir"
        ) from error
    tidy(folder, "checkpoint")
    earlier = sorted_checkpoints(folder)
    if resume:
        _check_same_run(folder, options)
    elif not overwrite and ((folder / RESULTS_FILE).exists() or earlier):
        state = "a finished" if (folder / RESULTS_FILE).exists() else "an unfinished"
        raise HfclsError(
            f"output_dir {folder} holds {state} run: --resume continues it, --overwrite_output_dir replaces it, "
            "another --output_dir keeps it"
        )


def prepare_output_dir(
    folder: Path, options: dict[str, Any], data: dict[str, str], *, write: bool, resume: bool, overwrite: bool
) -> Path | None:
    """Begin a run with these options in a folder that `check_output_dir` allows; returns the checkpoint to resume from.

    With `overwrite` the checkpoints and results of an earlier run are deleted; its model stays until there is another.

    Args:
        data: a hash of each split.
        write: whether this process deletes and writes: one of them, or they would be in each other's way.

    Raises:
        HfclsError: the rows are no longer those of the run to resume.
    """
    if overwrite and write:
        for path in sorted_checkpoints(folder):
            shutil.rmtree(path)
        for name in (RESULTS_FILE, PREDICTIONS_FILE, REPORT_FILE):
            (folder / name).unlink(missing_ok=True)
    checkpoint = newest_whole_checkpoint(folder) if resume else None
    if checkpoint:
        _check_same_data(folder, data)
        logger.info("resuming from %s", checkpoint)
    elif resume:
        logger.info("no checkpoint to resume in %s: starting fresh", folder)
    if write:
        write_whole(folder / DATA_FILE, json.dumps(data, indent=2) + "\n")
        write_whole(
            folder / OPTIONS_FILE,
            "# The options of this run; `hfcls train` on this file repeats it.\n"
            + yaml.safe_dump(options, allow_unicode=True, sort_keys=False),
        )
    return checkpoint


def sorted_checkpoints(folder: Path) -> list[Path]:
    """The folders `checkpoint-N`, oldest first."""
    found = [path for path in folder.glob("checkpoint-*") if CHECKPOINT.fullmatch(path.name) and path.is_dir()]
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


def _check_same_run(folder: Path, options: dict[str, Any]) -> None:
    """Optimizer and schedule come from the checkpoint, so a changed option would silently not take effect."""
    if not sorted_checkpoints(folder):
        return
    path = folder / OPTIONS_FILE
    if not path.exists():  # checkpoints of a Trainer that was started without fine_tune
        logger.warning("%s is not there: whether the options are those of the run is not known", path)
        return
    try:
        earlier = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        earlier = None
    if not isinstance(earlier, dict):
        raise HfclsError(
            f"cannot resume the run in {folder}: {path} does not hold its options any more; put the file back, or "
            "replace the run with --overwrite_output_dir"
        )
    changed = [
        f"{name} {earlier[name]} -> {value}"
        for name, value in options.items()
        if name in earlier and name not in FREE_OPTIONS and earlier[name] != value
    ]
    if changed:
        raise HfclsError(
            f"cannot resume the run in {folder} with other options ({'; '.join(changed)}): "
            "use the options it was started with, or --overwrite_output_dir"
        )


def _check_same_data(folder: Path, data: dict[str, str]) -> None:
    """A checkpoint knows its place in the order of the rows, so in other rows it would go on anywhere."""
    try:
        earlier = json.loads((folder / DATA_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        earlier = None
    if not isinstance(earlier, dict):
        return  # nothing is known of them
    if changed := [split for split in data if earlier.get(split) != data[split]]:
        raise HfclsError(
            f"cannot resume the run in {folder}: the rows of {', '.join(changed)} are not those that it began with; "
            "bring them back, or start again with --overwrite_output_dir"
        )
