"""Masked language modelling: which tokens are hidden, and a batch of such texts.

What is hidden in a text follows from (seed, epoch, row) alone. So a resumed run hides the same tokens as the whole run,
whatever the processes, workers and batches; drawn from the global generator it would not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from hfcls.batching.collate import Batch, PackedCollator, PaddedCollator, Row
from hfcls.scoring.losses import IGNORED_LABEL

NO_WORD = -1  # in `words`: a special token, which is never hidden


class DrawnRows(Dataset[Row]):
    """Encoded rows, each with `draw` = [seed, epoch, row], from which its masks follow.

    Args:
        rows: a `datasets.Dataset` with `input_ids` and `words`.
        each_epoch: draw anew in each epoch, as in training; else the masks stay, as held-out texts need it.
    """

    def __init__(self, rows: Any, seed: int, *, each_epoch: bool) -> None:
        self.rows = rows
        self.seed = seed
        self.each_epoch = each_epoch
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        if self.each_epoch:
            self.epoch = epoch

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Row]:
        columns = self.rows[list(indices)]
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return [{**row, "draw": [self.seed, self.epoch, index]} for row, index in zip(rows, indices, strict=True)]


def hidden_positions(
    words: NDArray[np.int64], rng: np.random.Generator, *, probability: float, whole_words: bool
) -> NDArray[np.int64]:
    """Positions of the tokens of a text that are to be hidden, in order.

    Their number is `probability` x tokens on average, and never further from it than a token (a word) needs: a share
    of a short text that is left to chance for each token would often be nothing. A text of one token has nothing that
    it could be told from, so it is left alone.

    Args:
        words: which word each token belongs to, `NO_WORD` for special tokens, int64 [T].
        whole_words: hide all tokens of a word or none.
    """
    ordinary = np.flatnonzero(words != NO_WORD)
    if len(ordinary) < 2:
        return ordinary[:0]
    missing = math.floor(probability * len(ordinary) + rng.random())
    units = np.split(ordinary, np.flatnonzero(np.diff(words[ordinary])) + 1) if whole_words else ordinary[:, None]
    hidden: list[NDArray[np.int64]] = []
    for unit in rng.permutation(len(units)):
        if (
            rng.random() * len(units[unit]) >= missing
        ):  # always false for a word that is not longer than what is missing
            break
        hidden.append(units[unit])
        missing -= len(units[unit])
    return np.sort(np.concatenate(hidden)) if hidden else ordinary[:0]


@dataclass(frozen=True)
class Masking:
    """How texts are masked: 80 % of the hidden tokens become `[MASK]`, 10 % another token, 10 % stay (Devlin 2019).

    A row with a `label_id` has one more target: the token that stands for its label, at the first token, which is what
    a classifier's head reads. So the model learns both with the one head and the one loss.

    Attributes:
        ordinary_ids: of tokens that are not special, from which other tokens are drawn.
    """

    mask_token_id: int
    ordinary_ids: NDArray[np.int64]
    probability: float = 0.15
    whole_words: bool = False

    def __call__(self, row: Row) -> tuple[list[int], NDArray[np.int64], NDArray[np.int64]]:
        """`input_ids` with hidden tokens, the positions of all targets, and the targets: what stood there."""
        rng = np.random.default_rng(row["draw"])
        ids = np.asarray(row["input_ids"])
        hidden = hidden_positions(
            np.asarray(row["words"]), rng, probability=self.probability, whole_words=self.whole_words
        )
        targets, fate = ids[hidden], rng.random(len(hidden))
        others = rng.choice(self.ordinary_ids, len(hidden))
        ids[hidden] = np.where(fate < 0.8, self.mask_token_id, np.where(fate < 0.9, others, targets))
        if row.get("label_id") is not None:  # the first token stays as it is
            hidden, targets = np.append(0, hidden), np.append(row["label_id"], targets)
        return ids.tolist(), hidden, targets


@dataclass(frozen=True)
class MaskingCollator:
    """Rows of `DrawnRows` to a masked batch: that of `layout`, and `labels`.

    Packed: `labels` int64 [M], the hidden tokens, and `masked_index` int64 [M], where in the R x T tokens they stand;
    the head is computed there only. M is `labels_at_most(R x T)` where the shape is static; labels beyond it, which do
    not occur unless the text is tiny, are dropped, and free places are -100.
    Padded: `labels` int64 [N, T], -100 where nothing is hidden.
    """

    layout: PackedCollator | PaddedCollator
    masking: Masking

    def __call__(self, rows: Sequence[Row]) -> Batch:
        masked = [self.masking(row) for row in rows]
        others = [{name: row[name] for name in ("token_type_ids",) if name in row} for row in rows]
        batch = self.layout([{"input_ids": ids, **other} for (ids, _, _), other in zip(masked, others, strict=True)])
        width = batch["input_ids"].shape[1]
        packed = isinstance(self.layout, PackedCollator)
        starts = batch.pop("cls_index").numpy() if packed else np.arange(len(rows)) * width
        index = np.concatenate([start + hidden for start, (_, hidden, _) in zip(starts, masked, strict=True)])
        targets = np.concatenate([targets for _, _, targets in masked])
        if not packed:
            labels = np.full(batch["input_ids"].numel(), IGNORED_LABEL)
            labels[index] = targets
            return {"labels": torch.from_numpy(labels).view(len(rows), width), **batch}
        static = isinstance(self.layout, PackedCollator) and self.layout.row_counts is not None
        places = labels_at_most(batch["input_ids"].numel(), self.masking.probability) if static else len(index) or 1
        index, targets = index[:places], targets[:places]
        free = (0, places - len(index))
        return {
            "labels": torch.from_numpy(np.pad(targets, free, constant_values=IGNORED_LABEL)),
            "masked_index": torch.from_numpy(np.pad(index, free)),
            **batch,
        }


def labels_at_most(tokens: int, probability: float) -> int:
    """Room for the labels of a batch of `tokens` tokens: twice as many as are hidden on average, and at least 16."""
    return min(tokens, max(16, math.ceil(2 * probability * tokens)))
