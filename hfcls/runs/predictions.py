"""The rows that a run was scored on, with what the model says of each: `predictions.parquet`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import parquet
from tokenizers import Tokenizer

from hfcls.runs.folder import CONFIG_FILE, PREDICTIONS_FILE
from hfcls.scoring.slices import Slice, slices
from hfcls.scoring.tasks import SingleLabel, Task, probability_columns
from hfcls.scoring.tasks import shown as shown_label
from hfcls.system.files import whole
from hfcls.system.quoting import shortened

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass
class Example:
    """One held-out text, or pair of texts, and what the model says of it."""

    text: str
    label: str
    predicted: str
    score: float | None  # the probability of the class; None of several labels, and of a number
    text_pair: str | None = None


def text_lengths(rows: "Dataset") -> NDArray[np.int64]:
    """Characters of each text [N]; of both texts of a pair."""
    table = rows.with_format("arrow")[:]
    columns = [table[name] for name in ("text", "text_pair") if name in table.column_names]
    return np.sum([pc.utf8_length(column).to_numpy() for column in columns], axis=0, dtype=np.int64)


def save_predictions(rows: "Dataset", outputs: NDArray[Any], task: Task, path: Path) -> None:
    """Write a parquet file, whole or not at all.

    Columns: `text`, maybe `text_pair`, `label` and `predicted` (names, lists of names, or numbers), and
    `probability_NAME` (float32) of each class.

    Args:
        rows: a split of `load_corpus`.
        outputs: of `task`, probabilities [len(rows), C] or numbers [len(rows)].
    """
    table = rows.with_format("arrow")[:]
    texts = {name: table[name] for name in ("text", "text_pair") if name in table.column_names}
    columns = {
        **texts,
        "label": pa.array(task.named(table["label"].to_pylist())),
        "predicted": pa.array(task.decided(outputs)),
        **(probability_columns(task.names, outputs.astype(np.float32)) if outputs.ndim == 2 else {}),
    }
    with whole(path) as aside, aside.open("wb") as file:  # pyarrow takes `run:1/...` for an address, not for a path
        parquet.write_table(pa.table(columns), file)


def _table(folder: Path) -> pa.Table | None:
    """The predictions of a run; None if it has none."""
    path = folder / PREDICTIONS_FILE
    if not path.is_file():
        return None
    with path.open("rb") as file:  # pyarrow takes `run:1/...` for an address, not for a path
        return parquet.read_table(file)


def scored_rows(folder: Path, count: int) -> pa.Table | None:
    """Up to `count` rows of `predictions.parquet`, evenly spaced over all of it; None of a folder without."""
    if (table := _table(folder)) is None:
        return None
    return table.take(np.linspace(0, len(table), min(count, len(table)), endpoint=False, dtype=np.int64))


def slices_of(folder: Path) -> list[Slice]:
    """How many rows are right among texts of one kind; none of a regression, or of a folder without predictions."""
    table = _table(folder)
    if table is None or not len(table) or pa.types.is_floating(table["label"].type):
        return []
    labels, predicted = table["label"].to_pylist(), table["predicted"].to_pylist()
    right = np.array([_same(true, given) for true, given in zip(labels, predicted, strict=True)])
    names = [name for name in ("text", "text_pair") if name in table.column_names]
    texts = [" ".join(parts) for parts in zip(*(table[name].to_pylist() for name in names), strict=True)]
    return slices(texts, right, _unknown(folder, texts), between=len(names) - 1)


def _same(true: Any, given: Any) -> bool:
    return set(true) == set(given) if isinstance(true, list) else true == given


def _unknown(folder: Path, texts: list[str]) -> NDArray[np.bool_] | None:
    """Whether each text has a token that the tokenizer of the run does not know [N]; None without such a token."""
    if not all((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
        return None
    try:
        unknown = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("unk_token")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception:  # tokenizers raises nothing narrower; the other kinds are worth a table without this one
        return None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if not isinstance(unknown, str) or (unknown_id := tokenizer.token_to_id(unknown)) is None:
        return None
    return np.array([unknown_id in encoding.ids for encoding in tokenizer.encode_batch(texts)], dtype=bool)


def confident_errors(folder: Path, count: int) -> list[dict[str, Any]]:
    """The `count` rows labelled wrong with the highest probability: text, text_pair, label, predicted, probability.

    Of several labels the probability is that of the label that is wrong most surely; of numbers, which have none, those
    that miss by most come first. None of a folder without `predictions.parquet`.
    """
    if (table := _table(folder)) is None:
        return []
    surety = _surety_of_error(table)
    shown = np.argsort(-surety, kind="stable")[: min(count, np.count_nonzero(surety > -np.inf))]
    kept = [name for name in table.column_names if not _is_probability(name)]
    rows = table.select(kept).take(shown).to_pylist()
    numbers = pa.types.is_floating(table["label"].type)
    return [
        {**row, "label": shown_label(row["label"]), "predicted": shown_label(row["predicted"])}
        | ({} if numbers else {"probability": float(surety[i])})
        for row, i in zip(rows, shown, strict=True)
    ]


def _surety_of_error(table: pa.Table) -> NDArray[np.float64]:
    """By what each row is wrong [N]: the probability of what is wrong, or how far a number misses; -inf if right."""
    label, predicted = table["label"], table["predicted"]
    if pa.types.is_floating(label.type):
        return np.abs(label.to_numpy() - predicted.to_numpy())
    columns = {name: table[name].to_numpy() for name in table.column_names if _is_probability(name)}
    if not pa.types.is_list(label.type):
        wrong = label.to_numpy() != predicted.to_numpy()
        return np.where(wrong, np.max(list(columns.values()), axis=0), -np.inf)
    surety = np.full(len(table), -np.inf)
    for i, (true, given) in enumerate(zip(label.to_pylist(), predicted.to_pylist(), strict=True)):
        for name in set(true) ^ set(given):
            p = columns[f"probability_{name}"][i]
            surety[i] = max(surety[i], p if name in given else 1 - p)
    return surety


def _is_probability(column: str) -> bool:
    return column.startswith("probability_")


def first_examples(rows: "Dataset", outputs: NDArray[np.float64], task: Task) -> list[Example]:
    """The first three rows of a split with what the model says of them; `outputs` are those of `task`."""
    first = rows.select(range(min(3, len(rows))))
    outputs = outputs[: len(first)]
    labels, decided = task.named(first["label"]), task.decided(outputs)
    scores = [float(row.max()) for row in outputs] if isinstance(task, SingleLabel) else [None] * len(first)
    return [
        Example(row["text"], shown_label(label), shown_label(predicted), score, row.get("text_pair"))
        for row, label, predicted, score in zip(first, labels, decided, scores, strict=True)
    ]


def sample_texts(examples: list[Example], folder: Path, *, pair: bool, width: int) -> list[str]:
    """A text, or a pair of texts, of at most `width` characters to try the model on: held-out if the run kept some.

    Where the model in `folder` reads several columns as one text, each of them is there.
    """
    names, joint = _joined_columns(folder)
    kept = next((example for example in examples if example.text.strip()), None)
    hints = [joint.join(["여기에 글을 쓰세요"] * len(names)), "여기에 짝을 쓰세요"]
    texts = [kept.text, kept.text_pair or ""] if kept else hints
    if len(names) > 1:
        parts = texts[0].split(joint.strip())
        return [joint.join(shortened(part, max(1, width // len(parts))) for part in parts)]
    return [shortened(text, width) for text in (texts if pair else texts[:1])]


def _joined_columns(folder: Path) -> tuple[list[str], str]:
    """The columns whose texts the model of a run reads as one, and what stands between them."""
    try:
        columns = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["data_columns"]
        return columns["text_columns"], columns["joint"]
    except (OSError, ValueError, TypeError, KeyError):
        return ["text"], ""
