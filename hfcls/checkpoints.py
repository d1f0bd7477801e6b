"""The output folder of a run: is it free, and which of its checkpoints is whole."""

import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from hfcls.errors import HfclsError

logger = logging.getLogger(__name__)

OPTIONS_FILE = "run.yaml"  # the options of the run: a recipe that repeats it
RESULTS_FILE = "results.json"  # written last: its presence says that the run is finished
CHECKPOINT = re.compile(r"checkpoint-(\d+)")
CHECKPOINT_FILES = ("optimizer.pt", "scheduler.pt", "trainer_state.json")
# Options that may differ between a run and its continuation: they do not enter what is learned.
FREE_OPTIONS = {
    *("output_dir", "resume", "overwrite_output_dir", "num_train_epochs", "max_steps", "data_dir"),
    *("batching", "row_length", "eval_batch_size", "logging_steps", "dataloader_num_workers", "report_to"),
}


def prepare_output_dir(folder: Path, options: dict[str, Any], *, resume: bool, overwrite: bool) -> Path | None:
    """Make `folder` ready for a run with these options; returns the checkpoint to resume from, if any.

    Raises:
        HfclsError: the folder cannot be written to, holds another run, or holds a run with other options to resume.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / OPTIONS_FILE).touch()
    except OSError as error:
        raise HfclsError(
            f"cannot write to output_dir {folder}: {error.strerror}; choose another --output_dir"
        ) from error
    earlier = sorted_checkpoints(folder)
    if overwrite:
        for path in earlier:
            shutil.rmtree(path)
        (folder / RESULTS_FILE).unlink(missing_ok=True)
    elif resume:
        _check_same_run(folder, options)
    elif (folder / RESULTS_FILE).exists() or earlier:
        state = "a finished" if (folder / RESULTS_FILE).exists() else "an unfinished"
        raise HfclsError(
            f"output_dir {folder} holds {state} run: --resume continues it, --overwrite_output_dir replaces it, "
            "another --output_dir keeps it"
        )
    checkpoint = newest_whole_checkpoint(folder) if resume else None
    if checkpoint:
        logger.info("resuming from %s", checkpoint)
    elif resume:
        logger.info("no checkpoint to resume in %s: starting fresh", folder)
    (folder / OPTIONS_FILE).write_text(
        "# The options of this run; `hfcls train` on this file repeats it.\n"
        + yaml.safe_dump(options, allow_unicode=True, sort_keys=False),
        encoding="utf-8",
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


def why_broken(checkpoint: Path) -> str | None:
    """None for a checkpoint whose every file is there and can be read, else what is wrong with it.

    Trainer would resume from a checkpoint without optimizer.pt silently, with a fresh optimizer.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    for name in CHECKPOINT_FILES:
        if not (checkpoint / name).is_file():
            return f"{name} is missing"
    if not any(checkpoint.glob("rng_state*.pth")):
        return "rng_state.pth is missing"
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        with safe_open(checkpoint / "model.safetensors", framework="pt") as weights:
            weights.keys()
        for name in ("optimizer.pt", "scheduler.pt"):
            torch.load(checkpoint / name, map_location="meta", weights_only=True)
    except (OSError, ValueError, EOFError, RuntimeError, SafetensorError) as error:
        return " ".join(str(error).split())
    return None


def _check_same_run(folder: Path, options: dict[str, Any]) -> None:
    """Optimizer and schedule come from the checkpoint, so a changed option would silently not take effect."""
    earlier = yaml.safe_load((folder / OPTIONS_FILE).read_text(encoding="utf-8")) or {}
    changed = [
        f"{name} {earlier[name]} -> {value}"
        for name, value in options.items()
        if name in earlier and name not in FREE_OPTIONS and earlier[name] != value
    ]
    if changed and sorted_checkpoints(folder):
        raise HfclsError(
            f"cannot resume the run in {folder} with other options ({'; '.join(changed)}): "
            "use the options it was started with, or --overwrite_output_dir"
        )
