"""Rows of an encoded dataset to one batch: padded (to the longest, or to a fixed width) or packed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from hfcls.batching.bins import LANES, TRAINING_LANES, best_fit, tight_rows
from hfcls.batching.windows import Row, split_windows, window_counts

Batch = dict[str, torch.Tensor]


class Collator(Protocol):
    """Rows in, batch out. The first tensor counts texts, not packed rows: Trainer takes a batch's size from it."""

    def __call__(self, rows: Sequence[Row]) -> Batch: ...


def make_collator(
    batching: str,
    *,
    pad_token_id: int,
    max_length: int,
    row_length: int | None = None,
    position_offset: int = 0,
    row_counts: Mapping[int, Sequence[int]] | None = None,
) -> Collator:
    """The collator for `batching`: packed, longest or fixed.

    Rows hold `input_ids` (with special tokens, unpadded), and maybe `token_type_ids` and `labels` (a class id, or a
    list of floats for multi-label classification); other keys are ignored. If they have `window_lengths`, each window
    takes the place of a text in what follows, and `window_counts` int64 [N] says how many each of the texts has.

    Args:
        max_length: width of `fixed` batches; default width of packed rows where `row_counts` is given.
        row_length: tokens in a packed row; None: chosen for each batch, so that little is wasted.
        position_offset: see `hfcls.batching.packing.position_offset`.
        row_counts: for static shapes, which XLA and `torch.compile` need: for each number of texts in a batch, the
            numbers of rows that it may be packed into, such as `{32: few_row_counts(32)}`. Filler rows are added.
            `hfcls.batching.sampling` makes batches of one size.

    Raises:
        ValueError: unknown batching.
    """
    if batching in ("longest", "fixed"):
        return PaddedCollator(pad_token_id, max_length if batching == "fixed" else None)
    if batching == "packed":
        width = row_length or (max_length if row_counts else None)
        return PackedCollator(pad_token_id, width, position_offset, row_counts)
    raise ValueError(f"batching must be packed, longest or fixed, found {batching!r}")


def for_training(collator: Any) -> Any:
    """The same collator, with packed rows of `TRAINING_LANES` where their width is chosen for each batch."""
    return replace(collator, pad_to_multiple_of=TRAINING_LANES) if isinstance(collator, PackedCollator) else collator


@dataclass(frozen=True)
class TwiceCollator:
    """Each text twice, all of them and then all again: two forward passes in one, which dropout makes different."""

    collator: Collator

    def __call__(self, rows: Sequence[Row]) -> Batch:
        return self.collator([*rows, *rows])


@dataclass(frozen=True)
class PaddedCollator:
    """One text a row: `input_ids`, `attention_mask` and maybe `token_type_ids`, int64 [N, T], and `labels`.

    T is `width`, or the longest text of the batch if `width` is None.

    Raises:
        ValueError: a text is longer than `width`.
    """

    pad_token_id: int
    width: int | None

    def __call__(self, rows: Sequence[Row]) -> Batch:
        texts, rows = rows, split_windows(rows)
        longest = max(len(row["input_ids"]) for row in rows)
        width = self.width or longest
        if longest > width:
            raise ValueError(f"a text of {longest} tokens does not fit the width {width}: raise or apply max_length")
        batch = _by_text(texts)
        batch["input_ids"] = _filled([row["input_ids"] for row in rows], width, self.pad_token_id)
        batch["attention_mask"] = _filled([[1] * len(row["input_ids"]) for row in rows], width, 0)
        if "token_type_ids" in rows[0]:
            batch["token_type_ids"] = _filled([row["token_type_ids"] for row in rows], width, 0)
        return batch


@dataclass(frozen=True)
class PackedCollator:
    """Several texts a row, for a model with `enable_packing`.

    Gives `labels` (as in the rows) and `cls_index` int64 [N], where in the R x T tokens each text begins, in the order
    of `rows`; int64 [R, T]: `input_ids`, `position_ids` (from `position_offset` on for each text), `segment_ids`
    (which of the N texts, from 1; 0 is filler) and maybe `token_type_ids`.

    Raises:
        ValueError: a text is longer than `row_length` or has no token, or `row_counts` has no place for the batch.
    """

    pad_token_id: int
    row_length: int | None
    position_offset: int = 0
    row_counts: Mapping[int, Sequence[int]] | None = None
    pad_to_multiple_of: int = LANES

    def __call__(self, rows: Sequence[Row]) -> Batch:
        texts, rows = rows, split_windows(rows)
        lengths = [len(row["input_ids"]) for row in rows]
        if 0 in lengths:
            raise ValueError(f"text {lengths.index(0)} of the batch has no token: tokenize with special tokens")
        if self.row_length is None:
            width, packed = tight_rows(lengths, self.pad_to_multiple_of)
        else:
            width, packed = self.row_length, best_fit(lengths, self.row_length)
        if self.row_counts is not None:
            row_count = next((size for size in self.row_counts.get(len(rows), ()) if size >= len(packed)), None)
            if row_count is None:
                raise ValueError(
                    f"{len(rows)} texts need {len(packed)} rows of {width} tokens, row_counts has {self.row_counts}"
                )
            packed += [[]] * (row_count - len(packed))

        batch = _by_text(texts)
        cls_index = [0] * len(rows)
        for r, indices in enumerate(packed):
            start = r * width
            for index in indices:
                cls_index[index] = start
                start += lengths[index]
        offset = self.position_offset
        positions = [[p for i in indices for p in _positions(rows[i]["input_ids"], offset)] for indices in packed]
        segments = [[i + 1 for i in indices for _ in range(lengths[i])] for indices in packed]
        batch["cls_index"] = torch.tensor(cls_index)
        batch["input_ids"] = _filled(_joined(rows, packed, "input_ids"), width, self.pad_token_id)
        batch["position_ids"] = _filled(positions, width, offset)
        batch["segment_ids"] = _filled(segments, width, 0)
        if "token_type_ids" in rows[0]:
            batch["token_type_ids"] = _filled(_joined(rows, packed, "token_type_ids"), width, 0)
        return batch


def _by_text(rows: Sequence[Row]) -> Batch:
    """What has an entry for each text, however many windows it has."""
    batch = {"labels": torch.tensor([row["labels"] for row in rows])} if "labels" in rows[0] else {}
    if (counts := window_counts(rows)) is not None:
        batch["window_counts"] = counts
    return batch


def _positions(input_ids: Sequence[int], offset: int) -> list[int]:
    """The position ids of a text. RoBERTa-type models, which count from `padding_idx` + 1, do not count that token.

    A text may hold it: the tokenizer reads a written `<pad>` as one. It has the position `padding_idx` itself.
    """
    if offset == 0 or offset - 1 not in input_ids:
        return list(range(offset, offset + len(input_ids)))
    positions, count = [], 0
    for token in input_ids:
        count += token != offset - 1
        positions.append(offset - 1 if token == offset - 1 else offset - 1 + count)
    return positions


def _joined(rows: Sequence[Row], packed: Sequence[Sequence[int]], key: str) -> list[list[int]]:
    return [[value for i in indices for value in rows[i][key]] for indices in packed]


def _filled(rows: Sequence[Sequence[int]], width: int, value: int) -> torch.Tensor:
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])
