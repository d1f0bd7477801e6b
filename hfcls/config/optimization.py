"""How a classifier is trained: steps and rates, loss, choice of a checkpoint, how sure it may be, and which seeds."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from hfcls.config.defaults import OF_STEPS, LeftOpen
from hfcls.config.options import MOST_ROWS, Config, check_at_least, check_divides, check_range, option
from hfcls.errors import HfclsError

MOST_SEEDS, MOST_RANK = 100, 2**10


@dataclass(kw_only=True)
class StartConfig(Config):
    """From where the training starts."""

    warm_head: bool = option(
        True, "fit the head on the features of the training texts before all weights train, where known", before=False
    )
    freeze_encoder: bool = option(False, "stop after --warm_head: the encoder stays as it is")
    pooling: Literal["first", "mean"] | None = option(
        None,
        "what the head reads: a text's first token, or the mean of all (default: mean with --warm_head, if pretrained)",
        before="first",
    )
    layers: str | None = option(
        None,
        "layers to keep: all, a number, or auto: as many as serve the task (default with --warm_head, if pretrained)",
        before="all",
    )

    def check(self) -> None:
        good = self.layers in (None, "all", "auto") or (
            self.layers.isascii() and self.layers.isdigit() and int(self.layers) > 0
        )
        check_range("layers", self.layers, good, "all, auto or a whole number above 0")
        for name, without in (("freeze_encoder", False), ("pooling", "first"), ("layers", "all")):
            if getattr(self, name) not in (None, without) and not self.warm_head:
                raise HfclsError(f"{name} belongs to a head that is fitted first: set --warm_head, or drop --{name}")


@dataclass(kw_only=True)
class OptimizationConfig(Config):
    """Steps and rates."""

    num_train_epochs: int | None = option(
        None,
        "passes over the training rows (default: 6 up to 1,500 rows, 4 up to 10,000, else 3)",
        resumable=True,
        in_card="always",
    )
    max_steps: int | None = option(None, "stop after this many steps, whatever num_train_epochs says", resumable=True)
    batch_size: int = option(
        16, "rows per optimizer step, over all processes and accumulation steps together", in_card="always"
    )
    gradient_accumulation_steps: int = option(1, "forward passes per optimizer step, to save memory")
    gradient_checkpointing: bool = option(
        False, "compute each layer twice and keep little of it, to save memory", resumable=True
    )
    bf16: bool = option(False, "compute in bfloat16 where that is exact enough; weights stay float32")
    fp16: bool = option(False, "compute in float16 on a GPU; weights stay float32")
    optimizer: Literal["adam", "adamw"] = option("adamw", "adamw: with weight_decay", in_card="always", before="adam")
    weight_decay: float | None = option(
        None, "of adamw, on all weights but biases and norms (default: 0.01 with adamw)", in_card="always", before=0.0
    )
    learning_rate: float | None = option(
        None, "the highest rate (default: 1e-4; 5e-5 for encoders of width 768 and more)", in_card="always"
    )
    lr_scheduler: Literal["exponential", "linear", "cosine", "constant"] = option(
        "linear",
        "how the rate falls: times lr_gamma after each epoch (exponential), to 0 (linear, cosine), or not at all",
        in_card="always",
        before="exponential",
    )
    lr_gamma: float = option(
        0.9, "of exponential: the rate is multiplied by this after each epoch; 1.0 keeps it constant", in_card="always"
    )
    warmup_ratio: float = option(0.1, "share of the steps in which the rate rises from 0", in_card="always", before=0.0)
    layerwise_lr_decay: float = option(
        1.0, "the rate of each layer is this times that of the layer above it; 1.0: all have the same"
    )
    lora_rank: int | None = option(
        None, "train low-rank updates of this rank in place of all weights of the encoder (extra lora)"
    )
    max_grad_norm: float = option(1.0, "clip the gradient to this norm; 0: no clipping")

    def check(self) -> None:
        for name in ("num_train_epochs", "max_steps", "gradient_accumulation_steps"):
            check_at_least(name, getattr(self, name), 1)
        check_at_least("lora_rank", self.lora_rank, 1, MOST_RANK)
        if self.lora_rank and getattr(self, "freeze_encoder", False):
            raise HfclsError("lora_rank trains updates of the encoder that freeze_encoder leaves alone: drop one")
        check_at_least("batch_size", self.batch_size, 1, MOST_ROWS)
        rate, decay = self.learning_rate, self.weight_decay
        check_range("learning_rate", rate, rate is None or 0 < rate < float("inf"), "above 0")
        for name in ("lr_gamma", "layerwise_lr_decay"):
            check_range(name, getattr(self, name), 0 < getattr(self, name) <= 1, "above 0 and at most 1")
        check_range("warmup_ratio", self.warmup_ratio, 0 <= self.warmup_ratio < 1, "at least 0 and below 1")
        check_range("weight_decay", decay, decay is None or 0 <= decay < float("inf"), "at least 0")
        check_range("max_grad_norm", self.max_grad_norm, 0 <= self.max_grad_norm < float("inf"), "at least 0")
        check_divides(self.batch_size, self.gradient_accumulation_steps)
        if self.weight_decay and self.optimizer == "adam":
            raise HfclsError(
                f"weight_decay {self.weight_decay:g} is of adamw: set --optimizer adamw, or --weight_decay 0"
            )
        if self.lr_gamma != 0.9 and self.lr_scheduler != "exponential":
            raise HfclsError(
                f"lr_gamma {self.lr_gamma:g} is of the exponential schedule, found {self.lr_scheduler}: set "
                "--lr_scheduler exponential, or leave out --lr_gamma"
            )
        if self.bf16 and self.fp16:
            raise HfclsError("bf16 and fp16 are two ways to compute: choose one")


@dataclass(kw_only=True)
class LossConfig(Config):
    """What an error costs."""

    label_smoothing: float = option(0.0, "share of each label that is spread over all classes")
    class_weights: str = option(
        "none",
        "how much a row of a class counts: none (all alike), balanced (each class as much as any other), or "
        '"NAME=2,OTHER=0.5", where classes that are not named count 1',
    )
    focal_gamma: float = option(0.0, "of the focal loss, by which rows that are known already count less; 0: none")
    rdrop: float = option(0.0, "weight of R-Drop: each text twice a step, to the same answer; 0: none, 1: usual")
    fgm: float | None = option(
        None,
        "FGM: each text also with its embeddings moved against the model by this share; 0: none (default: 0.03 up to "
        "500 rows with --warm_head, if pretrained)",
        before=0.0,
    )

    def check(self) -> None:
        check_range("label_smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1, "at least 0 and below 1")
        for name in ("focal_gamma", "rdrop", "fgm"):
            check_range(name, getattr(self, name), 0 <= (getattr(self, name) or 0) < float("inf"), "at least 0")
        changed = [f.name for f in fields(LossConfig) if (getattr(self, f.name) or f.default) != f.default]
        if changed and getattr(self, "freeze_encoder", False):
            raise HfclsError(f"{changed[0]} is for training by steps, of which freeze_encoder takes none: drop one")


@dataclass(kw_only=True)
class ConfidenceConfig(Config):
    """What the probabilities of the trained model mean."""

    calibrate: bool | None = option(
        None, "fit a temperature on validation, so that 0.9 is right nine times in ten (default: from 50 rows on)"
    )
    target_accuracy: float | None = option(
        None, "such as 0.95: find on validation the confidence below which the model should hand over to a person"
    )

    def check(self) -> None:
        target = self.target_accuracy
        check_range("target_accuracy", target, target is None or 0 < target < 1, "above 0 and below 1")

    def confidence_options(self) -> dict[str, Any]:
        """The arguments of `hfcls.scoring.confidence.fitting.check_confidence`."""
        return {f.name: getattr(self, f.name) for f in fields(ConfidenceConfig)}


@dataclass(kw_only=True)
class SelectionConfig(Config):
    """Which checkpoint is kept."""

    metric_for_best_model: (
        Literal["eval_loss", "accuracy", "macro_f1", "micro_f1", "pearson", "spearman", "last"] | None
    ) = option(
        None,
        "the checkpoint that is best by this number, on validation, is kept; last: the last in any case (default; "
        "eval_loss with --early_stopping_patience or --select_on_test)",
        before="eval_loss",
    )
    eval_steps: int | None = option(
        None, "evaluate, and write a checkpoint, after every so many optimizer steps (default: after each epoch)"
    )
    early_stopping_patience: int | None = option(
        None, "stop after this many evaluations without a better metric_for_best_model"
    )

    def check(self) -> None:
        for name in ("eval_steps", "early_stopping_patience"):
            check_at_least(name, getattr(self, name), 1)
        for name in ("early_stopping_patience", "select_on_test"):
            if self.metric_for_best_model == "last" and getattr(self, name, None):
                raise HfclsError(f"{name} needs a number to go by, and metric_for_best_model is last: drop one of them")


@dataclass(kw_only=True)
class SeedConfig(Config):
    """What is drawn by chance, and how often."""

    seed: int = option(7, "seed of the new head, the shuffling, dropout and the validation split", in_card="always")
    split_seed: int | None = option(None, "seed of the validation split (default: seed)")
    seeds: int = option(
        1, "runs, from seed on, each in a folder seed-N; the best on validation becomes the model", resumable=True
    )
    ensemble: bool = option(False, "with seeds: keep the mean of their weights if that is better", resumable=True)

    def check(self) -> None:
        for name in ("seed", "split_seed"):
            seed = getattr(self, name)
            check_range(name, seed, seed is None or 0 <= seed < 2**32, "from 0 to 2**32 - 1")
        check_at_least("seeds", self.seeds, 1, MOST_SEEDS)
        if self.ensemble and self.seeds == 1:
            raise HfclsError("ensemble is the mean of several runs: set seeds, such as --seeds 3, or drop ensemble")

    @property
    def cut_seed(self) -> int:
        """The seed by which the validation split is cut."""
        return self.seed if self.split_seed is None else self.split_seed


@dataclass(kw_only=True)
class TrainingConfig(
    LeftOpen, SeedConfig, ConfidenceConfig, SelectionConfig, LossConfig, OptimizationConfig, StartConfig
):
    """All about how a classifier is trained."""


def idle(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The options of a run, defaults included, that decided nothing of it."""
    if options.get("freeze_encoder"):
        return (*OF_STEPS, "batch_size", "optimizer", "weight_decay")
    return () if options.get("lr_scheduler") == "exponential" else ("lr_gamma",)
