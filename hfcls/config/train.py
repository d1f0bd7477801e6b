"""The options of `hfcls train`: one dataclass per concern."""

from dataclasses import dataclass, fields
from typing import Any, Literal

from hfcls.config.optimization import OptimizationConfig, SelectionConfig, TrainingConfig
from hfcls.config.options import MOST_ROWS, MOST_TOKENS, Config, check_at_least, check_range, option
from hfcls.config.reading import ReadingConfig
from hfcls.errors import HfclsError

MOST_WORKERS = 2**10


@dataclass(kw_only=True)
class DataConfig(ReadingConfig):
    """Which labelled texts."""

    dataset: str = option(
        "nsmc",
        "nsmc, demo, a csv/tsv/json/jsonl/parquet/Excel file, a folder of split files, a quoted pattern, or a Hub id",
        path=True,
        in_card="never",
    )
    dataset_config: str | None = option(None, "configuration of a Hub dataset, such as ynat of klue/klue")
    data_dir: str | None = option(
        None,
        "folder that holds, or will receive, nsmc/ratings_train.txt (default ~/Korpora)",
        path=True,
        resumable=True,
        recorded=False,
        in_card="never",
    )
    text_column: str = option("text", "column with the text, or several between commas, which are joined")
    text_pair_column: str | None = option(None, "column with a second text, for sentence pairs")
    label_column: str = option("label", "column with the class, or the number of a regression")
    label_columns: str | None = option(
        None, "columns of 0 and 1, such as 배송,품질,가격: a text has each label whose column holds 1"
    )
    label_separator: str | None = option(None, "between the labels of a text that has several in one cell, such as ,")
    task: Literal["classification", "regression"] | None = option(
        None, "regression: predict a number (default: classification, detected from the labels)"
    )
    drop_unlabelled: bool = option(False, "leave out rows without a label, which are an error otherwise")

    def check(self) -> None:
        several = [name for name in ("label_columns", "label_separator") if getattr(self, name)]
        if len(several) > 1 or (several and self.task == "regression"):
            other = several[1] if len(several) > 1 else "task regression"
            raise HfclsError(f"{several[0]} does not go together with {other}: drop one of them")

    def columns(self) -> dict[str, str | None]:
        """The options that say where texts and labels stand."""
        names = ("text_column", "text_pair_column", "label_column", "label_columns", "label_separator")
        return {name: getattr(self, name) for name in names}

    def corpus_options(self) -> dict[str, Any]:
        """The arguments of `hfcls.load_corpus`."""
        return {f.name: getattr(self, f.name) for f in fields(DataConfig)}


@dataclass(kw_only=True)
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
    output_columns: str | None = option(
        None,
        "columns of a test split without labels to keep in submission.csv, such as id (default: all but the texts)",
        resumable=True,
        in_card="never",
    )

    def row_limits(self) -> dict[str, int | None]:
        """The most rows of each split that are used; None: all."""
        return {name: getattr(self, f"max_{name}_samples") for name in ("train", "validation", "test")}

    def split_options(self) -> dict[str, Any]:
        """The arguments of `hfcls.data.corpora.load_splits`."""
        return {**self.corpus_options(), "output_columns": self.output_columns, "most": self.max_test_samples}

    def check(self) -> None:
        check_range("validation_size", self.validation_size, 0 <= self.validation_size < 1, "at least 0 and below 1")
        for name in ("max_train_samples", "max_validation_samples", "max_test_samples"):
            check_at_least(name, getattr(self, name), 1)


@dataclass(kw_only=True)
class ModelConfig(Config):
    """Which encoder, and how texts become its input."""

    model: str = option(
        "beomi/kcbert-base",
        "Hub id or folder of a pretrained encoder, or hfcls-small-ko, which ships with hfcls; scratch or a shape, "
        "4x256: random weights; baseline: no encoder",
        path=True,
        in_card="never",
    )
    max_length: int = option(
        128, "tokens per text, special tokens included; see long_texts for longer texts", in_card="always"
    )
    long_texts: Literal["truncate", "windows"] = option(
        "truncate",
        "of more than max_length tokens: cut off the rest, or read windows and take the mean of their logits",
    )
    stride: int = option(32, "of windows: tokens that each shares with the one before")
    batching: Literal["packed", "longest", "fixed"] | None = option(
        None,
        "how a batch is laid out: packed (no padding), longest (of the batch) or fixed (max_length); "
        "default: packed where that is exact, else longest",
        resumable=True,
    )
    allow_unknown: bool = option(False, "train even if the tokenizer does not know two fifths of the tokens")
    trust_remote_code: bool = option(False, "run Python code that the model's repository holds")
    row_length: int | None = option(
        None, "tokens per packed row (default: chosen per batch, at most max_length)", resumable=True
    )

    def check(self) -> None:
        check_at_least("max_length", self.max_length, 3, MOST_TOKENS)
        check_at_least("row_length", self.row_length, 3, MOST_TOKENS)
        check_at_least("stride", self.stride, 0)
        if self.long_texts == "truncate" and self.stride != ModelConfig.stride:
            raise HfclsError("stride applies to long_texts: windows; set that too, or drop stride")
        if self.long_texts == "windows" and getattr(self, "text_pair_column", None):
            raise HfclsError("long_texts: windows is for single texts, found text_pair_column: drop one of them")
        if self.row_length is not None and self.batching in ("longest", "fixed"):
            raise HfclsError(
                f"row_length applies to batching: packed, found batching: {self.batching}; drop one of them"
            )
        if self.row_length is not None and self.row_length < self.max_length:
            raise HfclsError(
                f"row_length {self.row_length} is below max_length {self.max_length}: a text of {self.max_length} "
                "tokens would not fit; raise row_length or lower max_length"
            )


@dataclass(kw_only=True)
class FollowedConfig(Config):
    """Where a run lives and how it is followed."""

    output_dir: str = option(
        "outputs/run",
        "folder for the model, its checkpoints and results",
        path=True,
        resumable=True,
        recorded=False,
        in_card="never",
    )
    resume: bool = option(
        False,
        "continue from the newest whole checkpoint of output_dir, or start fresh without one",
        resumable=True,
        recorded=False,
        in_card="never",
    )
    overwrite_output_dir: bool = option(
        False, "replace an earlier run in output_dir", resumable=True, recorded=False, in_card="never"
    )
    save_minutes: float = option(
        10.0, "minutes after which a checkpoint is written within an epoch; 0: each step", resumable=True
    )
    eval_batch_size: int = option(128, "rows per forward pass in evaluation, per process", resumable=True)
    logging_steps: int = option(50, "optimizer steps between two lines of the log", resumable=True, in_card="never")
    dataloader_num_workers: int = option(0, "processes that prepare batches", resumable=True)
    report_to: str = option(
        "auto",
        "tracker(s) that Trainer knows, such as wandb,mlflow; none; all; auto: tensorboard if installed",
        resumable=True,
        in_card="never",
    )
    report: bool = option(
        True, "end with report.html, if the extra `report` is installed", resumable=True, in_card="never"
    )

    def check(self) -> None:
        check_at_least("eval_batch_size", self.eval_batch_size, 1, MOST_ROWS)
        check_at_least("logging_steps", self.logging_steps, 1)
        check_at_least("dataloader_num_workers", self.dataloader_num_workers, 0, MOST_WORKERS)
        check_range("save_minutes", self.save_minutes, 0 <= self.save_minutes < float("inf"), "at least 0")
        if self.resume and self.overwrite_output_dir:
            raise HfclsError("resume continues an earlier run and overwrite_output_dir deletes it: choose one")


@dataclass(kw_only=True)
class RunConfig(FollowedConfig):
    """What a run leaves beside its model."""

    baseline: bool = option(
        True, "also score character n-grams with logistic regression on the same rows", resumable=True, in_card="never"
    )
    metrics: str | None = option(
        None,
        "further metrics of the library evaluate, by name or path, such as f1 ./mine",
        resumable=True,
        in_card="never",
        several=True,
    )
    card_language: Literal["en", "ko"] = option("en", "language of the model card", resumable=True, in_card="never")


@dataclass(kw_only=True)
class HubConfig(Config):
    """Whether the model is published on the Hugging Face Hub."""

    push_to_hub: bool = option(
        False, "push the model at the end of the run; its start checks the login", resumable=True, in_card="never"
    )
    hub_model_id: str | None = option(
        None,
        "repository to push to, name or namespace/name (default: the name of output_dir)",
        resumable=True,
        in_card="never",
    )
    hub_private: bool = option(False, "make a new repository private", resumable=True, in_card="never")

    def check(self) -> None:
        for name in ("hub_model_id", "hub_private"):
            if getattr(self, name) and not self.push_to_hub:
                raise HfclsError(f"{name} applies to push_to_hub only: set that too, or drop {name}")


@dataclass(kw_only=True)
class TrainConfig(HubConfig, RunConfig, TrainingConfig, ModelConfig, SplitConfig):
    """All options of `hfcls train` and `hfcls.fine_tune`."""

    def training_options(self) -> dict[str, Any]:
        """The arguments of `hfcls.training.arguments.training_arguments`."""
        of_run = ("output_dir", "seed", "save_minutes", "eval_batch_size", "logging_steps", "dataloader_num_workers")
        of_training = (f.name for group in (OptimizationConfig, SelectionConfig) for f in fields(group))
        names = [*of_training, *of_run, "label_smoothing", "focal_gamma", "rdrop", "fgm", "report_to"]
        return {name: getattr(self, name) for name in names}

    def publishing_options(self) -> dict[str, Any]:
        """The arguments of `hfcls.publishing.after_run.publish` that are options."""
        return {name: getattr(self, name) for name in ("report", "card_language", "hub_private")}
