"""Windows of long texts: each is read as a text of its own, and the text has the mean of their logits."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc
import torch
from transformers import PreTrainedTokenizerBase

from hfcls.errors import HfclsError
from hfcls.models.heads import mean_by_text

Row = dict[str, Any]


def use_windows(
    config: Any, device: str, *, tokenizer: PreTrainedTokenizerBase, max_length: int, stride: int | None
) -> None:
    """Let the config of a model say, as `window_stride`, how its texts are read; None: they are cut.

    Raises:
        HfclsError: the tokenizer cannot read windows, nor the device train on them.
    """
    if stride is not None:
        if device == "xla":
            raise HfclsError(
                "long_texts: windows needs batches of any shape, and XLA compiles a graph for each: drop it"
            )
        check_windows(tokenizer, max_length, stride)
    if stride is not None or getattr(config, "window_stride", None) is not None:
        config.window_stride = stride


def window_stride(config: Any, tokenizer: PreTrainedTokenizerBase, max_length: int) -> int | None:
    """What `use_windows` wrote down; None: texts are cut. Raises HfclsError if it is not to be followed."""
    stride = getattr(config, "window_stride", None)
    if stride is None:
        return None
    if not isinstance(stride, int) or stride < 0:
        raise HfclsError(f"window_stride in config.json must be a number of tokens, found {stride!r:.40}")
    check_windows(tokenizer, max_length, stride)
    return stride


def check_windows(tokenizer: PreTrainedTokenizerBase, max_length: int, stride: int) -> None:
    """Raises HfclsError if the tokenizer cannot read texts in windows, or a window would hold nothing new."""
    if not tokenizer.is_fast:
        raise HfclsError("long_texts: windows needs a fast tokenizer (tokenizer.json), and this one has none: drop it")
    room = max_length - tokenizer.num_special_tokens_to_add()
    if stride >= room:
        raise HfclsError(
            f"stride {stride} leaves nothing new in a window of {max_length} tokens, {room} without special ones: "
            "lower --stride, or raise --max_length"
        )


def split_windows(rows: Sequence[Row]) -> Sequence[Row]:
    """Each window of these texts as a row of its own; rows without `window_lengths` as they are."""
    if not rows or "window_lengths" not in rows[0]:
        return rows
    windows = []
    for row in rows:
        ends = np.cumsum(row["window_lengths"]).tolist()
        windows += [{"input_ids": row["input_ids"][a:b]} for a, b in zip([0, *ends], ends, strict=False)]
    return windows


def window_counts(rows: Sequence[Row]) -> torch.Tensor | None:
    """How many windows each text has, int64 [N]; None of rows without `window_lengths`."""
    if not rows or "window_lengths" not in rows[0]:
        return None
    return torch.tensor([len(row["window_lengths"]) for row in rows])


def texts_in_batch(texts: Any, windows: int) -> int:
    """How many of these encoded texts have so many windows on average; `windows` itself of texts without."""
    if "window_lengths" not in getattr(texts, "column_names", ()):
        return windows
    counts = pc.list_value_length(texts.with_format("arrow")[:]["window_lengths"])
    return max(1, int(windows / pc.mean(counts).as_py()))


def over_windows(model: Callable[..., Any]) -> Any:
    """`model` for batches that say in `window_counts` how many windows each text has: its logits are then by text."""

    def forward(*, window_counts: torch.Tensor | None = None, **batch: Any) -> Any:
        outputs = model(**batch)
        if window_counts is not None:
            outputs["logits"] = mean_by_text(outputs["logits"], window_counts)
        return outputs

    return forward
