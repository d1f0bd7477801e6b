"""What a data check found: kept as JSON, shown as tables and plain warnings."""

import html
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from hfcls.baseline.beside import BaselineScores
from hfcls.checks.cost import Cost
from hfcls.checks.giveaways import Giveaway
from hfcls.checks.warnings import warnings_of
from hfcls.scoring.intervals import Estimate
from hfcls.system.files import write_json
from hfcls.system.terminal import duration, padded


@dataclass(kw_only=True)
class SplitFindings:
    """One split; tokens include special tokens, and what is counted in them is None without a model.

    Attributes:
        rows: of the split.
        classes: rows of each class, or with each label; none of a regression.
        characters: mean and quantiles of the length of the text (of both texts together, for pairs).
        tokens: mean and quantiles of the length before truncation.
        truncated: share of the rows with more than `max_length` tokens.
        unknown: share of the tokens that the tokenizer does not know.
        empty: rows that hold nothing but white space.
        near_empty: other rows with fewer than two letters or digits.
        invalid: rows with a surrogate, U+FFFD or control character.
        decomposed: rows that are not in Unicode NFC, such as Hangul written jamo by jamo.
        giveaways: how texts are written down, where that tells a class.
    """

    rows: int
    classes: dict[str, int]
    characters: dict[str, float]
    tokens: dict[str, float] | None
    truncated: float | None
    unknown: float | None
    empty: int
    near_empty: int
    invalid: int
    decomposed: int
    giveaways: list[Giveaway]


@dataclass(kw_only=True)
class Duplicates:
    """Copies under one way of comparing texts, each a count by split.

    Attributes:
        repeated: rows whose text repeats an earlier one of the split.
        several_labels: texts that stand in the split with different labels.
        in_train: rows whose text also stands in train.
    """

    repeated: dict[str, int]
    several_labels: dict[str, int]
    in_train: dict[str, int]


@dataclass(kw_only=True)
class Findings:
    """The outcome of `check`.

    Attributes:
        duplicates: by `exact` text, by `normalized` text (which counts exact copies too), and, if rensa is installed,
            `near`: how many distinct normalised texts nearly repeat an earlier one, which comes on top.
        near_examples: a few of these pairs.
        padding: share of the computed tokens that is padding, for each batching, in random batches.
        cost: of training steps of packed batches; None without a model.
        passes: over a batch in a step of training with the defaults: two with FGM.
        seconds_per_epoch: that follow from both, on this device alone.
        baseline: what character n-grams reach, fitted on train; None if nothing could be held out, or not wanted.
        baseline_split: that it was scored on, such as "test".
    """

    dataset: str
    model: str | None
    max_length: int
    batch_size: int
    splits: dict[str, SplitFindings]
    duplicates: dict[str, Duplicates]
    near_examples: list[tuple[str, str]]
    padding: dict[str, float] | None = None
    cost: Cost | None = None
    passes: int = 1
    seconds_per_epoch: float | None = None
    baseline: BaselineScores | None = None
    baseline_split: str = ""

    def save(self, path: Path) -> None:
        """Write as JSON, with the warnings, whole or not at all."""
        in_korean = [korean for _, korean in warnings_of(self)]
        write_json(path, {**asdict(self), "warnings": self.warnings(), "warnings_ko": in_korean})

    def warnings(self) -> list[str]:
        """What deserves a look before training, and which option mends it."""
        return [english for english, _ in warnings_of(self)]

    def text(self) -> str:
        """The report for a person: tables, then the warnings."""
        title = f"{self.dataset}, tokens of {self.model}" if self.model else self.dataset
        lines = [title, "", *_table([["", *self.splits], *self._split_rows(), [], *self._duplicate_rows()])]
        lines += [f"  near: {first[:50]!r} ~ {later[:50]!r}" for first, later in self.near_examples]
        if self.padding:
            shares = ", ".join(f"{batching} {share:.1%}" for batching, share in self.padding.items())
            lines += ["", f"padding in random batches of {self.batch_size}: {shares}"]
        if self.cost and self.seconds_per_epoch:
            cost, twice = self.cost, ", each taken twice for --fgm" if self.passes > 1 else ""
            lines += [
                f"an epoch here: {duration(self.seconds_per_epoch)} (from {cost.steps} measured steps of "
                f"{self.batch_size} rows on {cost.device}, {cost.seconds_per_step:.2g} s each, float32{twice})",
                f"memory of the model: {cost.memory / 2**20:,.0f} MiB for weights, gradients, Adam and activations; "
                "data and libraries come on top",
            ]
        if self.baseline:
            scores = self.baseline.analysis
            lines += [
                f"baseline that a model should beat (character n-grams, {duration(self.baseline.seconds)}), on the "
                f"{scores.num_rows:,} rows of {self.baseline_split}:",
                f"  {', '.join(f'{name} {score}' for name, score in scores.headline() if isinstance(score, Estimate))}",
            ]
        warnings = self.warnings()
        return "\n".join([*lines, "", f"warnings: {len(warnings)}", *(f"  {warning}" for warning in warnings)])

    def _repr_html_(self) -> str:
        """The report, for a notebook."""
        return f"<pre>{html.escape(self.text())}</pre>"

    def _split_rows(self) -> Iterator[list[str]]:
        found = list(self.splits.values())
        yield ["rows", *(f"{split.rows:,}" for split in found)]
        for name in found[0].classes:
            yield [f"  {name}", *(f"{split.classes[name]:,}" for split in found)]
        for unit in ("characters", "tokens"):
            for quantile in getattr(found[0], unit) or ():
                yield [f"{unit}, {quantile}", *(f"{getattr(split, unit)[quantile]:,.4g}" for split in found)]
        if self.model:
            yield [f"cut at {self.max_length} tokens", *(f"{split.truncated:.2%}" for split in found)]
            yield ["unknown tokens", *(f"{split.unknown:.2%}" for split in found)]
        for count in ("empty", "near_empty", "invalid", "decomposed"):
            yield [f"{count.replace('_', ' ')} texts", *(f"{getattr(split, count):,}" for split in found)]

    def _duplicate_rows(self) -> Iterator[list[str]]:
        for how, copies in self.duplicates.items():
            for what, counts in asdict(copies).items():
                if counts:
                    cells = (f"{counts[split]:,}" if split in counts else "" for split in self.splits)
                    yield [f"{how}: {what.replace('_', ' ')}", *cells]


def _table(rows: list[list[str]]) -> list[str]:
    """The first column to the left, the others to the right; Hangul takes two columns of a terminal."""
    lines = []
    for first, *others in (row or [""] for row in rows):
        lines.append((padded(first, 26) + "".join(cell.rjust(12) for cell in others)).rstrip())
    return lines
