"""What a run measured: kept as JSON beside the model, shown as a short table."""

import json
import os
import unicodedata
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Example:
    """One held-out text and what the model says of it."""

    text: str
    label: str
    predicted: str
    score: float


@dataclass
class Result:
    """The outcome of `fine_tune` or `evaluate`.

    Attributes:
        output_dir: folder of the model.
        split: the split that the metrics were measured on; None if there was nothing to measure on.
        num_rows: rows of that split.
        seed: of the run; None for an evaluation.
        metrics: `accuracy`, `macro_f1` and `loss` (mean cross-entropy in nats) of that split.
        rows_per_second: texts per second, in training (in prediction for an evaluation).
        note: how the number may be read, such as "scored once".
        examples: a few held-out texts.
    """

    output_dir: str
    split: str | None
    num_rows: int
    seed: int | None
    metrics: dict[str, float]
    rows_per_second: float
    note: str = ""
    examples: list[Example] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        aside = path.with_name(path.name + ".part")
        aside.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        os.replace(aside, path)

    def table(self) -> str:
        """The numbers a person wants first, then the examples."""
        rows = [("split", f"{self.split} ({self.num_rows:,} rows{', ' + self.note if self.note else ''})")]
        if self.split is None:
            rows = [("split", f"none ({self.note})")]
        rows += [
            (name, f"{self.metrics[name]:.4f}") for name in ("accuracy", "macro_f1", "loss") if name in self.metrics
        ]
        rows += [("reviews/s", f"{self.rows_per_second:,.0f}")]
        rows += [("seed", str(self.seed))] if self.seed is not None else []
        rows += [("model", self.output_dir)]
        lines = [f"  {name:<12}{value}" for name, value in rows]
        if self.examples:
            lines += [
                "",
                f"Reviews of the {self.split} split, as the model sees them (true label in brackets):",
            ]
            width = max(_columns(example.predicted) for example in self.examples)
            for example in self.examples:
                predicted = example.predicted + " " * (width - _columns(example.predicted))
                lines.append(f"  {predicted} {example.score:6.1%}  {example.text[:70]}  [{example.label}]")
        return "\n".join(lines)


def _columns(text: str) -> int:
    """Terminal columns of a text: Hangul takes two each."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
