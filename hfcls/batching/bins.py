"""Which texts share a row: numbers only, no tensors."""

import math
from bisect import bisect_left, insort
from collections.abc import Sequence

# The CPU's matrix products and attention sum in lanes, of 16 floats with AVX-512: only in rows of a multiple of 16, and
# of at most 192 tokens, does a text's sum not depend on where it stands (torch 2.13; widths 16 to 384 tried, and
# products of 1 to 64 rows by 1 to 16 threads).
LANES = 16
# Training needs no bits that are exact to the last, and finer widths than `LANES` waste less: 6 % more tokens a second
# (KcBERT-base, 12 batches, 2 cores).
TRAINING_LANES = 8
# A token costs as much in attention to this many neighbours as in all linear layers (BERT-base, CPU, sdpa, inference:
# 1.28 ms a token in rows of 32, 1.35 of 64, 1.44 of 128, 1.49 of 160).
EVEN_WIDTH = 768
WIDEST_FREE_ROW = 192


def best_fit(lengths: Sequence[int], row_length: int) -> list[list[int]]:
    """Rows of indices into `lengths`, each row's lengths summing to at most `row_length`: best-fit decreasing.

    The longest text first, each into the fullest row that still takes it. Where first-fit decreasing happens to need
    fewer rows, its rows are returned instead. Both need at most 11/9 of the fewest possible rows, plus a constant
    (Johnson, 1973).

    Raises:
        ValueError: a length is above `row_length`.
    """
    if lengths and max(lengths) > row_length:
        raise ValueError(
            f"a text of {max(lengths)} tokens does not fit a row of {row_length}: raise row_length or lower max_length"
        )
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    rows: list[list[int]] = []
    free: list[tuple[int, int]] = []  # (tokens left, row), sorted
    for index in order:
        at = bisect_left(free, (lengths[index], 0))
        left, row = free.pop(at) if at < len(free) else (row_length, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(index)
        insort(free, (left - lengths[index], row))
    if len(rows) * row_length - sum(lengths) < row_length:  # no packing needs fewer rows
        return rows
    return min(rows, _first_fit(lengths, order, row_length), key=len)


def _first_fit(lengths: Sequence[int], order: Sequence[int], row_length: int) -> list[list[int]]:
    rows: list[list[int]] = []
    left: list[int] = []
    for index in order:
        row = next((r for r, tokens in enumerate(left) if tokens >= lengths[index]), len(rows))
        if row == len(rows):
            rows.append([])
            left.append(row_length)
        rows[row].append(index)
        left[row] -= lengths[index]
    return rows


def tight_rows(lengths: Sequence[int], pad_to_multiple_of: int = LANES) -> tuple[int, list[list[int]]]:
    """The row width whose rows cost least on these lengths, and the rows: R x T tokens of T + `EVEN_WIDTH` each."""
    total, narrowest = sum(lengths), math.ceil(max(lengths) / pad_to_multiple_of) * pad_to_multiple_of

    def cost(width: int, row_count: int) -> int:
        return row_count * width * (width + EVEN_WIDTH)

    widths = range(narrowest, max(narrowest, WIDEST_FREE_ROW) + 1, pad_to_multiple_of)
    best: tuple[int, int, list[list[int]]] | None = None
    for bound, width in sorted((cost(width, math.ceil(total / width)), width) for width in widths):
        if best is not None and bound >= best[0]:  # nor can any later width, even if no token were wasted
            break
        packed = best_fit(lengths, width)
        if best is None or cost(width, len(packed)) < best[0]:
            best = (cost(width, len(packed)), width, packed)
    assert best is not None  # there is always a width
    return best[1], best[2]


def few_row_counts(batch_size: int) -> list[int]:
    """The few numbers of rows that packed batches of static shape have: at most 6."""
    return sorted({math.ceil(batch_size * share) for share in (1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 1)})


def padding_shares(
    lengths: Sequence[int], batch_size: int, max_length: int, row_length: int | None
) -> dict[str, float]:
    """Share of computed tokens that is padding, for each batching, in training batches of these texts.

    Args:
        lengths: tokens of each text, special tokens included; consecutive `batch_size` of them are a batch.
        row_length: of packed rows; None: chosen for each batch.
    """
    computed = {"packed": 0, "longest": 0, "fixed": 0}
    for start in range(0, len(lengths), batch_size):
        batch = lengths[start : start + batch_size]
        width, rows = (row_length, best_fit(batch, row_length)) if row_length else tight_rows(batch, TRAINING_LANES)
        computed["packed"] += width * len(rows)
        computed["longest"] += max(batch) * len(batch)
        computed["fixed"] += max_length * len(batch)
    return {batching: 1 - sum(lengths) / tokens for batching, tokens in computed.items()}
