"""What a run was made of: data and its hashes, options, padding, versions, hardware, time."""

import dataclasses
import hashlib
import json
import os
import platform
from collections.abc import Collection
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict

from hfcls.config.train import Config, TrainConfig
from hfcls.checks.cost import padding_shares
from hfcls.batching.packing import choose_batching
from hfcls.runs.results import RunFacts, SplitFacts

if TYPE_CHECKING:
    from hfcls.training.trainer import ClassificationTrainer

PACKAGES = ("torch", "transformers", "accelerate", "datasets", "tokenizers", "numpy")
SAMPLED_BATCHES = 64
PLACES = ("output_dir", "data_dir", "resume", "overwrite_output_dir")


def run_facts(
    config: TrainConfig,
    trainer: "ClassificationTrainer",
    training: dict[str, float],
    splits: dict[str, SplitFacts],
    *,
    num_parameters: int,
    carved: bool,
    eval_split: str | None,
) -> RunFacts:
    """The facts of a run that has just ended.

    Args:
        training: metrics of `trainer.train`.
        splits: as they were used, from `split_facts`.
        num_parameters: weights of the model with its head.
        carved: the validation split was cut from train.
        eval_split: chose the checkpoint.
    """
    args, batch_size = trainer.args, trainer.args.per_device_train_batch_size
    model: Any = trainer.model
    lengths = sampled_lengths(trainer.train_dataset, batch_size, config.seed)
    return RunFacts(
        finished=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        model=config.model,
        architecture=type(model).__name__,
        num_parameters=num_parameters,
        dataset=config.dataset,
        splits=splits,
        selected_on=eval_split,
        protocol=_protocol(config, splits, carved, eval_split),
        options=changed_options(config),
        batching=choose_batching(model, config.batching),
        padding=padding_shares(lengths, batch_size, config.max_length, config.row_length),
        tokens_per_text=sum(lengths) / len(lengths),
        steps=trainer.state.global_step,
        training_seconds=training["train_runtime"],
        texts_per_second=training["train_samples_per_second"],
        hardware=hardware(args.device, args.world_size),
        precision=trainer.accelerator.mixed_precision,
        versions=versions(),
    )


def _protocol(config: TrainConfig, splits: Collection[str], carved: bool, eval_split: str | None) -> str:
    if eval_split is None:
        chosen = "Nothing was held out to choose a checkpoint: the last one was kept."
    elif eval_split == "test":
        chosen = "The checkpoint with the lowest loss on the test split was kept: its score is not a held-out one."
    else:
        origin = f", {config.validation_size:.0%} of train (stratified, seed {config.seed})," if carved else ""
        chosen = f"The checkpoint with the lowest loss on the validation split{origin} was kept."
    if eval_split == "test" or (eval_split is None and "test" not in splits):
        return chosen
    if "test" in splits:
        return f"{chosen} The test split was scored once, after that."
    return f"{chosen} There is no test split: the scores are those of the validation split."


def split_facts(corpus: DatasetDict) -> dict[str, SplitFacts]:
    """Rows, classes and hash of each split of a corpus of `load_corpus`."""
    facts = {}
    for split, rows in corpus.items():
        names = rows.features["label"].names
        counts = np.bincount(rows.with_format("numpy")["label"][:], minlength=len(names))
        facts[split] = SplitFacts(len(rows), dict(zip(names, counts.tolist(), strict=True)), fingerprint(rows))
    return facts


def fingerprint(rows: Dataset) -> str:
    """SHA-256 of the rows in their order: a line of JSON, `["text", "label name"]` (a pair: two texts), for each."""
    names = rows.features["label"].names
    texts = [column for column in ("text", "text_pair") if column in rows.column_names]
    digest = hashlib.sha256()
    for batch in rows.iter(10_000):
        columns = [*(batch[column] for column in texts), [names[label] for label in batch["label"]]]
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in zip(*columns, strict=True))
        digest.update("".join(lines).encode())
    return digest.hexdigest()


def sampled_lengths(encoded: Dataset, batch_size: int, seed: int) -> list[int]:
    """Tokens of the texts of up to 64 random batches of a split that `encode` made."""
    count = min(len(encoded), SAMPLED_BATCHES * batch_size)
    chosen = np.random.default_rng(seed).choice(len(encoded), count, replace=False)
    return [len(input_ids) for input_ids in encoded.select(chosen)["input_ids"]]


def changed_options(config: Config) -> dict[str, Any]:
    """The options of `config` that are not at their defaults, but for those that say where the run lives."""
    changed = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if vars(config)[f.name] != f.default}
    return {name: value for name, value in changed.items() if name not in PLACES}


def hardware(device: torch.device, world_size: int) -> str:
    """Such as `2 x NVIDIA L4` or `1 x CPU (AMD EPYC 7B13, 2 threads)`."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    elif device.type == "cpu":
        name = f"CPU ({_processor()}, {torch.get_num_threads()} threads)"
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
    from hfcls import __version__

    return {
        "python": platform.python_version(),
        "hfcls": __version__,
        **{name: version(name) for name in PACKAGES},
    }
