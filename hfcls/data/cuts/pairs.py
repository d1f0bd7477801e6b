"""The tokens of pairs of long texts."""

from collections.abc import Callable, Sequence
from typing import Any

LONG_PART = 4  # characters, for each token of `max_length`
FRAME = 100  # characters, of which a text should have a token

Cut = tuple[list[int], list[int]]


def cut_pairs(pairs: Sequence[Any], read: Callable[..., Sequence[Any]], max_length: int, side: str) -> dict[int, Cut]:
    """Token ids and types of those pairs whose texts are both long, by their index: the same as of all others.

    Given a pair, tokenizers joins each piece that it cuts off one text with each of the other's: two texts of 3,000
    characters took 20 MB, and two of 100,000 more than a machine has.

    Args:
        read: gives tokenizers' encodings of texts, or of firsts and seconds, cut at `max_length`; with special tokens,
            unless its third argument says otherwise.
        side: which is cut off, left or right.
    """
    found = {}
    for i, pair in enumerate(pairs):
        if isinstance(pair, str) or min(map(len, pair)) <= LONG_PART * max_length:
            continue
        frame = read(*[[part.lstrip()[:FRAME]] for part in pair])[0]
        first, second = read([*pair], None, False)
        if cut := _cut(first, second, frame, max_length, side):
            found[i] = cut
    return found


def _cut(first: Any, second: Any, frame: Any, max_length: int, side: str) -> Cut | None:
    """The tokens of two texts in place of those of the frame: of the longer one as many as the other leaves room for,
    at least half. None: one of them has no token."""
    counts = [len(part.ids) + sum(len(rest.ids) for rest in part.overflowing) for part in (first, second)]
    places = frame.sequence_ids
    if not all(counts) or not {0, 1} <= set(places):
        return None
    room, fewer = max_length - places.count(None), counts[0] > counts[1]
    least = min(counts[fewer], room // 2)
    ids, types = [], []
    for i, place in enumerate(places):
        tokens = [frame.ids[i]]
        if place is not None:
            if i > places.index(place):
                continue
            tokens, kept = (first, second)[place].ids, least if place == fewer else room - least
            tokens = tokens[max(len(tokens) - kept, 0) :] if side == "left" else tokens[:kept]
        ids += tokens
        types += [frame.type_ids[i]] * len(tokens)
    return ids, types
