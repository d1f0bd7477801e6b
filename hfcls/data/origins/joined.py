"""Texts of several columns as one: joined by the separator of the tokenizer."""

from typing import Any

from datasets import Dataset, Features, Value, concatenate_datasets

from hfcls.data.columns import reached, text_columns
from hfcls.data.readers import text_problem
from hfcls.errors import HfclsError

JOINT = " [SEP] "  # where no tokenizer says otherwise


def with_joined_texts(rows: Dataset, where: str, text_column: str, joint: str = JOINT) -> Dataset:
    """The rows with one more column, called `text_column`, if that names several columns: their texts, joined.

    A text that is null is an empty one beside others; where all are null, so is the joined one.

    Raises:
        HfclsError: no such column, one that holds no text, or one whose name is `text_column` with its comma.
    """
    names = text_columns(text_column)
    if names == [text_column]:
        return rows
    if text_column in rows.column_names:
        raise HfclsError(
            f"{where} has a column {text_column!r}, and text_column names several between commas: for this one column "
            f"write it in double quotes, '\"{text_column}\"'"
        )
    found, columns = reached(rows, where, "text_column", names)
    for column in columns:
        if problem := text_problem(found, column):
            raise HfclsError(f"{where}: column {column!r} {problem}")
    joined = found.select_columns(list(dict.fromkeys(columns))).map(
        _join_batch,
        batched=True,
        remove_columns=list(dict.fromkeys(columns)),
        features=Features({text_column: Value("string")}),
        # `version` enters datasets' fingerprint, which hashes this function by name only: raise it with each change.
        fn_kwargs={"columns": columns, "joined": text_column, "joint": joint, "version": 1},
        desc="join texts",
    )
    return concatenate_datasets([rows, joined], axis=1)


def _join_batch(
    batch: dict[str, list[Any]], *, columns: list[str], joined: str, joint: str, version: int
) -> dict[str, list[Any]]:
    rows = zip(*(batch[column] for column in columns), strict=True)
    return {joined: [None if set(row) == {None} else joint.join(text or "" for text in row) for row in rows]}
