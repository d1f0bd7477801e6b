"""Columns of several labels as lists of their names, whatever they look like in the file."""

from typing import Any

from datasets import ClassLabel, Dataset, Features, List, Value, concatenate_datasets

from hfcls.data.columns import reached
from hfcls.data.labels import cut_labels, is_nothing, name_of
from hfcls.errors import HfclsError
from hfcls.system.quoting import different_names


def column_list(label_columns: str) -> list[str]:
    """The names in `label_columns`; raises HfclsError unless there are several different ones."""
    names = different_names(label_columns)
    if len(names) < 2:
        raise HfclsError(
            f"label_columns must name several different columns, such as 배송,품질,가격, found {label_columns!r}"
        )
    return names


def with_joined_columns(rows: Dataset, where: str, label_columns: str) -> Dataset:
    """The rows with one more column, called `label_columns`: the names of those columns that hold 1, in a list.

    Raises:
        HfclsError: no such column, or one holds something else than 0 and 1; names column, row and value.
    """
    names = column_list(label_columns)
    found, columns = reached(rows, where, "label_columns", names)
    joined = found.select_columns(columns).map(
        _join_batch,
        batched=True,
        with_indices=True,
        remove_columns=columns,
        features=_features(label_columns, List(Value("string"))),
        # `version` enters datasets' fingerprint, which hashes this function by name only: raise it with each change.
        fn_kwargs={"columns": columns, "names": names, "joined": label_columns, "where": where, "version": 2},
        desc="labels",
    )
    return concatenate_datasets([rows, joined], axis=1)


def _features(column: str, feature: Any) -> Any:
    return Features({column: feature})


def _join_batch(
    batch: dict[str, list[Any]],
    indices: list[int],
    *,
    columns: list[str],
    names: list[str],
    joined: str,
    where: str,
    version: int,
) -> dict[str, list[Any]]:
    lists: list[list[str] | None] = []
    for i, values in zip(indices, zip(*(batch[column] for column in columns), strict=True), strict=True):
        flags = [_flag(value) for value in values]
        for column, value, flag in zip(columns, values, flags, strict=True):
            if flag is None and not is_nothing(value):
                raise HfclsError(
                    f"{where}, row {i + 1}: column {column!r} of label_columns holds {value!r:.80}, not 0 or 1"
                )
        known = None not in flags
        lists.append([name for name, flag in zip(names, flags, strict=True) if flag] if known else None)
    return {joined: lists}


def _flag(value: Any) -> bool | None:
    if isinstance(value, str):
        value = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}.get(value.strip().casefold())
    return bool(value) if value in (0, 1) else None


def holds_several(rows: Dataset, column: str) -> bool:
    """Whether a row has a list of more than one label."""
    if isinstance(rows.features[column], Value | ClassLabel):
        return False
    try:
        batches = rows.select_columns(column).iter(1_000)
        return any(isinstance(value, list) and len(value) > 1 for batch in batches for value in batch[column])
    except ValueError:  # datasets decodes JSON with ujson, which has no integers above 64 bits
        return False


def declared_names(rows: Dataset, column: str) -> list[str] | None:
    """The names of the classes that a column of ids, or of lists of ids, declares."""
    feature = rows.features[column]
    inner = feature.feature if isinstance(feature, List) else feature
    return list(inner.names) if isinstance(inner, ClassLabel) else None


def as_label_lists(rows: Dataset, where: str, column: str, separator: str | None) -> Dataset:
    """The label column as lists of names, in Unicode NFC without blanks around them; null where there is no label.

    A text is cut at `separator`, see `cut_labels`; without one, any other value is a list of one.

    Raises:
        HfclsError: a list holds something else than texts and whole numbers; names the row.
    """
    features = rows.features.copy()
    features[column] = List(Value("string"))
    return rows.map(
        _list_batch,
        batched=True,
        with_indices=True,
        features=features,
        fn_kwargs={
            "column": column,
            "separator": separator,
            "where": where,
            "declared": declared_names(rows, column),
            "version": 4,
        },
        desc="labels",
    )


def _list_batch(
    batch: dict[str, list[Any]],
    indices: list[int],
    *,
    column: str,
    separator: str | None,
    where: str,
    declared: list[str] | None,
    version: int,
) -> dict[str, list[Any]]:
    lists: list[list[str] | None] = []
    for i, value in zip(indices, batch[column], strict=True):
        if is_nothing(value) or (declared is not None and value in (-1, [-1])):
            lists.append(None)
            continue
        if isinstance(value, str):
            value = cut_labels(value, separator) if separator else [value]
        values = value if isinstance(value, list) else [value]
        if odd := [v for v in values if not _is_label(v, declared)]:
            raise HfclsError(
                f"{where}, row {i + 1}: column {column!r} holds {odd[0]!r:.80} in a list of labels, where a text or a "
                "whole number is needed"
            )
        if declared is None and _is_multi_hot(values):
            raise HfclsError(
                f"{where}, row {i + 1}: column {column!r} holds {values!r:.80}, 0 and 1 for each label, where names of "
                "labels are needed: write these, or columns of 0 and 1 for --label_columns"
            )
        found = (declared[v] if declared is not None else name_of(v) for v in values)
        lists.append(list(dict.fromkeys(name for name in found if name)))
    return {column: lists}


def names_in(rows: Dataset, column: str) -> set[str]:
    """All labels of a column of `as_label_lists`."""
    return set(rows.with_format("arrow")[:][column].combine_chunks().flatten().unique().to_pylist())


def _is_label(value: Any, declared: list[str] | None) -> bool:
    """Whether it may name a label; where the labels are declared, their ids do."""
    if declared is None:
        return isinstance(value, str | int)
    return isinstance(value, int) and 0 <= value < len(declared)


def _is_multi_hot(values: list[Any]) -> bool:
    """Whether a list seems to say of each label whether it is given: 0 and 1 alone, and one of them more than once."""
    return len(set(values)) < len(values) and {str(int(v)) if isinstance(v, int) else v for v in values} <= {"0", "1"}
