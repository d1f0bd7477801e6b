"""How many rows are right among texts of one kind: short ones, those with ㅋㅋ, those with unknown tokens."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hfcls.scoring.intervals import Estimate, wilson

CHATTER = re.compile("[\u3131-\u318e]{2,}|[\u2600-\u27bf\U0001f000-\U0001faff]")  # ㅋㅋ, ㅠㅠ; pictures and emoji
ORDINARY = frozenset(".,!?~…'\"()-:·“”‘’")


@dataclass(frozen=True)
class Slice:
    """Rows whose texts are of one kind.

    Attributes:
        name: short, medium or long (thirds of the rows by length), chatter, symbols or unknown.
        num_rows: of this kind.
        accuracy: of them.
        low: shortest text of a third, in characters; of other kinds None.
        high: longest text of a third.
    """

    name: str
    num_rows: int
    accuracy: Estimate
    low: int | None = None
    high: int | None = None


def slices(
    texts: Sequence[str], right: NDArray[np.bool_], unknown: NDArray[np.bool_] | None = None, between: int = 0
) -> list[Slice]:
    """The kinds that some rows are of, but not all.

    Args:
        texts: N of them.
        right: whether each row was predicted right [N].
        unknown: whether each text has a token that the tokenizer does not know [N]; None: that was not looked at.
        between: characters of each text that are not its own, but stand between the two of a pair.
    """
    lengths = np.array([len(text) for text in texts]) - between
    thirds = np.searchsorted(np.quantile(lengths, [1 / 3, 2 / 3], method="inverted_cdf"), lengths)
    kinds = {name: thirds == i for i, name in enumerate(("short", "medium", "long"))}
    kinds["chatter"] = np.array([CHATTER.search(text) is not None for text in texts])
    kinds["symbols"] = np.array([any(map(_is_symbol, text)) for text in texts])
    if unknown is not None:
        kinds["unknown"] = unknown
    ends: dict[str, Any] = {
        name: {"low": int(lengths[rows].min()), "high": int(lengths[rows].max())}
        for name, rows in list(kinds.items())[:3]
        if rows.any()
    }
    return [
        Slice(name, int(rows.sum()), wilson(int(right[rows].sum()), int(rows.sum())), **ends.get(name, {}))
        for name, rows in kinds.items()
        if 0 < rows.sum() < len(texts)
    ]


def _is_symbol(char: str) -> bool:
    """Whether it is a sign other than the usual punctuation; emoji are a kind of their own."""
    return char not in ORDINARY and unicodedata.category(char) in (
        "Pc",
        "Pd",
        "Pe",
        "Pf",
        "Pi",
        "Po",
        "Ps",
        "Sc",
        "Sk",
        "Sm",
    )
