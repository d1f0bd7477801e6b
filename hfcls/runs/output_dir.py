"""The output folder at the start of a run: is it free, is there anything to do, and from which checkpoint."""

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from hfcls.config.defaults import epochs_for
from hfcls.errors import HfclsError
from hfcls.runs.checkpoints import foreign_checkpoints, holds_checkpoints, newest_whole_checkpoint, sorted_checkpoints
from hfcls.runs.folder import (
    CARD_FILE,
    DATA_FILE,
    DOUBTS_FILE,
    NUMBERS_FILE,
    OPTIONS_FILE,
    PREDICTIONS_FILE,
    REPORT_FILE,
    REPORT_FOLDER,
    RESULTS_FILE,
    STATE_FILE,
    SUBMISSION_FILE,
    WEIGHTS,
)
from hfcls.runs.results import Result, load_results
from hfcls.runs.sealing import discard, is_sealed, tidy
from hfcls.runs.weights import check_same_weights, is_our_card
from hfcls.system.files import check_types, read_json, remove_leftovers, write_json, write_whole

logger = logging.getLogger(__name__)

# What says something of the model of a run; the results go first, since without them nothing is pushed.
STATEMENTS = (
    *(RESULTS_FILE, PREDICTIONS_FILE, SUBMISSION_FILE, DOUBTS_FILE, REPORT_FILE, STATE_FILE, CARD_FILE),
    f"{REPORT_FOLDER}/{NUMBERS_FILE}",
)
CHOICE = "--overwrite_output_dir replaces it, another --output_dir keeps it"


def check_output_dir(
    folder: Path, options: dict[str, Any], *, fixed: Mapping[str, Any], resume: bool, overwrite: bool
) -> None:
    """Make sure that `prepare_output_dir` will do, before anything else is tried; changes nothing.

    Args:
        options: of the run.
        fixed: those that must be as in the run to resume; with each, what a run did that did not know it.

    Raises:
        HfclsError: the folder holds another run, a run with other options to resume, or checkpoints or a model of
            others.
    """
    finished = (folder / RESULTS_FILE).exists()
    holds_run = finished or holds_checkpoints(folder)
    if foreign := foreign_checkpoints(folder):
        raise HfclsError(
            f"output_dir {folder} holds {foreign[-1].name}, which hfcls did not write, so that it neither continues "
            f"nor deletes it: train from its weights with --model {foreign[-1]} and another --output_dir, or move it "
            "away"
        )
    if resume:
        _check_same_run(folder, options, fixed)
    elif holds_run and not overwrite:
        raise HfclsError(
            f"output_dir {folder} holds {'a finished' if finished else 'an unfinished'} run: --resume continues it, "
            f"{CHOICE}"
        )
    if not (overwrite or holds_run or (folder / OPTIONS_FILE).exists()):
        _check_no_model(folder)


def _check_no_model(folder: Path) -> None:
    """A run ends with its model in the place of the one that lies there: of another tool, or the one to start from."""
    if present := [path.name for pattern in WEIGHTS for path in sorted(folder.glob(pattern))]:
        raise HfclsError(f"output_dir {folder} holds a model ({present[0]}) that is of no run of hfcls: {CHOICE}")


def finished_result(folder: Path, options: dict[str, Any]) -> Result | None:
    """The result of the run to resume, if it has ended and these options, which `check_output_dir` allows, add nothing.

    Raises:
        HfclsError: it has ended, and the options ask for fewer steps, or other weights lie there than it made.
    """
    if not (folder / RESULTS_FILE).exists():
        return None
    result = load_results(folder)
    taken, before, now = _steps(result, folder, options)
    if now < before:
        raise HfclsError(
            f"the run in {folder} is finished after {before:,} steps, and these options ask for {now:,}: {CHOICE}"
        )
    if now > before and taken == before:
        return None
    if taken < before:
        ended, more = f"stopped early, after {taken:,} steps,", ""
    else:
        ended, more = "is finished", "; more --num_train_epochs would continue it" if taken else ""
    if result.facts and result.facts.weights_sha256:
        check_same_weights(folder)
    logger.info("the run in %s %s and is left as it is: its data are not read again%s", folder, ended, more)
    return replace(result, output_dir=str(folder))


def _steps(result: Result, folder: Path, options: dict[str, Any]) -> tuple[int, int, int]:
    """Optimizer steps: that a finished run took, that its options asked for, and that these options ask for."""
    try:
        facts: Any = result.facts
        rows = facts.splits["train"].rows
        steps = facts.steps, planned_steps(options | _earlier_options(folder), rows), planned_steps(options, rows)
        check_types([*steps], list[int], "steps")
        return steps
    except (AttributeError, KeyError, TypeError, ZeroDivisionError) as error:
        raise HfclsError(
            f"cannot resume the run in {folder}: how many steps it took is not known ({error!r}); replace it with "
            "--overwrite_output_dir"
        ) from error


def planned_steps(options: dict[str, Any], rows: int) -> int:
    """Optimizer steps that these options ask for with so many training rows."""
    if options.get("freeze_encoder"):
        return 0
    epochs = options["num_train_epochs"] or epochs_for(rows)
    steps: int = options["max_steps"] or epochs * math.ceil(rows / options["batch_size"])
    return steps


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

    What is said of an earlier model (results, predictions, report, card) is deleted, with `overwrite` its checkpoints
    as well; the model itself stays until there is another.

    Args:
        data: a hash of each split.
        command: that began the run.
        write: whether this process deletes and writes: one of them, or they would be in each other's way.

    Raises:
        HfclsError: the rows are no longer those of the run to resume, it has ended and has no whole checkpoint left, or
            the folder cannot be written to.
    """
    tidy(folder)
    checkpoint = newest_whole_checkpoint(folder) if resume else None
    if checkpoint:
        _check_same_data(folder, data)
        logger.info("resuming from %s", checkpoint)
    elif resume and (folder / RESULTS_FILE).exists():
        raise HfclsError(
            f"the run in {folder} is finished and no whole checkpoint is left from which it could go on: {CHOICE}"
        )
    elif resume:
        logger.info("no checkpoint to resume in %s: starting fresh", folder)
    if write:
        try:
            _begin(folder, options, data, command, overwrite=overwrite)
        except OSError as error:
            raise HfclsError(
                f"cannot write to output_dir {folder}: {error.strerror}; solve that, or choose another --output_dir"
            ) from error
    return checkpoint


def _begin(folder: Path, options: dict[str, Any], data: dict[str, str], command: str, *, overwrite: bool) -> None:
    for name in (*STATEMENTS, DATA_FILE, OPTIONS_FILE):
        remove_leftovers(folder / name)
    if overwrite or (folder / OPTIONS_FILE).exists():  # else such files are no run's
        for name in STATEMENTS:
            if name != CARD_FILE or is_our_card(folder / name):
                (folder / name).unlink(missing_ok=True)
    if overwrite:
        for path in filter(is_sealed, sorted_checkpoints(folder)):
            discard(path)
    write_json(folder / DATA_FILE, data)
    write_whole(
        folder / OPTIONS_FILE,
        f"# The options of this run; `hfcls {command}` on this file repeats it.\n"
        + yaml.safe_dump(options, allow_unicode=True, sort_keys=False),
    )


def _check_same_run(folder: Path, options: dict[str, Any], fixed: Mapping[str, Any]) -> None:
    """Optimizer and schedule come from the checkpoint, so a changed option would silently not take effect."""
    finished, path = (folder / RESULTS_FILE).exists(), folder / OPTIONS_FILE
    if not (finished or holds_checkpoints(folder)):
        return
    if not path.exists() and not finished:  # checkpoints of a ClassificationTrainer that was started without fine_tune
        logger.info("%s is not there, as after a training of your own: its options are taken to be these", path)
        return
    earlier = _earlier_options(folder)
    changed = [
        f"{name} {earlier.get(name, before)} -> {options[name]}"
        for name, before in fixed.items()
        if earlier.get(name, before) != options[name]
    ]
    if changed:
        raise HfclsError(
            f"cannot resume the run in {folder} with other options ({'; '.join(changed)}): "
            "use the options it was started with, or --overwrite_output_dir"
        )


def _earlier_options(folder: Path) -> dict[str, Any]:
    path = folder / OPTIONS_FILE
    try:
        earlier = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        earlier = None
    if not isinstance(earlier, dict) or not earlier:
        raise HfclsError(
            f"cannot resume the run in {folder}: {path} does not hold its options any more; put the file back, or "
            "replace the run with --overwrite_output_dir"
        )
    return earlier


def _check_same_data(folder: Path, data: dict[str, str]) -> None:
    """A checkpoint knows its place in the order of the rows, so in other rows it would go on anywhere."""
    path = folder / DATA_FILE
    if not path.exists():
        return  # nothing is known of them, as after a training of one's own
    try:
        check_types(earlier := read_json(path) or {}, dict[str, str])
    except (HfclsError, OSError, TypeError) as error:
        raise HfclsError(
            f"cannot resume the run in {folder}: {path} does not say any more with which rows it began; put the file "
            "back, or start again with --overwrite_output_dir"
        ) from error
    earlier = {"classes": data.get("classes"), **earlier}  # which an older run did not write down
    if changed := [name for name in data if earlier.get(name) != data[name]]:
        rows = ", ".join(name for name in changed if name != "classes")
        what = f"the rows of {rows} are not those" if rows else "the order of the classes is not the one"
        raise HfclsError(
            f"cannot resume the run in {folder}: {what} that it began with; "
            "bring them back, or start again with --overwrite_output_dir"
        )
