"""An input file as a table, its division into shards, and the table of a shard with what the model says of each row."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Value

from hfcls.config.commands import PredictConfig
from hfcls.config.options import with_options
from hfcls.data.columns import remembered_columns, with_columns
from hfcls.data.formats.table import ReadOptions
from hfcls.data.origins.files import has_header_line
from hfcls.data.origins.joined import with_joined_texts
from hfcls.data.readers import read_table, text_problem, without_text
from hfcls.errors import HfclsError, NoRowsError
from hfcls.inference.classifier import Classifier
from hfcls.inference.texts import check_columns_of_file, rounded
from hfcls.scoring.tasks import MultiLabel, Regression, Task
from hfcls.system.quoting import quoted, shown

logger = logging.getLogger(__name__)
F = TypeVar("F")
T = TypeVar("T")

WHOLE_NUMBER = r"^(0|-?[1-9][0-9]{0,17})$"  # in 64 bits


class InputTable(NamedTuple):
    """The rows of an input file.

    Attributes:
        path: of the file.
        rows: with the columns to keep.
        texts: the columns to label, of the same rows.
        integers: columns that were read as text and hold whole numbers alone.
    """

    path: Path
    rows: Dataset
    texts: Dataset
    integers: set[str]


def loaded(config: PredictConfig, device: str) -> tuple[Classifier, PredictConfig]:
    """The classifier, and the options with the columns that it remembers.

    Raises:
        HfclsError: it cannot be loaded, or several labels of a text cannot stand in one cell.
    """
    classifier = Classifier.from_pretrained(
        config.model,
        device=device,
        trust_remote_code=config.trust_remote_code,
        batch_size=config.batch_size,
        batching=config.batching,
        precision=config.precision,
    )
    if config.format == "csv" and isinstance(classifier.task, MultiLabel) and "," in "".join(classifier.labels):
        raise HfclsError("a label has a comma, which stands between labels in csv: use --format parquet")
    columns = {option: getattr(config, option) for option in ("text_column", "text_pair_column")}
    return classifier, with_options(config, remembered_columns(columns, classifier.columns))


def input_table(path: Path, config: PredictConfig, task: Task, joint: str) -> InputTable | None:
    """Read a file; `joint` stands between the texts of several columns. None of a file without rows.

    Raises:
        HfclsError: it cannot be read, lacks a column, or has one whose name predictions take.
    """
    try:
        rows = read_table(path, ReadOptions.of(config))
    except NoRowsError:
        return None
    if not len(rows):
        return None
    texts = _texts(path, rows, config, task, joint)
    kept = _kept_columns(path, rows, config.output_columns)
    integers = _whole_numbers(kept) - set(texts.column_names) if has_header_line({"rows": [path]}) else set()
    return InputTable(path, kept, texts, integers)


def with_rows(files: Sequence[F], tables: Sequence[T | None], *, quiet: bool = False) -> list[tuple[F, T]]:
    """The files that have rows, each with its table; unless `quiet`, the log names those that have none.

    Raises:
        HfclsError: none has rows.
    """
    found = [(file, table) for file, table in zip(files, tables, strict=True) if table is not None]
    empty = [str(file) for file, table in zip(files, tables, strict=True) if table is None]
    if not found:
        raise HfclsError(f"{shown(empty)}: no rows to label")
    if empty and not quiet:
        logger.warning("passed over %s: no rows to label", shown(empty))
    return found


def check_texts_of(table: InputTable, columns: Mapping[str, Any]) -> None:
    """Raises HfclsError if the rows hold other texts than a model learned from that remembers these columns.

    Of a model of joined columns any row may be without its parts; of others the first rows tell.
    """
    most = len(table.texts) if columns.get("text_columns") else 100
    first = table.texts.select(range(min(len(table.texts), most))).to_dict()
    rows = [row for row in zip(*first.values(), strict=True) if None not in row]
    check_columns_of_file(str(table.path), [row if len(row) > 1 else row[0] for row in rows], columns)


def rows_without_text(table: InputTable) -> int:
    return int(without_text(table.texts, table.texts.column_names).sum())


def warn_of_rows_without_text(counts: Iterable[tuple[str, int, int]]) -> None:
    """Args: name, rows without text and rows of each file."""
    for name, missing, row_count in counts:
        if missing:
            logger.warning("%s: %d of %d rows have no text (null) and get no label", name, missing, row_count)


def shards_of(name: str, row_count: int, config: PredictConfig) -> list[tuple[str, range]]:
    """File name and rows of each shard of an input file."""
    count = math.ceil(row_count / config.shard_size)
    starts = range(0, row_count, config.shard_size)
    return [
        (f"{name}-{i:05d}-of-{count:05d}.{config.format}", range(start, min(start + config.shard_size, row_count)))
        for i, start in enumerate(starts)
    ]


def integers_everywhere(tables: Iterable[tuple[Iterable[str], set[str]]]) -> list[str]:
    """The columns that are integers in every file that has them: the folder is read as one table.

    Args:
        tables: columns and integer columns of each.
    """
    found = [(set(columns), integers) for columns, integers in tables]
    others = {name for columns, integers in found for name in columns - integers}
    return sorted({name for _, integers in found for name in integers} - others)


def added_columns(task: Task, *, all_scores: bool) -> list[str]:
    return list(task.columns(np.zeros((0, len(task.names)), np.float32), all_scores=all_scores))


def labelled(
    table: InputTable,
    indices: range,
    integers: Iterable[str],
    classifier: Classifier,
    config: PredictConfig,
    progress: Callable[[int], object],
) -> pa.Table:
    """The rows of a shard and what the model says of them; `progress` hears of each so many that are done."""
    rows, texts_there = (part.with_format("arrow")[indices.start : indices.stop] for part in (table.rows, table.texts))
    for name in table.integers.intersection(integers):
        rows = rows.set_column(rows.column_names.index(name), name, rows[name].cast(pa.int64()))
    columns = [texts_there[name].to_pylist() for name in table.texts.column_names]
    texts = list(zip(*columns, strict=True))
    there = np.array([None not in text for text in texts], bool)  # null is not the empty text: nothing is known of it
    texts = [text if len(text) > 1 else text[0] for text in texts if None not in text]
    check_columns_of_file(str(table.path), texts, classifier.columns)
    size = 32 * config.batch_size
    probabilities = np.zeros((len(rows), len(classifier.labels)), np.float32)
    for start in range(0, len(texts), size):
        part = classifier.probabilities(texts[start : start + size])
        probabilities[np.flatnonzero(there)[start : start + size]] = part.numpy()
        progress(len(part))
    progress(len(rows) - len(texts))
    for name, column in classifier.task.columns(probabilities, all_scores=config.all_scores).items():
        if config.format == "jsonl":  # which has no float32
            column = rounded(column.tolist(), unit=isinstance(classifier.task, Regression))
        kind = {"predicted_label": pa.string(), "predicted_labels": pa.list_(pa.string())}.get(name)
        rows = rows.append_column(name, pa.array(column, kind, mask=~there))
    return rows


def _whole_numbers(rows: Dataset) -> set[str]:
    """The columns of text that hold whole numbers alone, which come back from integers as they stood.

    A number that begins with a zero or a plus is text, and so is its column.
    """
    return {name for name in rows.column_names if _is_whole_numbers(rows.select_columns([name]), name)}


def _is_whole_numbers(rows: Dataset, name: str) -> bool:
    if rows.features[name] != Value("string"):
        return False
    parts = (part[name] for part in rows.with_format("arrow").iter(100_000))
    return all(pc.all(pc.match_substring_regex(part, WHOLE_NUMBER), skip_nulls=False).as_py() for part in parts)


def _kept_columns(path: Path, rows: Dataset, chosen: str | None) -> Dataset:
    if chosen is None:
        return rows
    names = [name.strip() for name in chosen.split(",")]
    if missing := [name for name in names if name not in rows.column_names]:
        raise HfclsError(
            f"{path} has no column {quoted(missing)}; it has {quoted(rows.column_names)}: set --output_columns"
        )
    return rows.select_columns(list(dict.fromkeys(names)))


def _texts(path: Path, rows: Dataset, config: PredictConfig, task: Task, joint: str) -> Dataset:
    """The columns to label."""
    wanted = {"text_column": str(config.text_column), "text_pair_column": config.text_pair_column or ""}
    wanted = {option: column for option, column in wanted.items() if column}
    no_header = config.no_header if has_header_line({"rows": [path]}) else None
    joined = with_joined_texts(rows, str(path), wanted["text_column"], joint)
    texts = with_columns(joined, str(path), wanted, no_header=no_header, labels=task.names)
    for option, column in wanted.items():
        if problem := text_problem(texts, column):
            raise HfclsError(f"{path}: column {column!r} {problem}: set --{option}, or mend the file")
    ours = added_columns(task, all_scores=True)
    if taken := [column for column in ours if column in rows.column_names]:
        raise HfclsError(f"{path} already has the column {quoted(taken)}: rename it, since predictions go there")
    return texts
