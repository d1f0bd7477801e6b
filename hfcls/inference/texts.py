"""What may be classified: a text, a pair of texts, a list of one of these."""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np

from hfcls.errors import HfclsError

Text = str | tuple[str, str]  # a model of joined columns takes longer tuples, too


def as_batch(texts: Any) -> tuple[list[Any], bool]:
    """The texts as a list, and whether it was a single one.

    Raises:
        HfclsError: neither a text, a pair nor a list of them.
    """
    check_kind(texts)
    single = isinstance(texts, (str, tuple))
    return [texts] if single else list(texts), single


def check_texts(texts: Sequence[Text]) -> None:
    """Raises HfclsError, naming the index, if one is not a str (or pair of str), not of one kind, or not Unicode."""
    for index, text in enumerate(texts):
        parts = text if isinstance(text, tuple) and len(text) > 1 else (text,)
        if not all(isinstance(part, str) for part in parts):
            raise HfclsError(f"text {index} is not a text (or pair of texts) but {type(text).__name__}: {text!r:.80}")
        if isinstance(text, str) != isinstance(texts[0], str):
            found, first = ("a text", "a pair") if isinstance(text, str) else ("a pair", "a text")
            raise HfclsError(f"text {index} is {found}, but text 0 is {first}: give all of one kind")
        for part in parts:
            try:
                part.encode()
            except UnicodeEncodeError as error:
                raise HfclsError(
                    f"text {index} has half a character (U+{ord(part[error.start]):04X}) at {error.start}: it was "
                    "read with the wrong encoding; read it as UTF-8"
                ) from error


def check_numbers(logits: Any) -> None:
    """Raises HfclsError, naming the index, if a text is given logits that are no numbers: any class would seem best.

    Args:
        logits: an array [N, C].
    """
    for index in np.flatnonzero(~np.isfinite(logits).all(axis=1))[:1]:
        raise HfclsError(
            f"the model answers text {index} with {logits[index].tolist()!s:.80}, which is no answer: its weights are "
            "damaged, or too large for this precision"
        )


def as_fitted(texts: Sequence[Any], columns: Mapping[str, Any]) -> Sequence[Text]:
    """The texts as the model learned from them: those of several columns are joined as they were in training.

    Args:
        columns: of the training data, as the model remembers them.

    Raises:
        HfclsError: single texts for a model of pairs, or a tuple of another number of texts than it has columns.
    """
    names = columns.get("text_columns")
    for index, text in enumerate(texts):
        if isinstance(text, tuple) and len(text) != len(names or ("text", "text_pair")):
            if names:
                raise HfclsError(f"text {index} has {len(text)} parts: {_wanted_parts(columns)}")
            raise HfclsError(f"text {index} is not a text (or pair of texts) but {type(text).__name__}: {text!r:.80}")
    if names:
        return [columns["joint"].join(text) if isinstance(text, tuple) else text for text in texts]
    if columns.get("text_pair_column") and texts and isinstance(texts[0], str):
        raise HfclsError(
            f"the model was fine-tuned on pairs of texts (columns {columns['text_column']!r} and "
            f"{columns['text_pair_column']!r}), found single texts: give pairs"
        )
    return texts


def check_parts(texts: Sequence[Any], columns: Mapping[str, Any]) -> None:
    """Raises HfclsError for a single text where the model joins several, unless it is one that was joined before; and
    for a pair where it learned from single texts."""
    names, joint = columns.get("text_columns"), str(columns.get("joint")).strip()
    of_pairs = names or columns.get("text_pair_column") or not columns  # or it is not known
    for index, text in enumerate(texts):
        if isinstance(text, tuple) and not of_pairs:
            raise HfclsError(
                f"text {index} is a pair, and the model was fine-tuned on single texts (column "
                f"{columns.get('text_column')!r}): give single texts"
            )
        if names and isinstance(text, str) and text.count(joint) < len(names) - 1:
            raise HfclsError(f"text {index} is a single text: {_wanted_parts(columns)}")


def check_columns_of_file(where: str, texts: Sequence[Any], columns: Mapping[str, Any]) -> None:
    """`check_parts` of the texts of a file, whose error says which columns to name."""
    try:
        check_parts(texts, columns)
    except HfclsError as error:
        names = columns.get("text_columns")
        hint = f"; of a file: --text_column {','.join(names)}" if names else ""
        raise HfclsError(f"{where}: {error}{hint}") from error


def check_same_columns(model: str, columns: Mapping[str, Any], other: str, others: Mapping[str, Any]) -> None:
    """Raises HfclsError if two models, which are to be given the same texts, learned from other columns of a row."""
    read = ("text_column", "text_pair_column", "joint")
    if columns and others and any(columns.get(option) != others.get(option) for option in read):
        names, theirs = ([str(c.get(option)) for option in read[:2] if c.get(option)] for c in (columns, others))
        raise HfclsError(
            f"{other} was fine-tuned on {' and '.join(theirs)}, {model} on {' and '.join(names)}: evaluate each alone, "
            "or say with --text_column what both are to be given"
        )


def _wanted_parts(columns: Mapping[str, Any]) -> str:
    names, joint = columns["text_columns"], columns["joint"].strip()
    return (
        f"the model was fine-tuned on the columns {', '.join(map(repr, names))}: give tuples of {len(names)} texts, or "
        f"these with {joint} between them"
    )


def rounded(value: Any, *, unit: bool = False) -> Any:
    """An answer with the digits of its numbers that float32 holds.

    Args:
        unit: the numbers are of any size, those of a regression: nine significant digits. Of probabilities: six digits
            after the point.
    """
    if isinstance(value, float):
        return float(f"{value:.9g}") if unit else round(value, 6)
    if isinstance(value, dict):
        return {name: rounded(part, unit=unit) for name, part in value.items()}
    return [rounded(part, unit=unit) for part in value] if isinstance(value, list) else value


def check_kind(texts: Any) -> None:
    """Raises HfclsError for what is no text, pair or list of them; a table that is iterated gives its column names."""
    if isinstance(texts, Iterable) and not isinstance(texts, bytes | Mapping | Set) and not hasattr(texts, "columns"):
        return
    hint = ""
    if hasattr(texts, "columns"):
        hint = ": give one column of it, such as list(frame['text']), or two as list(zip(frame['a'], frame['b']))"
    elif isinstance(texts, Mapping):
        hint = ": give its texts in a list, list(texts.values())"
    elif isinstance(texts, Set):
        hint = ", which has no order: give a list"
    raise HfclsError(f"expected a text, a pair of texts or a list of them, found {type(texts).__name__}{hint}")
