"""The beginning of a very long text."""

from collections.abc import Callable, Sequence

from hfcls.config.options import MOST_WINDOWS

LONG_TEXT = 1 << 16  # characters: what is shorter is read whole


def beginning(text: str, read: Callable[[str], Sequence[list[int]]], most: int) -> str:
    """A text, or of a very long one so many words that twice as many are read as the same tokens, `most` or more.

    A tokenizer reads what it cuts off as well, for seconds and gigabytes where a line has 40 million characters.

    Args:
        read: gives the tokens of a text, cut at its end, or of each of its windows.
    """
    size, before = LONG_TEXT, None
    while size < len(text):
        end = max(text.rfind(" ", size // 2, size), 0) or size
        ids = read(text[:end])[:MOST_WINDOWS]
        if ids == before and sum(map(len, ids)) >= most:
            return text[:end]
        size, before = 2 * size, ids
    return text
