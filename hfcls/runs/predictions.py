"""The rows that a run was scored on, with what the model says of each: `predictions.parquet`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import parquet

from hfcls.runs.folder import PREDICTIONS_FILE
from hfcls.system.files import whole

if TYPE_CHECKING:
    from datasets import Dataset


def text_lengths(rows: "Dataset") -> NDArray[np.int64]:
    """Characters of each text [N]; of both texts of a pair."""
    table = rows.with_format("arrow")[:]
    columns = [table[name] for name in ("text", "text_pair") if name in table.column_names]
    return np.sum([pc.utf8_length(column).to_numpy() for column in columns], axis=0, dtype=np.int64)


def save_predictions(rows: "Dataset", probabilities: NDArray[Any], path: Path) -> None:
    """Write a parquet file, whole or not at all.

    Columns: `text`, maybe `text_pair`, `label` and `predicted` (names), and `probability_NAME` (float32) of each class.

    Args:
        rows: a split of `load_corpus`.
        probabilities: [len(rows), C].
    """
    names = np.asarray(rows.features["label"].names)
    table = rows.with_format("arrow")[:]
    texts = {name: table[name] for name in ("text", "text_pair") if name in table.column_names}
    columns = {
        **texts,
        "label": pa.array(names[table["label"].to_numpy()]),
        "predicted": pa.array(names[probabilities.argmax(axis=-1)]),
        **{
            f"probability_{name}": pa.array(np.float32(column))
            for name, column in zip(names, probabilities.T, strict=True)
        },
    }
    with whole(path) as aside, aside.open("wb") as file:  # pyarrow takes `run:1/...` for an address, not for a path
        parquet.write_table(pa.table(columns), file)


def scored_rows(folder: Path, count: int) -> pa.Table | None:
    """Up to `count` rows of `predictions.parquet`, evenly spaced over all of it; None of a folder without."""
    path = folder / PREDICTIONS_FILE
    if not path.is_file():
        return None
    table = parquet.read_table(path)
    return table.take(np.linspace(0, len(table), min(count, len(table)), endpoint=False, dtype=np.int64))


def confident_errors(folder: Path, count: int) -> list[dict[str, Any]]:
    """The `count` rows labelled wrong with the highest probability: text, text_pair, label, predicted, probability.

    None of a folder without `predictions.parquet`.
    """
    path = folder / PREDICTIONS_FILE
    if not path.is_file():
        return []
    with path.open("rb") as file:
        table = parquet.read_table(file)
    probability = np.max([table[name].to_numpy() for name in table.column_names if _is_probability(name)], axis=0)
    wrong = np.flatnonzero(table["label"].to_numpy() != table["predicted"].to_numpy())
    shown = wrong[np.argsort(-probability[wrong], kind="stable")][:count]
    kept = [name for name in table.column_names if not _is_probability(name)]
    rows = table.select(kept).take(shown).to_pylist()
    return [{**row, "probability": float(probability[i])} for row, i in zip(rows, shown, strict=True)]


def _is_probability(column: str) -> bool:
    return column.startswith("probability_")
