"""Which columns of a table are meant: by name, by a path into nested values, or by a name that is usual for them."""

import difflib
import logging
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from datasets import Dataset, Features

from hfcls.data.formats.json_tables import Seen
from hfcls.errors import HfclsError
from hfcls.system.quoting import different_names, quoted

logger = logging.getLogger(__name__)

# Option -> its default, then other names that people give such a column.
USUAL = {
    "text_column": (
        "text", "document", "sentence", "review", "comment", "comments", "content",
        "문장", "텍스트", "리뷰", "댓글", "내용",
    ),
    "label_column": (
        "label", "labels", "class", "category", "target", "sentiment",
        "라벨", "레이블", "분류", "감정",
    ),
}  # fmt: skip


def with_columns(
    rows: Dataset,
    where: str,
    wanted: Mapping[str, str],
    *,
    no_header: bool | None = None,
    labels: Collection[str] = (),
) -> Dataset:
    """The wanted columns alone, called as they were asked for.

    Args:
        where: what to call the table in messages.
        wanted: option, such as text_column -> the name that was given for it, or a path such as `annotation.label`.
        no_header: whether the columns are called by their position, 1, 2, ...; None: they have names in any case.
        labels: of the model; beside a text, a column without a name that holds these alone is not the text.

    Raises:
        HfclsError: no such column, several of that name, or one column for two options.
    """
    if no_header and (found := _by_content(rows, wanted, labels)):
        logger.info("%s: %s", where, ", ".join(f"{option} is {name!r}" for option, name in found.items()))
        chosen = found
    else:
        hint = "; if that is a row and no header, set --no_header" if no_header is False else ""
        chosen = {option: chosen_column(rows, where, option, name, hint) for option, name in wanted.items()}
    for option in wanted:
        if chosen[option] not in rows.column_names:
            rows = _with_nested(rows, where, chosen[option], option)
        elif len(others := [o for o in wanted if chosen[o] == chosen[option]]) > 1:
            raise HfclsError(f"{where}: column {chosen[option]!r} is taken for {' and '.join(others)}: set --{option}")
    rows = rows.select_columns([chosen[option] for option in wanted])
    names = {chosen[option]: name for option, name in wanted.items() if chosen[option] != name}
    return rows.rename_columns(names) if names else rows


def chosen_column(rows: Dataset, where: str, option: str, name: str, hint: str = "") -> str:
    """The column that `name` means; names are the same if they are so in NFC, with any blanks as one blank."""
    columns = rows.column_names
    if name in columns:
        return name
    if f"{name} (1)" in columns and f"{name} (2)" in columns:
        raise HfclsError(
            f"{where} has several columns {name!r}: --{option} chooses one by its place, {name + ' (1)'!r} or "
            f"{name + ' (2)'!r}"
        )
    if same := [column for column in columns if _folded(column) == _folded(name)]:
        if len(same) > 1:
            raise HfclsError(
                f"{where} has several columns like {name!r}: {quoted(same)}: set --{option} to one of them"
            )
        return same[0]
    if "." in name and any(_folded(name).startswith(f"{_folded(column)}.") for column in columns):
        return name
    usual = USUAL.get(option, ())
    found = [column for column in columns if _folded(column).casefold() in usual] if name in usual[:1] else []
    if len(found) == 1:
        logger.info("%s has no column %r: %r is taken for it; --%s chooses another", where, name, found[0], option)
        return found[0]
    raise HfclsError(
        f"{where} has no column {name!r}; it has {quoted(columns)}: {_suggestion(name, columns, found)}"
        f"set --{option}{hint}{_of_several_labels(rows) if option == 'label_column' else ''}"
    )


def reached(rows: Dataset, where: str, option: str, names: Iterable[str]) -> tuple[Dataset, list[str]]:
    """The rows with a column for each path among `names`, and what the columns are called."""
    columns = [chosen_column(rows, where, option, name) for name in names]
    for column in columns:
        if column not in rows.column_names:
            rows = _with_nested(rows, where, column, option)
    return rows, columns


def _of_several_labels(rows: Dataset) -> str:
    """The hint that columns of 0 and 1 may be the labels."""
    first = rows.select(range(min(len(rows), 1_000))).to_dict()
    flags = [name for name, values in first.items() if set(map(str, values)) <= {"0", "1"}]
    return f"; {quoted(flags)} hold 0 and 1: --label_columns takes such columns, one a label" if len(flags) > 1 else ""


def likely_columns(columns: Collection[str], option: str, name: str) -> list[str]:
    """The columns that `chosen_column` would take or ask about, without a word; [] if there is none."""
    if name in columns:
        return [name]
    if numbered := [column for column in columns if column in (f"{name} (1)", f"{name} (2)")]:
        return numbered
    if same := [column for column in columns if _folded(column) == _folded(name)]:
        return same
    if "." in name and any(_folded(name).startswith(f"{_folded(column)}.") for column in columns):
        return [name]
    usual = USUAL.get(option, ())
    return [column for column in columns if _folded(column).casefold() in usual] if name in usual[:1] else []


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).lstrip("\ufeff").split())


def _suggestion(name: str, columns: Collection[str], found: Collection[str]) -> str:
    likely = found or difflib.get_close_matches(name, list(columns), n=1, cutoff=0.7)
    return f"did you mean {quoted(likely, ' or ')}? " if likely else ""


def _by_content(rows: Dataset, wanted: Mapping[str, str], labels: Collection[str]) -> dict[str, str]:
    """Of two columns without names, the one with fewer different values is the label; {} if that is not told so.

    Where texts alone are wanted, one column is the text, and of two the one beside a column of `labels`.
    """
    defaults = {option: usual[0] for option, usual in USUAL.items()}
    sample = rows.select(range(min(len(rows), 10_000)))
    if dict(wanted) == {"text_column": defaults["text_column"]} and len(rows.column_names) <= 2:
        texts = [name for name in rows.column_names if not set(sample[name]) <= set(labels)] or rows.column_names
        return {"text_column": texts[0]} if len(texts) == 1 else {}
    if dict(wanted) != defaults or len(rows.column_names) != 2:
        return {}
    first, second = rows.column_names
    counts = {name: len(set(sample[name])) for name in (first, second)}
    if counts[first] == counts[second]:
        return {}
    label = min(counts, key=counts.__getitem__)
    return {"text_column": second if label == first else first, "label_column": label}


def text_columns(text_column: str) -> list[str]:
    """The names in a `text_column`, between commas; one that holds a comma stands in double quotes."""
    if text_column.strip() and "," not in text_column and not text_column.startswith('"'):
        return [text_column]
    if names := different_names(text_column):
        return names
    raise HfclsError(f"text_column must name different columns between commas, found {text_column!r}")


def wanted_columns(text_column: str, text_pair_column: str | None, label_column: str) -> dict[str, str]:
    """Option -> the name given for it."""
    wanted = {"text_column": text_column, "text_pair_column": text_pair_column or "", "label_column": label_column}
    wanted = {option: name for option, name in wanted.items() if name}
    *texts, label = [*text_columns(text_column), *list(wanted.values())[1:]]
    if len(set(wanted.values())) < len(wanted) or label in texts:
        raise HfclsError(
            f"text_column, text_pair_column and label_column must be different columns, found {', '.join(texts)} and "
            f"{label}"
        )
    if text_pair_column and len(text_columns(text_column)) > 1:
        raise HfclsError(f"text_column names several columns, {text_column}: drop text_pair_column, or add it to them")
    return wanted


LABELS = ("label_column", "label_columns", "label_separator")


def remembered_columns(given: Mapping[str, str | None], known: Mapping[str, str | None]) -> dict[str, str | None]:
    """Each option as it is given, else as the model was fine-tuned with, else a column as it is usually called.

    Whoever says where the labels stand is not met with another of the ways to say it; a separator alone does not say
    where.
    """
    if said := [option for option in LABELS if given.get(option)]:
        kept = LABELS[:1] if said == ["label_separator"] else ()
        known = {option: name for option, name in known.items() if option not in LABELS or option in kept}
    return {option: name or known.get(option) or USUAL.get(option, (None,))[0] for option, name in given.items()}


# Paths into nested values


def _with_nested(rows: Dataset, where: str, path: str, option: str) -> Dataset:
    """The rows with one more column, called `path`: what stands there, null where nothing does."""
    column, steps = _steps(rows, path)
    seen, inner = Seen(), dict.fromkeys("")
    for batch in rows.select_columns(column).iter(1_000):
        for value in batch[column]:
            seen.note([_follow(value, steps)])
            inner |= dict.fromkeys(value if isinstance(value, dict) else ())
    if not seen.kinds:
        raise HfclsError(
            f"{where}: nothing stands at {path!r}; {column!r} holds {quoted(inner) or 'no objects'}: set --{option}"
        )
    features = Features({**rows.features, path: seen.feature()})
    # `version` enters datasets' fingerprint, which hashes this function by name only: raise it with each change.
    arguments = {"column": column, "steps": steps, "path": path, "version": 1}
    return rows.map(_follow_batch, batched=True, features=features, fn_kwargs=arguments, desc=path)


def _steps(rows: Dataset, path: str) -> tuple[str, list[str]]:
    """The column in which a path begins, and the steps from there."""
    column = max((c for c in rows.column_names if _folded(path).startswith(f"{_folded(c)}.")), key=len)
    return column, _folded(path)[len(_folded(column)) + 1 :].split(".")


def column_values(rows: Dataset, path: str) -> Iterator[Any]:
    """What stands in a column, or at the end of a path, in each row."""
    column, steps = (path, []) if path in rows.column_names else _steps(rows, path)
    for batch in rows.select_columns(column).iter(1_000):
        yield from (_follow(value, steps) for value in batch[column])


def _follow_batch(
    batch: dict[str, list[Any]], *, column: str, steps: list[str], path: str, version: int
) -> dict[str, list[Any]]:
    return {path: [_follow(value, steps) for value in batch[column]]}


def _follow(value: Any, steps: list[str]) -> Any:
    """What stands at the end of these steps: names of an object, numbers of a list; None if there is nothing."""
    for i, step in enumerate(steps):
        if isinstance(value, dict):
            if (whole := ".".join(steps[i:])) in value:  # a name that holds a dot
                return value[whole]
            value = value.get(step)
        elif isinstance(value, list) and step.lstrip("-").isdecimal() and -len(value) <= int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value
