"""Every option of hfcls: one dataclass per concern, checked the same way from YAML, command line and Python."""

import dataclasses
import difflib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from hfcls.errors import HfclsError
from hfcls.config.options import Config, at_least, in_range, option

C = TypeVar("C", bound="Config")

MOST_TOKENS = MOST_ROWS = 2**16  # of a text, of a batch: what is more would end in a lack of memory
MOST_WORKERS = 2**10


@dataclass
class DataConfig(Config):
    """Which labelled texts."""

    dataset: str = option("nsmc", "nsmc, demo, a csv/tsv/json/jsonl/parquet file, a folder of split files, or a Hub id")
    dataset_config: str | None = option(None, "configuration of a Hub dataset, such as ynat of klue/klue")
    data_dir: str | None = option(
        None, "folder that holds, or will receive, nsmc/ratings_train.txt (default ~/Korpora)"
    )
    text_column: str = option("text", "column with the text")
    text_pair_column: str | None = option(None, "column with a second text, for sentence pairs")
    label_column: str = option("label", "column with the class")

    def corpus_options(self) -> dict[str, Any]:
        """The arguments of `hfcls.load_corpus`."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(DataConfig)}


@dataclass
class SplitConfig(DataConfig):
    """Which rows train, which select the checkpoint, which are scored once at the end."""

    validation_size: float = option(
        0.1, "share of train kept for validation (seeded, stratified) where the data has none; 0 for none"
    )
    select_on_test: bool = option(False, "choose the checkpoint on the test split, as the book does")
    drop_duplicates: bool = option(False, "of training rows with the same text (normalised), keep the first only")
    drop_overlap: bool = option(False, "drop training rows whose text (normalised) stands in validation or test")
    max_train_samples: int | None = option(None, "use the first N training rows only")
    max_validation_samples: int | None = option(None, "use the first N validation rows only")
    max_test_samples: int | None = option(None, "use the first N test rows only")

    def check(self) -> None:
        in_range("validation_size", self.validation_size, 0 <= self.validation_size < 1, "at least 0 and below 1")
        for name in ("max_train_samples", "max_validation_samples", "max_test_samples"):
            at_least(name, getattr(self, name), 1)


@dataclass
class ModelConfig(Config):
    """Which encoder, and how texts become its input."""

    model: str = option("beomi/kcbert-base", "Hub id or folder of a pretrained encoder; scratch: a small random one")
    max_length: int = option(128, "tokens per text, special tokens included; longer texts are truncated")
    batching: Literal["packed", "longest", "fixed"] | None = option(
        None,
        "how a batch is laid out: packed (no padding), longest (of the batch) or fixed (max_length); "
        "default: packed where that is exact, else longest",
    )
    trust_remote_code: bool = option(False, "run Python code that the model's repository holds")
    row_length: int | None = option(None, "tokens per packed row (default: chosen per batch, at most max_length)")

    def check(self) -> None:
        at_least("max_length", self.max_length, 3, MOST_TOKENS)
        at_least("row_length", self.row_length, 3, MOST_TOKENS)
        if self.row_length is not None and self.batching in ("longest", "fixed"):
            raise HfclsError(
                f"row_length applies to batching: packed, found batching: {self.batching}; drop one of them"
            )
        if self.row_length is not None and self.row_length < self.max_length:
            raise HfclsError(
                f"row_length {self.row_length} is below max_length {self.max_length}: a text of {self.max_length} "
                "tokens would not fit; raise row_length or lower max_length"
            )


@dataclass
class OptimizationConfig(Config):
    """Adam with a per-epoch exponential decay of the rate."""

    num_train_epochs: int = option(3, "passes over the training rows")
    max_steps: int | None = option(None, "stop after this many optimizer steps (overrides num_train_epochs)")
    batch_size: int = option(32, "rows per optimizer step, over all processes and accumulation steps together")
    gradient_accumulation_steps: int = option(1, "forward passes per optimizer step, to save memory")
    learning_rate: float = option(5e-5, "Adam's rate in the first epoch")
    lr_gamma: float = option(0.9, "the rate is multiplied by this after each epoch; 1.0 keeps it constant")
    max_grad_norm: float = option(0.0, "clip the gradient to this norm; 0: no clipping")
    early_stopping_patience: int | None = option(None, "stop after this many epochs without a lower eval_loss")

    def check(self) -> None:
        for name in ("num_train_epochs", "max_steps", "gradient_accumulation_steps"):
            at_least(name, getattr(self, name), 1)
        at_least("batch_size", self.batch_size, 1, MOST_ROWS)
        at_least("early_stopping_patience", self.early_stopping_patience, 1)
        in_range("learning_rate", self.learning_rate, 0 < self.learning_rate < float("inf"), "above 0")
        in_range("lr_gamma", self.lr_gamma, 0 < self.lr_gamma <= 1, "above 0 and at most 1")
        in_range("max_grad_norm", self.max_grad_norm, 0 <= self.max_grad_norm < float("inf"), "at least 0")
        if self.batch_size % self.gradient_accumulation_steps:
            raise HfclsError(
                f"batch_size {self.batch_size} does not divide by gradient_accumulation_steps "
                f"{self.gradient_accumulation_steps}; change one of them"
            )


@dataclass
class RunConfig(Config):
    """Where a run lives and how it is followed."""

    output_dir: str = option("outputs/run", "folder for the model, its checkpoints and results")
    seed: int = option(7, "seed of the new head, the shuffling, dropout and the validation split")
    resume: bool = option(False, "continue from the newest whole checkpoint of output_dir, or start fresh without one")
    overwrite_output_dir: bool = option(False, "replace an earlier run in output_dir")
    save_minutes: float = option(10.0, "minutes after which a checkpoint is written within an epoch; 0: each step")
    eval_batch_size: int = option(128, "rows per forward pass in evaluation, per process")
    logging_steps: int = option(50, "optimizer steps between two lines of the log")
    dataloader_num_workers: int = option(0, "processes that prepare batches")
    report: bool = option(True, "end with report.html, if the extra `report` is installed")
    report_to: str = option(
        "auto", "tracker(s) that Trainer knows, such as wandb,mlflow; none; all; auto: tensorboard if installed"
    )

    def check(self) -> None:
        in_range("seed", self.seed, 0 <= self.seed < 2**32, "from 0 to 2**32 - 1")
        at_least("eval_batch_size", self.eval_batch_size, 1, MOST_ROWS)
        at_least("logging_steps", self.logging_steps, 1)
        at_least("dataloader_num_workers", self.dataloader_num_workers, 0, MOST_WORKERS)
        in_range("save_minutes", self.save_minutes, 0 <= self.save_minutes < float("inf"), "at least 0")
        if self.resume and self.overwrite_output_dir:
            raise HfclsError("resume continues an earlier run and overwrite_output_dir deletes it: choose one")


@dataclass
class HubConfig(Config):
    """Whether the model is published on the Hugging Face Hub."""

    push_to_hub: bool = option(False, "push the saved model at the end of the run; the login is checked at its start")
    hub_model_id: str | None = option(
        None, "repository to push to, name or namespace/name (default: the name of output_dir)"
    )
    hub_private: bool = option(False, "make a new repository private")

    def check(self) -> None:
        for name in ("hub_model_id", "hub_private"):
            if getattr(self, name) and not self.push_to_hub:
                raise HfclsError(f"{name} applies to push_to_hub only: set that too, or drop {name}")


@dataclass
class TrainConfig(HubConfig, RunConfig, OptimizationConfig, ModelConfig, SplitConfig):
    """All options of `hfcls train` and `hfcls.fine_tune`."""


@dataclass
class CheckConfig(DataConfig):
    """All options of `hfcls check` and `hfcls.check`."""

    model: str | None = option(None, "Hub id or folder of an encoder: count its tokens, measure its training steps")
    max_length: int = option(128, "tokens per text, as in training")
    batch_size: int = option(32, "rows per optimizer step, as in training")
    trust_remote_code: bool = option(False, "run Python code that the model's repository holds")
    seed: int = option(7, "seed of the random batches")
    output: str | None = option(None, "also write the findings to this JSON file")

    def check(self) -> None:
        at_least("max_length", self.max_length, 3, MOST_TOKENS)
        at_least("batch_size", self.batch_size, 1, MOST_ROWS)
        in_range("seed", self.seed, 0 <= self.seed < 2**32, "from 0 to 2**32 - 1")


@dataclass
class EvaluateConfig(DataConfig):
    """All options of `hfcls evaluate` and `hfcls.evaluate`."""

    model: str = option("outputs/run", "folder or Hub id of a fine-tuned classifier")
    trust_remote_code: bool = option(False, "run Python code that the model's repository holds")
    compare: str | None = option(None, "a second classifier to score on the same rows, with McNemar's paired test")
    split: Literal["train", "validation", "test"] | None = option(
        None, "split to score (default test, or the only one)"
    )
    max_samples: int | None = option(None, "score the first N rows only")
    batch_size: int = option(128, "rows per forward pass")
    batching: Literal["packed", "longest", "fixed"] | None = option(None, "how a batch is laid out, as in training")
    output: str | None = option(None, "also write the metrics to this JSON file")

    def check(self) -> None:
        at_least("max_samples", self.max_samples, 1)
        at_least("batch_size", self.batch_size, 1, MOST_ROWS)


@dataclass
class PredictConfig(Config):
    """All options of `hfcls predict`."""

    model: str = option("outputs/run", "folder or Hub id of a fine-tuned classifier")
    trust_remote_code: bool = option(False, "run Python code that the model's repository holds")
    batch_size: int = option(128, "texts per forward pass")
    batching: Literal["packed", "longest", "fixed", "exact"] | None = option(
        None, "how a batch is laid out, as in training; exact: no text changes another's result, to the last bit"
    )
    all_scores: bool = option(False, "give the probability of every class")
    input: str | None = option(None, "csv, tsv, json, jsonl or parquet file, or a folder of these, to label")
    output: str | None = option(None, "folder for the labelled shards of --input")
    format: Literal["parquet", "csv"] = option("parquet", "of the labelled shards")
    text_column: str = option("text", "column of --input with the text")
    text_pair_column: str | None = option(None, "column of --input with a second text, for sentence pairs")
    shard_size: int = option(50_000, "rows per shard; a run that was stopped continues after its last finished shard")

    def check(self) -> None:
        at_least("batch_size", self.batch_size, 1, MOST_ROWS)
        at_least("shard_size", self.shard_size, 1)
        if (self.input is None) != (self.output is None):
            raise HfclsError("input and output go together: the file or folder to label, and the folder for the result")
        for name in ("format", "text_column", "text_pair_column", "shard_size"):
            if self.input is None and getattr(self, name) != getattr(PredictConfig, name):
                raise HfclsError(f"{name} is about the files of input, and input is not given: add it, or drop {name}")


@dataclass
class PushConfig(Config):
    """All options of `hfcls push`."""

    hub_model_id: str | None = option(
        None, "repository to push to, name or namespace/name (default: the name of the folder)"
    )
    private: bool = option(False, "make a new repository private")
    yes: bool = option(False, "replace an existing repository that holds something else")
    dry_run: bool = option(False, "list what would be uploaded, and send nothing")


@dataclass
class ServeConfig(Config):
    """All options of `hfcls serve`."""

    host: str = option("127.0.0.1", "address to listen on; 0.0.0.0 lets other machines in")
    port: int | None = option(None, "port to listen on (default: the first free one from 7860 on)")
    max_chars: int = option(2_000, "characters that a text may have")
    max_texts: int = option(1_000, "texts that may come at once")
    trust_remote_code: bool = option(False, "run Python code that the model's repository holds")

    def check(self) -> None:
        in_range("port", self.port, self.port is None or 0 < self.port < 2**16, "from 1 to 65535")
        at_least("max_chars", self.max_chars, 1)
        at_least("max_texts", self.max_texts, 1)


def load_recipe(path: str | Path, config_class: type[C] = TrainConfig) -> C:  # type: ignore[assignment]
    """The options of a YAML file.

    Raises:
        HfclsError: no such file, not YAML, not a mapping, an unknown key or a bad value; names file and key.
    """
    return config_class(**recipe_values(Path(path), config_class))


def recipe_values(path: Path, config_class: type[Config]) -> dict[str, Any]:
    """What a YAML file says of the options of `config_class`; raises as `load_recipe`."""
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that holds a NUL or a surrogate
        reason = getattr(error, "strerror", None) or error
        raise HfclsError(
            f"no recipe {path} ({reason}): give the path of a YAML file, such as recipes/nsmc.yaml"
        ) from error
    try:
        values = yaml.load(content.decode("utf-8"), _EachKeyOnce)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, or a date such as 2020-99-99
        raise HfclsError(f"{path} is not valid YAML: {' '.join(str(error).split()):.500}") from error
    if not isinstance(values, dict):
        raise HfclsError(f"{path} must be a mapping of option: value, found {type(values).__name__}")
    known = {f.name for f in dataclasses.fields(config_class)}
    if unknown := [str(key) for key in values if key not in known]:
        raise HfclsError(f"{path}: unknown option {', '.join(unknown)}; {_suggestion(unknown[0], known)}")
    try:
        config_class(**values)
    except HfclsError as error:
        raise HfclsError(f"{path}: {error}") from error
    return values


class _EachKeyOnce(yaml.SafeLoader):
    """YAML as ever, but a key that stands twice is an error: PyYAML would silently take the second."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if repeated := sorted({key for key in keys if keys.count(key) > 1}):
            raise yaml.YAMLError(f"{', '.join(repeated)} stands there twice: keep one")
        return super().construct_mapping(node, deep)


def _suggestion(name: str, known: Collection[str]) -> str:
    if close := difflib.get_close_matches(name, known, n=1):
        return f"did you mean {close[0]}?"
    return f"known are {', '.join(sorted(known))}"
