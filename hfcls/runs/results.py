"""What a run measured: kept as JSON beside the model, shown as a short table."""

import json
import unicodedata
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hfcls.scoring.analysis import Analysis, Estimate, McNemar
from hfcls.runs.folder import RESULTS_FILE
from hfcls.errors import HfclsError
from hfcls.files import write_whole


@dataclass
class Example:
    """One held-out text and what the model says of it."""

    text: str
    label: str
    predicted: str
    score: float


@dataclass(frozen=True)
class SplitFacts:
    """One split as it was used.

    Attributes:
        rows: texts.
        classes: rows of each class by its name.
        sha256: of `fingerprint`.
    """

    rows: int
    classes: dict[str, int]
    sha256: str


@dataclass(frozen=True)
class RunFacts:
    """The facts of one run of `fine_tune`; all of it is plain JSON.

    Attributes:
        finished: end of the run, ISO 8601 in UTC.
        model: the encoder that was fine-tuned, as `--model` named it.
        architecture: class of the fine-tuned model.
        num_parameters: weights of the model with its head.
        dataset: as `--dataset` named it.
        splits: train, validation and test as they were used, after cuts and carving.
        selected_on: split that chose the checkpoint; None: the last one was kept.
        protocol: which rows trained, chose and scored, in a sentence or two.
        options: every option that is not at its default, but for those that say where the run lives.
        batching: packed, longest or fixed, as it was in the end.
        padding: share of computed tokens that is padding, for each batching, on 64 random training batches.
        tokens_per_text: mean over these batches, special tokens included.
        steps: optimizer steps of the whole run.
        training_seconds: evaluations and checkpoints included; after a resume, of the last part only.
        texts_per_second: training texts over `training_seconds`.
        hardware: what it ran on.
        precision: no (float32), bf16 or fp16.
        versions: of Python and packages.
    """

    finished: str
    model: str
    architecture: str
    num_parameters: int
    dataset: str
    splits: dict[str, SplitFacts]
    selected_on: str | None
    protocol: str
    options: dict[str, Any]
    batching: str
    padding: dict[str, float]
    tokens_per_text: float
    steps: int
    training_seconds: float
    texts_per_second: float
    hardware: str
    precision: str
    versions: dict[str, str]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "RunFacts":
        """From `dataclasses.asdict` of another, for instance out of JSON."""
        return cls(**{**values, "splits": {name: SplitFacts(**split) for name, split in values["splits"].items()}})


@dataclass(frozen=True)
class Unseen:
    """The rows of the scored split whose text (normalised, see `hfcls.data.duplicates`) does not stand in train."""

    num_rows: int
    accuracy: Estimate


@dataclass
class Comparison:
    """A second model on the same rows: its scores, and McNemar's paired test of the first model against it."""

    model: str
    analysis: Analysis
    mcnemar: McNemar


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
        analysis: all scores of that split with their intervals; None if there was nothing to measure on.
        facts: of the run; None for an evaluation.
        comparison: with a second model, if `evaluate` was asked for it.
        unseen: accuracy on the rows whose text is not in train as well; None for an evaluation.
    """

    output_dir: str
    split: str | None
    num_rows: int
    seed: int | None
    metrics: dict[str, float]
    rows_per_second: float
    note: str = ""
    examples: list[Example] = field(default_factory=list)
    analysis: Analysis | None = None
    facts: RunFacts | None = None
    comparison: Comparison | None = None
    unseen: Unseen | None = None

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        write_whole(path, json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n")

    def table(self) -> str:
        """The numbers a person wants first, then the examples."""
        rows = [("split", f"{self.split} ({self.num_rows:,} rows{', ' + self.note if self.note else ''})")]
        if self.split is None:
            rows = [("split", f"none ({self.note})")]
        if self.analysis is not None:
            rows += [
                ("accuracy", f"{self.analysis.accuracy}  95 % interval"),
                ("macro_f1", str(self.analysis.macro_f1)),
            ]
            rows += [("loss", f"{self.analysis.loss:.4f}")]
        if self.unseen is not None and self.unseen.num_rows < self.num_rows:
            on = f"accuracy on the {self.unseen.num_rows:,} rows whose text is not in train"
            rows += [("unseen", f"{self.unseen.accuracy}  {on}")]
        if self.rows_per_second:  # a finished run that is resumed trains nothing
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
                text = " ".join(example.text.split())[:70]  # of several lines
                lines.append(f"  {predicted} {example.score:6.1%}  {text}  [{example.label}]")
        return "\n".join(lines)

    def details(self) -> list[str]:
        """The table of classes, and the comparison with a second model if there is one."""
        parts = [self.analysis.table()] if self.analysis else []
        if self.comparison:
            other, test = self.comparison, self.comparison.mcnemar
            parts.append(
                f"{other.model} on the same rows: accuracy {other.analysis.accuracy}\n"
                f"McNemar's test: {test.only_first:,} rows right by {self.output_dir} alone, {test.only_second:,} by "
                f"{other.model} alone, p = {test.p_value:.3g}"
            )
        return parts


def load_results(folder: str | Path) -> Result:
    """The outcome of the run in `folder`, as `fine_tune` returned it.

    `result.analysis` has the scores with their intervals (None if the run held nothing out), `result.facts` what the
    run was made of. The predictions behind them lie in `predictions.parquet`, see `hfcls.runs.predictions`.

    Raises:
        HfclsError: no finished run there, or its results.json cannot be read.
    """
    path = Path(folder) / RESULTS_FILE
    if not path.is_file():
        raise HfclsError(
            f"{folder} holds no finished run: {RESULTS_FILE} is missing; give the --output_dir of `hfcls train`"
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        values["examples"] = [Example(**example) for example in values["examples"]]
        values["analysis"] = Analysis.from_dict(values["analysis"]) if values.get("analysis") else None
        values["facts"] = RunFacts.from_dict(values["facts"]) if values.get("facts") else None
        if unseen := values.get("unseen"):
            values["unseen"] = Unseen(unseen["num_rows"], Estimate(**unseen["accuracy"]))
        return Result(**values)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise HfclsError(f"{path} is not the result of a run of this version of hfcls: {error!r}") from error


def _columns(text: str) -> int:
    """Terminal columns of a text: Hangul takes two each."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
