"""A test split whose labels are kept secret, as Dacon and Kaggle give it: it is predicted, not scored."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from hfcls.data.columns import column_values, likely_columns, text_columns
from hfcls.data.labels import is_nothing
from hfcls.data.splits import texts_sha256
from hfcls.data.targets.lists import column_list
from hfcls.errors import HfclsError
from hfcls.system.quoting import quoted

PLACEHOLDERS = (-1, "-1", "-1.0")  # as datasets of the Hub write what nobody shall know


@dataclass(frozen=True)
class Unlabelled:
    """Rows to predict, in their order.

    Attributes:
        rows: with all their columns.
        texts: of the same rows, `text` and for pairs `text_pair`; a null text is an empty one.
        columns: of the table to hand in, in its order.
        answers: those of them that hold what the model says: one, or one for each of several labels.
        separator: between the labels of a text that has several in one column.
    """

    rows: Dataset
    texts: Dataset
    columns: list[str]
    answers: list[str]
    separator: str = ","

    @property
    def sha256(self) -> str:
        return texts_sha256(self.texts)


def lacks_labels(raw: Mapping[str, Dataset], label_column: str, label_columns: str | None) -> bool:
    """Whether a test split beside train has no label: no such column, or only blanks and -1 in it.

    A column that train holds too, but not as its label, is no label of test either. -1 is one where train has it.
    """
    if not ("train" in raw and "test" in raw and len(raw["test"])):
        return False
    places = label_places(raw, label_column, label_columns)
    if not places:
        return False
    if any(column is None for _, column in places):
        return all(column is None for _, column in places)
    return all(_is_secret(raw["train"], known, raw["test"], str(column)) for known, column in places)


def label_places(
    raw: Mapping[str, Dataset], label_column: str, label_columns: str | None
) -> list[tuple[str, str | None]]:
    """For each label column its name in train, and in test if it is there; [] if that is not told from the names."""
    known_names, test_names, places = raw["train"].column_names, raw["test"].column_names, []
    for name in column_list(label_columns) if label_columns else [label_column]:
        option = "label_columns" if label_columns else "label_column"
        known, found = (likely_columns(names, option, name) for names in (known_names, test_names))
        found = [column for column in found if column in known or column not in known_names]
        if len(known) != 1 or len(found) > 1:
            return []
        places.append((known[0], found[0] if found else None))
    return places


def _is_secret(train: Dataset, known: str, test: Dataset, column: str) -> bool:
    try:
        hidden = False
        for value in _scalars(test, column):
            if value in PLACEHOLDERS:
                hidden = True
            elif not is_nothing(value):
                return False
        return not (hidden and any(value in PLACEHOLDERS for value in _scalars(train, known)))
    except ValueError:  # datasets decodes JSON with ujson, which has no integers above 64 bits
        return False


def _scalars(rows: Dataset, column: str) -> Iterator[Any]:
    for value in column_values(rows, column):
        yield from value if isinstance(value, list) else [value]


def unlabelled(
    rows: Dataset,
    where: str,
    texts: Dataset,
    places: list[tuple[str, str | None]],
    label_separator: str | None,
    output_columns: str | None,
) -> Unlabelled:
    """What is to be handed in for these rows, which `lacks_labels`.

    Args:
        texts: of the rows, in columns that are called as they were asked for.
        places: see `label_places`.
        output_columns: names between commas; None: all columns but those of texts and labels.

    Raises:
        HfclsError: no such column.
    """
    answers = [known.strip() for known, _ in places]
    asked = zip(("text_column", "text_pair_column"), texts.column_names, strict=False)
    used = {column for option, name in asked for column in likely_columns(rows.column_names, option, name)}
    used |= {column for place in places for column in place if column}
    used |= {column for name in texts.column_names for column in text_columns(name)}  # that were joined
    used |= {place.split(".")[0] for place in used if place not in rows.column_names}  # a path begins there
    chosen = [name for name in rows.column_names if name not in used]
    if output_columns:
        chosen = [name.strip() for name in output_columns.split(",")]
        if missing := [name for name in chosen if name not in (*rows.column_names, *answers)]:
            raise HfclsError(
                f"{where} has no column {quoted(missing)}; it has {quoted(rows.column_names)}: set --output_columns"
            )
    table = texts.with_format("arrow")[:]
    named = {
        name: pc.fill_null(table[column].cast(pa.string()), "")
        for name, column in zip(("text", "text_pair"), texts.column_names, strict=False)
    }
    return Unlabelled(
        rows, Dataset(pa.table(named)), list(dict.fromkeys([*chosen, *answers])), answers, label_separator or ","
    )
