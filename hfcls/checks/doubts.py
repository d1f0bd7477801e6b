"""Training rows whose label looks wrong, for the report of a run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset

from hfcls.baseline.beside import out_of_fold, texts_of
from hfcls.data.duplicates import text_keys
from hfcls.data.tasks import label_names, true_labels
from hfcls.runs.folder import DOUBTS_FILE
from hfcls.scoring.label_errors import find_label_errors, text_folds
from hfcls.system.files import write_whole

MOST_ROWS = 5_000  # their five folds take about ten seconds; for more there is `hfcls clean`
SHOWN = 20


def save_doubts(train: Dataset, folder: Path, seed: int) -> None:
    """Write what `find_doubts` finds, if anything, to the folder of a run."""
    if doubts := find_doubts(train, seed):
        write_whole(folder / DOUBTS_FILE, json.dumps(doubts, ensure_ascii=False, indent=2) + "\n")


def find_doubts(train: Dataset, seed: int) -> dict[str, Any]:
    """The training rows whose label confident learning takes for wrong, as `hfcls clean` without an encoder does.

    Args:
        train: split of a corpus.

    Returns:
        `num_rows`, the number of them that are `doubted`, and the first of these as `rows`; empty where it would take
        long, or a row has not one class.
    """
    if len(train) > MOST_ROWS or not isinstance(train.features["label"], ClassLabel):
        return {}
    labels, names, texts = true_labels(train), label_names(train), texts_of(train)
    folds, judged = text_folds(text_keys(train), labels, seed)
    if not judged.any():
        return {}
    probabilities = np.zeros((len(train), len(names)))
    for unseen, found in out_of_fold(texts, labels, folds, len(names), seed=seed):
        probabilities[unseen] = found
    errors = find_label_errors(labels, probabilities, judged)
    doubted = [i for i in errors.order.tolist() if errors.doubted[i]]
    rows = [
        {
            "text": texts[i] if isinstance(texts[i], str) else " / ".join(texts[i]),
            "label": names[labels[i]],
            "suggested": names[errors.suggested[i]],
            "probability": float(probabilities[i, errors.suggested[i]]),
        }
        for i in doubted[:SHOWN]
    ]
    return {"num_rows": len(train), "doubted": len(doubted), "rows": rows}
