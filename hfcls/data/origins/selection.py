"""Texts and labels out of the wanted columns of a split, in the one form that all corpora have."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from datasets import Dataset, Features, Value

from hfcls.data.columns import with_columns
from hfcls.data.labels import ROW
from hfcls.data.readers import text_problem, without_text
from hfcls.errors import HfclsError
from hfcls.system.quoting import shown as shown_names

logger = logging.getLogger(__name__)


def prepared_columns(rows: Dataset, where: str, wanted: Mapping[str, str], no_header: bool | None) -> Dataset:
    """The wanted columns alone, the texts as text.

    Raises:
        HfclsError: no rows, no such column, or a column of texts that holds something else.
    """
    rows = with_columns(rows, where, wanted, no_header=no_header)
    if len(rows) == 0:
        raise HfclsError(f"{where} has no rows")
    for option, column in wanted.items():
        if option != "label_column" and (problem := text_problem(rows, column)):
            raise HfclsError(f"{where}: column {column!r} {problem}")
    return rows


def selected(
    rows: Dataset,
    split: str,
    texts: list[str],
    label: str,
    *,
    ids: Mapping[str, int] | None = None,
    known: Sequence[str] = (),
    feature: Any = None,
) -> Dataset:
    """The texts and labels: class ids, `ids` by the text of each value; or without `ids` the numbers that stand there.

    Args:
        known: the classes that the label may be of.
        feature: of the labels: a ClassLabel, or a list of such; None: float64.
    """
    columns = dict(zip(texts, ("text", "text_pair"), strict=False))
    features = Features({name: Value("string") for name in columns.values()})
    features["label"] = feature or Value("float64")
    missing = np.flatnonzero(without_text(rows, texts))
    if len(missing):
        logger.warning(
            "%s: %d of %d rows have no text (null), row %d for one; it is read as an empty text",
            split, len(missing), len(rows), rows[int(missing[0])].get(ROW, missing[0] + 1),
        )  # fmt: skip
    # whatever others hold, nobody reads it
    rows = rows.select_columns([*texts, label, *([ROW] if ROW in rows.column_names else [])])
    mapped = rows.map(
        _select_batch,
        batched=True,
        with_indices=True,
        remove_columns=rows.column_names,
        features=features,
        # `version` enters datasets' fingerprint, which hashes this function by name only: raise it with each change.
        fn_kwargs={
            "columns": columns,
            "label": label,
            "ids": None if ids is None else dict(ids),
            "known": list(known),
            "split": split,
            "version": 5,
        },
        desc=f"{split}: labels",
    )
    empty = sum(not text.strip() for batch in mapped.select_columns("text").iter(10_000) for text in batch["text"])
    if empty:
        logger.info("%s: %d of %d texts are empty; they are kept", split, empty, len(mapped))
    return mapped


def _select_batch(
    batch: dict[str, list[Any]],
    indices: list[int],
    *,
    columns: dict[str, str],
    label: str,
    ids: dict[str, int] | None,
    known: list[str],
    split: str,
    version: int,
) -> dict[str, list[Any]]:
    selected: dict[str, list[Any]] = {
        name: ["" if text is None else text for text in batch[column]] for column, name in columns.items()
    }
    if ids is None:
        selected["label"] = batch[label]
        return selected
    selected["label"] = []
    for row, value in zip(batch.get(ROW, [i + 1 for i in indices]), batch[label], strict=True):
        values = value if isinstance(value, list) else [value]
        if unknown := [v for v in values if str(v) not in ids]:
            found = "no label" if unknown[0] in (None, "") else f"the unknown label {unknown[0]!r}"
            raise HfclsError(f"{split}, row {row}: {found} in column {label!r}; known are {shown_names(known)}")
        class_ids = [ids[str(v)] for v in values]
        selected["label"].append(sorted(class_ids) if isinstance(value, list) else class_ids[0])
    return selected
