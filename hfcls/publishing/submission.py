"""`submission.csv`: what a model says of a test split without labels, to be handed in."""

import csv
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hfcls.data.origins.unlabelled import Unlabelled
from hfcls.runs.folder import SUBMISSION_FILE
from hfcls.scoring.tasks import MultiLabel, Regression, Task
from hfcls.system.files import whole
from hfcls.system.quoting import label_cell

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 10_000


def save_submission(rows: Unlabelled, task: Task, outputs: NDArray[Any], folder: Path, *, write: bool = True) -> None:
    """Write the rows in their order with what the model says of each, in UTF-8 without a byte order mark.

    Args:
        outputs: of `task`, probabilities [len(rows), C] or numbers [len(rows)].
        write: whether this process writes: one of them.
    """
    if not write:
        return
    answers = dict(zip(rows.answers, _answers(task, outputs, len(rows.answers), rows.separator), strict=True))
    kept = [name for name in rows.columns if name not in answers]
    path = folder / SUBMISSION_FILE
    with whole(path) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(rows.columns)
        for start in range(0, len(outputs), ROWS_AT_ONCE):
            part = range(start, min(start + ROWS_AT_ONCE, len(outputs)))
            columns = {name: [answers[name][i] for i in part] for name in answers}
            columns |= rows.rows.select_columns(kept).select(part).to_dict() if kept else {}
            table.writerows(zip(*(map(_cell, columns[name]) for name in rows.columns), strict=True))
    logger.info("%s: %s rows of the test split, which has no labels", path, f"{len(outputs):,}")


def _answers(task: Task, outputs: NDArray[Any], columns: int, between: str) -> list[list[Any]]:
    """The values of each column of answers."""
    if isinstance(task, Regression):
        return [[str(np.float32(number)) for number in outputs]]
    decided = task.decided(outputs)
    if not isinstance(task, MultiLabel):
        return [decided]
    if columns == 1:
        return [[label_cell(labels, task.names, between) for labels in decided]]
    return [[int(name in labels) for labels in decided] for name in task.names]


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else value
