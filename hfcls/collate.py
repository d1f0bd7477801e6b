"""Rows of an encoded dataset to one batch: padded (to the longest, or to a fixed width) or packed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from hfcls.packing import best_fit

Row = dict[str, Any]
Batch = dict[str, torch.Tensor]

TYPICAL_ROW = 128  # width that free packed rows stay near; measured on BERT-base, where 64 to 160 cost the same
IGNORED_LABEL = -100


class Collator(Protocol):
    """Rows in, batch out. `labels` stands first: Trainer takes the size of a batch from its first tensor."""

    def __call__(self, rows: Sequence[Row]) -> Batch: ...


def make_collator(
    batching: str,
    *,
    pad_token_id: int,
    max_length: int,
    row_length: int | None = None,
    position_offset: int = 0,
    batch_size: int | None = None,
) -> Collator:
    """The collator for `batching`: packed, longest or fixed.

    Rows hold `input_ids` (with special tokens, unpadded), and maybe `token_type_ids` and `labels` (a class id, or a
    list of floats for multi-label classification); other keys are ignored.

    Args:
        max_length: width of `fixed` batches; default width of packed rows with static shapes.
        row_length: tokens in a packed row; None: chosen for each batch, so that little is wasted.
        position_offset: see `hfcls.packing.position_offset`.
        batch_size: give it for static shapes, which XLA and `torch.compile` need: the number of packed rows is rounded
            up to one of `row_counts(batch_size)` and labels are filled up with -100, which the loss ignores.

    Raises:
        ValueError: unknown batching.
    """
    if batching in ("longest", "fixed"):
        return PaddedCollator(pad_token_id, max_length if batching == "fixed" else None)
    if batching == "packed":
        width = row_length or (max_length if batch_size else None)
        return PackedCollator(pad_token_id, width, position_offset, batch_size)
    raise ValueError(f"batching must be packed, longest or fixed, found {batching!r}")


@dataclass(frozen=True)
class PaddedCollator:
    """One text a row: `input_ids`, `attention_mask` and maybe `token_type_ids`, int64 [N, T], and `labels`.

    T is `width`, or the longest text of the batch if `width` is None.
    """

    pad_token_id: int
    width: int | None

    def __call__(self, rows: Sequence[Row]) -> Batch:
        width = self.width or max(len(row["input_ids"]) for row in rows)
        batch = _labels(rows, len(rows))
        batch["input_ids"] = _filled([row["input_ids"] for row in rows], width, self.pad_token_id)
        batch["attention_mask"] = _filled([[1] * len(row["input_ids"]) for row in rows], width, 0)
        if "token_type_ids" in rows[0]:
            batch["token_type_ids"] = _filled([row["token_type_ids"] for row in rows], width, 0)
        return batch


@dataclass(frozen=True)
class PackedCollator:
    """Several texts a row, for a model with `enable_packing`.

    Gives int64 [R, T]: `input_ids`, `position_ids` (from `position_offset` on for each text), `segment_ids` (which
    text of the row, from 1; 0 is filler) and maybe `token_type_ids`; int64 [N]: `cls_index`, where in the R x T tokens
    each text begins, in the order of `rows`; and `labels`.
    """

    pad_token_id: int
    row_length: int | None
    position_offset: int = 0
    batch_size: int | None = None

    def __call__(self, rows: Sequence[Row]) -> Batch:
        lengths = [len(row["input_ids"]) for row in rows]
        if self.row_length is None:
            width, packed = tight_rows(lengths)
        else:
            width, packed = self.row_length, best_fit(lengths, self.row_length)
        row_count, count = len(packed), len(rows)
        if self.batch_size is not None:
            row_count = next(size for size in row_counts(self.batch_size) if size >= row_count)
            count = self.batch_size
        packed += [[]] * (row_count - len(packed))

        cls_index = [0] * count  # of filler texts: any token will do, their labels are ignored
        for r, indices in enumerate(packed):
            start = r * width
            for index in indices:
                cls_index[index] = start
                start += lengths[index]
        offset = self.position_offset
        positions = [[p for i in indices for p in range(offset, offset + lengths[i])] for indices in packed]
        segments = [[s for s, i in enumerate(indices, start=1) for _ in range(lengths[i])] for indices in packed]
        batch = _labels(rows, count)
        batch["input_ids"] = _filled(_joined(rows, packed, "input_ids"), width, self.pad_token_id)
        batch["position_ids"] = _filled(positions, width, offset)
        batch["segment_ids"] = _filled(segments, width, 0)
        batch["cls_index"] = torch.tensor(cls_index)
        if "token_type_ids" in rows[0]:
            batch["token_type_ids"] = _filled(_joined(rows, packed, "token_type_ids"), width, 0)
        return batch


def tight_rows(lengths: Sequence[int]) -> tuple[int, list[list[int]]]:
    """A row width near `TYPICAL_ROW` and the rows of that width which waste the fewest tokens on these lengths."""
    total, longest = sum(lengths), max(lengths)
    aim = math.ceil(total / max(longest, TYPICAL_ROW))
    best: tuple[int, int, list[list[int]]] | None = None
    for row_count in range(max(1, aim - 1), aim + 2):
        for slack in (0, 1, 2, 4, 8, 16):
            width = max(longest, math.ceil(total / row_count)) + slack
            if best is not None and row_count * width >= best[0]:
                break
            packed = best_fit(lengths, width)
            if len(packed) <= row_count:
                if best is None or len(packed) * width < best[0]:
                    best = (len(packed) * width, width, packed)
                break
    if best is None:
        width = max(longest, TYPICAL_ROW)
        return width, best_fit(lengths, width)
    return best[1], best[2]


def row_counts(batch_size: int) -> list[int]:
    """The few numbers of rows that packed batches of static shape have: at most 6."""
    return sorted({math.ceil(batch_size * share) for share in (1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 1)})


def _labels(rows: Sequence[Row], count: int) -> Batch:
    if "labels" not in rows[0]:
        return {}
    labels = torch.tensor([row["labels"] for row in rows])
    filler = labels.new_full((count - len(rows), *labels.shape[1:]), IGNORED_LABEL)
    return {"labels": torch.cat([labels, filler])}


def _joined(rows: Sequence[Row], packed: Sequence[Sequence[int]], key: str) -> list[list[int]]:
    return [[value for i in indices for value in rows[i][key]] for indices in packed]


def _filled(rows: Sequence[Sequence[int]], width: int, value: int) -> torch.Tensor:
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])
