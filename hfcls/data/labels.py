"""Which classes a corpus has, and the class that each value of its label column stands for."""

from typing import Any

from datasets import ClassLabel, Dataset, DatasetDict

from hfcls.errors import HfclsError


def class_names(raw: DatasetDict, dataset: str, column: str) -> list[str]:
    """Names of the classes in the order of their ids: as the data declares them, else sorted (numbers by value)."""
    split = "train" if "train" in raw else next(iter(raw))
    feature = raw[split].features[column]
    if isinstance(feature, ClassLabel):
        return list(feature.names)
    names = {name for name in value_names(raw[split], f"{dataset} ({split})", column).values() if name is not None}
    if len(names) < 2:
        raise HfclsError(
            f"{dataset} ({split}): column {column!r} holds one class only ({', '.join(names) or 'none'}); "
            "a classifier needs at least two"
        )
    numeric = all(name.removeprefix("-").isdecimal() and len(name) < 20 for name in names)
    return sorted(names, key=int) if numeric else sorted(names)


def value_names(rows: Dataset, where: str, column: str) -> dict[Any, str | None]:
    """The name of the class that each value in the label column stands for; None: of no class.

    A column that declares its classes holds their ids, in an order of its own.

    Raises:
        HfclsError: the column is of a type that names no classes; says `where`.
    """
    feature = rows.features[column]
    if isinstance(feature, ClassLabel):
        names = dict(enumerate(feature.names))
        return {value: names.get(value) for value in rows.unique(column)}
    kind = str(getattr(feature, "dtype", type(feature).__name__))
    if not kind.startswith(("string", "large_string", "int", "uint", "bool")):
        raise HfclsError(
            f"{where}: column {column!r} holds {kind}, not class labels: write them as whole numbers or text, one in "
            "each row"
        )
    return {value: None if value in (None, "") else str(value) for value in rows.unique(column)}
