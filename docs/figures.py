"""Draw the figures of the tutorial, from real batches of the demonstration corpus.

python docs/figures.py

They are SVG with hardly a word in them, so that the Korean and the English pages share them.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

import hfcls
from hfcls.batching.collate import Batch
from hfcls.models.tokenizers import train_tokenizer
from hfcls.training.optim import EpochExponentialLR, adam

IMAGES = Path(__file__).with_name("images")
COLOURS = ["#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1", "#9c755f"]
GREY = "#d9d9d9"
INK = "#777777"  # legible on white and on black


def figures() -> dict[str, str]:
    """The text of each SVG by its file name."""
    encoded, pad_token_id = demo_rows(32)
    batches = {
        kind: hfcls.make_collator(kind, pad_token_id=pad_token_id, max_length=128)(encoded)
        for kind in ("fixed", "longest", "packed")
    }
    return {
        **{f"{kind}.svg": batch_figure(segments(batch)) for kind, batch in batches.items()},
        "mask.svg": mask_figure([5, 3, 4], width=14),
        "rate.svg": rate_figure(learning_rate=5e-5, gamma=0.9, epochs=3, steps_per_epoch=40),
    }


def demo_rows(count: int) -> tuple[list[dict[str, list[int]]], int]:
    """The first training reviews of the demonstration, tokenized, and the id of the padding token."""
    corpus = hfcls.load_corpus("demo")
    tokenizer = train_tokenizer(corpus["train"]["text"])
    encoded = hfcls.encode(corpus["train"].select(range(count)), tokenizer, max_length=128)
    return list(encoded), tokenizer.pad_token_id


def segments(batch: Batch) -> list[list[int]]:
    """Which review each place of each row belongs to, from 1; 0 is padding."""
    if "segment_ids" in batch:
        return batch["segment_ids"].tolist()
    return [[(i + 1) * here for here in row] for i, row in enumerate(batch["attention_mask"].tolist())]


def batch_figure(rows: Sequence[Sequence[int]]) -> str:
    """Rows of a batch: one colour for each review, grey for padding, and the count of computed tokens below."""
    step, height = 5, 9
    shapes = []
    for r, row in enumerate(rows):
        start = 0
        for end in range(1, len(row) + 1):
            if end == len(row) or row[end] != row[start]:
                colour = COLOURS[row[start] % len(COLOURS)] if row[start] else GREY
                shapes.append(rectangle(start * step, r * height, (end - start) * step - 1, height - 2, colour))
                start = end
    computed = len(rows) * len(rows[0])
    used = sum(place > 0 for row in rows for place in row)
    label = f"{len(rows)} × {len(rows[0])} = {computed:,}   ({1 - used / computed:.0%} padding)"
    shapes.append(text(0, len(rows) * height + 14, label))
    return svg(max(len(rows[0]) * step, 260), len(rows) * height + 20, shapes)


def mask_figure(lengths: Sequence[int], width: int) -> str:
    """The attention mask of one packed row: coloured where the token of the line sees the token of the column."""
    size = 16
    owner = [i + 1 for i, length in enumerate(lengths) for _ in range(length)]
    owner += [0] * (width - len(owner))
    shapes = [
        rectangle(
            c * size, r * size, size - 1, size - 1, (COLOURS[row] if row else "#bbbbbb") if row == column else GREY
        )
        for r, row in enumerate(owner)
        for c, column in enumerate(owner)
    ]
    return svg(width * size, width * size, shapes)


def rate_figure(learning_rate: float, gamma: float, epochs: int, steps_per_epoch: int) -> str:
    """The learning rate at each optimizer step."""
    optimizer = adam([torch.nn.Parameter(torch.zeros(1))], learning_rate)
    scheduler = EpochExponentialLR(optimizer, gamma, steps_per_epoch)
    rates = []
    for _ in range(epochs * steps_per_epoch):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    width, height = 420, 160
    points = [(40 + i * (width - 40) / len(rates), height - rate / learning_rate * 130) for i, rate in enumerate(rates)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    shapes = [f'<polyline points="{line}" fill="none" stroke="{COLOURS[0]}" stroke-width="2"/>']
    for epoch in range(epochs):
        x, y = points[epoch * steps_per_epoch]
        shapes.append(text(x + 8, y - 6, f"{rates[epoch * steps_per_epoch]:.3g}"))
        shapes.append(text(x + 8, height + 16, f"epoch {epoch + 1}"))
    shapes.append(f'<path d="M40 10V{height}H{width}" fill="none" stroke="{INK}"/>')
    return svg(width, height + 22, shapes)


def rectangle(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{colour}"/>'


def text(x: float, y: float, content: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="{INK}" font-family="sans-serif" font-size="13">{content}</text>'


def svg(width: int, height: int, shapes: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">'
    return "\n".join([head, *shapes, "</svg>\n"])


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for name, content in figures().items():
        (IMAGES / name).write_text(content, encoding="utf-8")
