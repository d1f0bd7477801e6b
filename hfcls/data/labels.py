"""Which classes a corpus has, and the class that each value of its label column stands for."""

import logging
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Json, Value
from numpy.typing import NDArray

from hfcls.errors import HfclsError
from hfcls.system.quoting import quoted

logger = logging.getLogger(__name__)

WHOLE = re.compile(r"[-+]?\d+(\.0*)?")
AROUND = re.compile(r"^[\s\u200b-\u200d\u2060\ufeff]+|[\s\u200b-\u200d\u2060\ufeff]+$")  # also blanks without width
ITEM = r"""(?:'[^'\\]*'|"[^"\\]*"|-?\d+)"""
LIST = re.compile(rf"\[\s*(?:{ITEM}(?:[\s,]+{ITEM})*)?\s*\]")  # by Python, JSON or numpy, which has no commas
SHOWN_ROWS = 5
ROW = "hfcls: row"  # column of the rows that are left where others are left out: their numbers from 1, before that


def class_names(rows: Dataset, where: str, column: str, names: Collection[str | None]) -> list[str]:
    """Names of the classes in the order of their ids: as the data declares them, else sorted (numbers by value).

    Args:
        names: that the values of the column stand for.
    """
    feature = rows.features[column]
    if isinstance(feature, ClassLabel):
        return list(feature.names)
    known = {name for name in names if name is not None}
    if len(known) < 2:
        raise HfclsError(
            f"{where}: column {column!r} holds one class only ({', '.join(known) or 'none'}); "
            "a classifier needs at least two"
        )
    numeric = all(name.removeprefix("-").isdecimal() and len(name) < 20 for name in known)
    return sorted(known, key=lambda name: (int(name), name)) if numeric else sorted(known)


def value_names(rows: Dataset, where: str, column: str) -> dict[Any, str | None]:
    """The name of the class that each value in the label column stands for; None: of no class.

    A column that declares its classes holds their ids, in an order of its own. Else a name is the value's text in
    Unicode NFC without blanks around it; the log says where that made one class of several spellings.

    Raises:
        HfclsError: the column is of a type that names no classes; says `where`.
    """
    feature = rows.features[column]
    if isinstance(feature, ClassLabel):
        names = dict(enumerate(feature.names))
        return {value: names.get(value) for value in rows.unique(column)}
    kind = str(getattr(feature, "dtype", type(feature).__name__))
    kind = "values of several types" if isinstance(feature, Json) else kind
    if not kind.startswith(("string", "large_string", "int", "uint", "float", "bool", "null")):
        raise HfclsError(
            f"{where}: column {column!r} holds {kind}, not class labels: write them as whole numbers or text, one in "
            "each row"
        )
    named = {value: name_of(value) for value in rows.unique(column)}  # which Arrow cannot tell of lists and JSON
    if odd := [str(value) for value, name in named.items() if name is not None and str(value) != name]:
        logger.info("%s: labels are read in Unicode NFC, without blanks around them: %s", where, quoted(odd))
    return named


def name_of(value: Any) -> str | None:
    """The name of the class that a value stands for: its text, in NFC without blanks around it; None of no class."""
    return None if is_nothing(value) else AROUND.sub("", unicodedata.normalize("NFC", str(value)))


def is_nothing(value: Any) -> bool:
    """Whether it is no label: null, NaN, or a text of blanks alone."""
    return value is None or value != value or (isinstance(value, str) and not AROUND.sub("", value))


def cut_labels(text: str, separator: str) -> list[str]:
    """The labels in a text: what stands between the separators, or in a list that a program wrote as text."""
    if LIST.fullmatch(text.strip()):
        return [found.strip("'\"") for found in re.findall(ITEM, text)]
    return text.split(separator)


def same_classes(names: Iterable[str | None]) -> dict[str, str]:
    """One spelling for each class of all splits: 1 and 1.0 are one number, TRUE and True one truth value."""
    present = {name for name in names if name is not None}
    if all(WHOLE.fullmatch(name) for name in present):
        return {name: name.removeprefix("+").split(".")[0] for name in present}
    if {name.casefold() for name in present} <= {"true", "false"}:
        return {name: name.capitalize() for name in present}
    return {name: name for name in present}


def known_name(name: str, known: Collection[str]) -> str:
    """The model's name for a class: the same, or another spelling of one number or truth value."""
    if name in known:
        return name
    spelling = same_classes([name, *known])
    return next((other for other in known if spelling[other] == spelling[name]), name)


def plain_labels(rows: Dataset, column: str) -> Dataset:
    """Lists of one label as the label, and whole numbers that are written as floats as integers; else the rows as is.

    A missing value makes floats of a column of integers, in pandas and so in parquet.
    """
    kind = rows.features[column]
    if getattr(kind, "dtype", "").startswith("float"):
        single, plain = _is_whole, Value("int64")
    elif not isinstance(kind, Value | ClassLabel):
        inner = getattr(kind, "feature", None)
        single, plain = _is_single, inner if isinstance(inner, ClassLabel) else Value("string")
    else:
        return rows
    try:
        if not all(all(map(single, batch[column])) for batch in rows.select_columns(column).iter(1_000)):
            return rows
    except ValueError:  # datasets decodes JSON with ujson, which has no integers above 64 bits
        return rows
    features = rows.features.copy()
    features[column] = plain
    # `version` enters datasets' fingerprint, which hashes this function by name only: raise it with each change.
    arguments = {"column": column, "version": 2, "declared": isinstance(plain, ClassLabel)}
    return rows.map(_plain_batch, batched=True, features=features, fn_kwargs=arguments, desc="labels")


def _is_whole(value: float | None) -> bool:
    return value is None or value != value or (value % 1 == 0 and abs(value) < 2**53)


def _is_single(value: Any) -> bool:
    return value is None or (isinstance(value, list) and len(value) < 2)


def _plain_batch(batch: dict[str, list[Any]], *, column: str, version: int, declared: bool) -> dict[str, list[Any]]:
    if declared:  # ids, which keep their names
        return {column: [value[0] if value else None for value in batch[column]]}
    return {column: [_plain(value) for value in batch[column]]}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return str(value[0]) if value and value[0] is not None else None
    return None if value is None or value != value else int(value)


# Rows without a label


def labelled_splits(
    raw: DatasetDict, name: str, column: str, values: Mapping[str, Mapping[Any, str | None]], drop: bool
) -> DatasetDict:
    """The rows with a label; raises HfclsError if there is none, or if others are there and not to be dropped.

    Args:
        values: of each split, as `value_names` gives them; of a split that is not there, null alone is no label.
    """
    missing = {split: _without_label(rows, column, values.get(split)) for split, rows in raw.items()}
    told = [_missing_labels(f"{name} ({split})", raw[split], rows, column) for split, rows in missing.items() if rows]
    if told and not drop:
        raise HfclsError(f"{'; '.join(told)}: --drop_unlabelled leaves them out")
    if empty := [split for split, rows in missing.items() if rows and len(rows) == len(raw[split])]:
        raise HfclsError(f"{name} ({empty[0]}): no row has a label in column {column!r}: set --label_column")
    for line in told:
        logger.warning("%s: left out", line)
    return DatasetDict(
        {split: _without_rows(rows, missing[split]) if missing[split] else rows for split, rows in raw.items()}
    )


def _missing_labels(where: str, rows: Dataset, missing: list[int], column: str) -> str:
    places = ", ".join(str(row + 1) for row in missing[:SHOWN_ROWS]) + (", ..." if len(missing) > SHOWN_ROWS else "")
    verb, word = ("has", "row") if len(missing) == 1 else ("have", "rows")
    return f"{where}: {len(missing):,} of {len(rows):,} rows {verb} no label in column {column!r}, {word} {places}"


def _without_label(rows: Dataset, column: str, names: Mapping[Any, str | None] | None) -> list[int]:
    """Indices of the rows whose label has no name; without `names`, of those whose label is null."""
    if names is not None and None not in names.values():
        return []
    values = rows.select_columns(column).with_format("arrow")[:][column]
    if names is None:
        return np.flatnonzero(values.is_null().to_numpy()).tolist()
    labels = values.to_pylist()
    return [i for i, label in enumerate(labels) if names.get(label) is None]


def rows_with_label(rows: Dataset, where: str, column: str) -> NDArray[np.int64]:
    """Indices of the rows that `drop_unlabelled` leaves, of a column with one class in each row."""
    rows = plain_labels(rows, column)
    return np.setdiff1d(np.arange(len(rows)), _without_label(rows, column, value_names(rows, where, column)))


def labelled(rows: Dataset, where: str, column: str, names: Mapping[Any, str | None] | None) -> Dataset:
    """The rows whose label has a name; without `names`, those whose label is not null."""
    missing = _without_label(rows, column, names)
    if len(missing) == len(rows):
        raise HfclsError(f"{where}: no row has a label in column {column!r}, so nothing can be scored")
    if missing:
        logger.warning("%s: not scored", _missing_labels(where, rows, missing, column))
        return _without_rows(rows, missing)
    return rows


def _without_rows(rows: Dataset, missing: list[int]) -> Dataset:
    """The rows but for these; the others keep their numbers, by which messages name them."""
    numbers = np.arange(1, len(rows) + 1)
    return rows.add_column(ROW, numbers).select(np.setdiff1d(numbers - 1, missing))
