"""Columns of numbers: the targets of a regression, and classes that look like such."""

import math
from collections.abc import Mapping
from typing import Any

from datasets import ClassLabel, Dataset, Value

from hfcls.data.labels import is_nothing
from hfcls.errors import HfclsError

# Of more classes that are numbers we ask whether they are targets: whole ones, and texts some of which have decimals.
MANY_NUMBERS, MANY_DECIMALS = 100, 5
# Of targets in float32, which has 7 digits: the least spread, beside the largest one and by itself.
RESOLUTION, SMALLEST = 1e-5, 1e-30


def as_numbers(rows: Dataset, where: str, column: str) -> Dataset:
    """The label column as float64; null where there is none.

    Raises:
        HfclsError: a value is no number; names the row.
    """
    if isinstance(kind := rows.features[column], ClassLabel):  # the numbers are its names, not its ids
        names = [None if i is None or i < 0 else kind.int2str(i) for i in rows[column]]
        rows = rows.remove_columns(column).add_column(column, names)
    features = rows.features.copy()
    features[column] = Value("float64")
    arguments = {"column": column, "where": where, "version": 2}
    return rows.map(
        _number_batch, batched=True, with_indices=True, features=features, fn_kwargs=arguments, desc="targets"
    )


def holds_numbers(rows: Dataset, column: str) -> bool:
    """Whether every text of a column is a number, as in a column of ids."""
    batches = rows.select_columns(column).iter(100)
    return all(_is_number(text) for batch in batches for text in batch[column])


def _is_number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True


def check_targets(rows: Dataset, where: str, column: str) -> None:
    """Raises HfclsError for targets that weights and outputs in float32 cannot tell apart, or that are all one."""
    values = rows.with_format("arrow")[column][:].to_numpy()
    low, high = values.min(), values.max()
    largest = max(abs(low), abs(high))
    if low == high:
        raise HfclsError(f"{where}: column {column!r} holds {low:.10g} in every row: there is nothing to learn")
    if not (largest < 1 / SMALLEST and high - low > SMALLEST and RESOLUTION * largest < values.std()):
        raise HfclsError(
            f"{where}: column {column!r} holds numbers from {low:.10g} to {high:.10g}, which float32 cannot tell "
            "apart: subtract a constant from them, or write them in another unit"
        )


def _number_batch(
    batch: dict[str, list[Any]], indices: list[int], *, column: str, where: str, version: int
) -> dict[str, list[Any]]:
    numbers = []
    for i, value in zip(indices, batch[column], strict=True):
        number = number_of(value)
        if number is not None and not math.isfinite(number):
            raise HfclsError(f"{where}, row {i + 1}: column {column!r} holds {value!r:.80}; a regression needs numbers")
        numbers.append(number)
    return {column: numbers}


def number_of(value: Any) -> float | None:
    """The number that a value is or says; None of no value, infinity of what is none."""
    if is_nothing(value):
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return math.inf
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return math.inf
    return None if number != number else number


def check_not_targets(names: Mapping[Any, str | None], where: str, column: str) -> None:
    """Raises HfclsError, as a question, if the classes of a column look like the targets of a regression.

    Args:
        names: the name of the class that each value stands for.
    """
    present = {name for name in names.values() if name is not None}
    numbers = [number_of(name) for name in present]
    if not present or any(number is None or not math.isfinite(number) for number in numbers):
        return
    decimals = sum(number % 1 != 0 for number in numbers if number is not None)
    written_so = any(isinstance(value, float) and value % 1 for value in names)  # not text, which may be a version
    if len(present) > MANY_NUMBERS or (decimals and (written_so or len(present) > MANY_DECIMALS)):
        what = f"{len(present):,} different numbers" + (f", {decimals:,} of them with decimals" if decimals else "")
        raise HfclsError(
            f"{where}: column {column!r} holds {what}: are they what a model shall predict as numbers? then add "
            "--task regression; if each is a class of its own, --task classification"
        )
