"""Which classes a corpus has, and the class id of each row."""

from datasets import ClassLabel, DatasetDict

from hfcls.errors import HfclsError


def class_names(raw: DatasetDict, dataset: str, column: str) -> list[str]:
    """Names of the classes in the order of their ids: as the data declares them, else sorted (numbers by value)."""
    split = "train" if "train" in raw else next(iter(raw))
    feature = raw[split].features[column]
    if isinstance(feature, ClassLabel):
        return list(feature.names)
    kind = getattr(feature, "dtype", type(feature).__name__)
    if not str(kind).startswith(("string", "large_string", "int", "uint", "bool")):
        raise HfclsError(
            f"{dataset} ({split}): column {column!r} holds {kind}, not class labels: write them as whole numbers or "
            "text, one in each row"
        )
    values = [str(value) for value in raw[split].unique(column) if value not in (None, "")]
    if len(values) < 2:
        raise HfclsError(
            f"{dataset} ({split}): column {column!r} holds one class only ({', '.join(values) or 'none'}); "
            "a classifier needs at least two"
        )
    numeric = all(value.removeprefix("-").isdecimal() and len(value) < 20 for value in values)
    return sorted(values, key=int) if numeric else sorted(values)
