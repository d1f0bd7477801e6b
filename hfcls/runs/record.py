"""What a run was made of: data and its hashes, options, padding, versions, hardware, time."""

import os
import platform
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict

from hfcls.batching.bins import padding_shares
from hfcls.data.splits import SplitFacts
from hfcls.version import __version__

PACKAGES = ("torch", "transformers", "accelerate", "datasets", "tokenizers", "numpy")
SAMPLED_BATCHES = 64


@dataclass(frozen=True)
class OneSeed:
    """One of several runs that differ in their seed.

    Attributes:
        name: of its folder: seed-N, or average, of the weights of all others.
        validation: what it was chosen by, on the split that chose.
        validation_loss: there.
        metrics: on the scored split.
    """

    name: str
    validation: float
    validation_loss: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class Seeds:
    """Several runs that differ in their seed, of which one was kept.

    Attributes:
        metric: by which it was chosen.
        chosen_on: the split.
        kept: its name.
        runs: all of them, in turn.
    """

    metric: str
    chosen_on: str
    kept: str
    runs: list[OneSeed]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Seeds":
        """From `dataclasses.asdict` of another."""
        return cls(**{**values, "runs": [OneSeed(**run) for run in values["runs"]]})

    def spread(self) -> dict[str, tuple[float, float]]:
        """Mean and standard deviation of each metric over the seeds, without an average of weights."""
        found = [run.metrics for run in self.runs if run.name.startswith("seed-")]
        columns = {name: np.array([metrics[name] for metrics in found]) for name in found[0]}
        return {name: (float(column.mean()), float(column.std(ddof=1))) for name, column in columns.items()}

    def sentence(self, split: str | None) -> str:
        """How the model was chosen, and what the seeds reach on `split`."""
        names = ", ".join(run.name for run in self.runs)
        chosen = "the lowest loss" if self.metric == "loss" else f"the highest {self.metric.replace('_', ' ')}"
        name, (mean, deviation) = next(iter(self.spread().items()))
        return (
            f"Of {names}, the one with {chosen} on {self.chosen_on} was kept: {self.kept}. Over the seeds, {name} on "
            f"{split} is {mean:.4f} with a standard deviation of {deviation:.4f}."
        )

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of what the seeds reach, for a table."""
        rows = [("seeds", f"{self.kept} was kept, by {self.metric} on {self.chosen_on}")]
        for name, (mean, deviation) in self.spread().items():
            each = ", ".join(f"{run.name} {run.metrics[name]:.4f}" for run in self.runs)
            rows.append((f"  {name}", f"mean {mean:.4f}, sd {deviation:.4f} ({each})"))
        return rows


@dataclass(frozen=True, kw_only=True)
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
        training_seconds: evaluations and checkpoints included, over all parts of a run that was resumed.
        texts_per_second: training texts over `training_seconds`.
        hardware: what it ran on.
        precision: no (float32), bf16 or fp16.
        versions: of Python and packages.
        problem_type: what the model says of a text, as transformers names it.
        weights_sha256: see `hfcls.runs.weights`; empty if the run is older than this attribute.
        submission_rows: of a test split without labels, which were predicted to submission.csv.
        seeds: of a run of several seeds; None of any other.
    """

    finished: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
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
    versions: dict[str, str] = field(default_factory=lambda: versions())
    problem_type: str = "single_label_classification"
    weights_sha256: str = ""
    submission_rows: int = 0
    seeds: Seeds | None = None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "RunFacts":
        """From `dataclasses.asdict` of another, for instance out of JSON."""
        splits = {name: SplitFacts(**split) for name, split in values["splits"].items()}
        seeds = Seeds.from_dict(values["seeds"]) if values.get("seeds") else None
        return cls(**{**values, "splits": splits, "seeds": seeds})


BEST = {
    "eval_loss": "the lowest loss",
    "accuracy": "the highest accuracy",
    "macro_f1": "the highest macro F1",
    "micro_f1": "the highest micro F1",
    "pearson": "the highest Pearson correlation",
    "spearman": "the highest Spearman correlation",
}


def protocol(
    splits: Collection[str],
    selected_on: str | None,
    carved: str,
    metric: str = "eval_loss",
    unlabelled: int = 0,
    tuned: Collection[str] = (),
) -> str:
    """Which rows trained, chose and scored, in a sentence or two.

    Args:
        splits: that the run used.
        selected_on: the split that chose the checkpoint.
        carved: how the validation split was cut from train, such as "10% of train (stratified, by text, seed 7)"; empty
            if it was not.
        metric: of `BEST`, by which the checkpoint was chosen; last: it was not chosen.
        unlabelled: rows of a test split without labels.
        tuned: what else was found on the validation split, such as "the thresholds".
    """
    origin = f", {carved}," if carved else ""
    if metric == "last" and selected_on is not None:
        chose = " and ".join(tuned) or "nothing"
        chosen = f"The last checkpoint was kept; the {selected_on} split{origin} chose {chose}."
    elif selected_on is None:
        chosen = "Nothing was held out to choose a checkpoint: the last one was kept."
    elif selected_on == "test":
        chosen = f"The checkpoint with {BEST[metric]} on the test split was kept: its score is not a held-out one."
    else:
        chosen = f"The checkpoint with {BEST[metric]} on the validation split{origin} was kept."
    if selected_on == "test" or (selected_on is None and "test" not in splits):
        return chosen
    if "test" in splits:
        return f"{chosen} The test split was scored once, after that."
    why = "The test split has no labels" if unlabelled else "There is no test split"
    return f"{chosen} {why}: the scores are those of the validation split."


def work_ahead(corpus: DatasetDict, batch_size: int, args: Any) -> str:
    """Rows of each split, where they are trained on, in what batches and what precision: a line of the log."""
    splits = ", ".join(f"{split} {len(rows):,}" for split, rows in corpus.items())
    alone = (args.world_size, args.device.type) == (1, "cpu")
    where = "the CPU" if alone else f"{args.world_size} x {args.device.type}"
    mixed = getattr(args, "mixed_precision", "no")
    return f"{splits}; on {where}, batches of {batch_size}, {'float32' if mixed == 'no' else mixed}"


def batch_facts(
    encoded: Dataset, batch_size: int, max_length: int, row_length: int | None, seed: int
) -> dict[str, Any]:
    """`padding` and `tokens_per_text` of `RunFacts`, on up to 64 random batches of a split that `encode` made."""
    texts = sampled_lengths(encoded, batch_size, seed)
    lengths = [length for windows in texts for length in windows]
    return {
        "padding": padding_shares(lengths, round(batch_size * len(lengths) / len(texts)), max_length, row_length),
        "tokens_per_text": sum(lengths) / len(texts),
    }


def sampled_lengths(encoded: Dataset, batch_size: int, seed: int) -> list[list[int]]:
    """Tokens of the windows, or the one, of each text of up to 64 random batches of a split that `encode` made."""
    count = min(len(encoded), SAMPLED_BATCHES * batch_size)
    chosen = np.random.default_rng(seed).choice(len(encoded), count, replace=False)
    rows = encoded.select(chosen)
    if "window_lengths" in rows.column_names:
        return list(rows["window_lengths"])
    return [[len(input_ids)] for input_ids in rows["input_ids"]]


def hardware(device: torch.device, world_size: int) -> str:
    """Such as `2 x NVIDIA L4` or `1 x CPU (AMD EPYC 7B13, 2 threads)`."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    elif device.type == "cpu":
        threads = torch.get_num_threads()
        name = f"CPU ({_processor()}, {threads} thread{'s' if threads > 1 else ''})"
    else:
        name = device.type.upper() if device.type != "xla" else os.environ.get("PJRT_DEVICE", "XLA")
    return f"{world_size} x {name}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Of Python, hfcls and the packages that decide what a run computes."""
    return {
        "python": platform.python_version(),
        "hfcls": __version__,
        **{name: version(name) for name in PACKAGES},
    }
