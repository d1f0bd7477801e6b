"""The output folder at the start of a run: is it free, and from which checkpoint does the run go on."""

import json
import logging
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from hfcls.errors import HfclsError
from hfcls.files import write_whole
from hfcls.runs.checkpoints import newest_whole_checkpoint, sorted_checkpoints
from hfcls.runs.folder import CHECKPOINT, DATA_FILE, OPTIONS_FILE, PREDICTIONS_FILE, REPORT_FILE, RESULTS_FILE
from hfcls.runs.sealing import tidy

logger = logging.getLogger(__name__)


def check_output_dir(
    folder: Path, options: dict[str, Any], *, resumable: Collection[str], resume: bool, overwrite: bool
) -> None:
    """Make sure that `prepare_output_dir` will do, before anything else is tried; replaces nothing.

    Args:
        options: of the run.
        resumable: names of those that may differ from the ones of the run to resume.

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
    tidy(folder, CHECKPOINT)
    earlier = sorted_checkpoints(folder)
    if resume:
        _check_same_run(folder, options, resumable)
    elif not overwrite and ((folder / RESULTS_FILE).exists() or earlier):
        state = "a finished" if (folder / RESULTS_FILE).exists() else "an unfinished"
        raise HfclsError(
            f"output_dir {folder} holds {state} run: --resume continues it, --overwrite_output_dir replaces it, "
            "another --output_dir keeps it"
        )


def prepare_output_dir(
    folder: Path,
    options: dict[str, Any],
    data: dict[str, str],
    command: str = "train",
    /,
    *,
    write: bool,
    resume: bool,
    overwrite: bool,
) -> Path | None:
    """Begin a run with these options in a folder that `check_output_dir` allows; returns the checkpoint to resume from.

    With `overwrite` the checkpoints and results of an earlier run are deleted; its model stays until there is another.

    Args:
        data: a hash of each split.
        command: that began the run.
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
            f"# The options of this run; `hfcls {command}` on this file repeats it.\n"
            + yaml.safe_dump(options, allow_unicode=True, sort_keys=False),
        )
    return checkpoint


def _check_same_run(folder: Path, options: dict[str, Any], resumable: Collection[str]) -> None:
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
        if name in earlier and name not in resumable and earlier[name] != value
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
