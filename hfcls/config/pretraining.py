"""The options of `hfcls adapt`: masked-language-model pretraining on unlabelled texts."""

import re
from dataclasses import dataclass, fields
from typing import Any, Literal

from hfcls.config.options import MOST_ROWS, MOST_TOKENS, Config, check_at_least, check_divides, check_range, option
from hfcls.config.reading import ReadingConfig
from hfcls.config.train import FollowedConfig
from hfcls.errors import HfclsError

SCRATCH_SHAPE, SCRATCH_VOCABULARY = "4x256", 8000
SHAPE = re.compile(r"(\d{1,5})x(\d{1,5})")
MOST_LAYERS, MOST_WIDTH, MOST_WORDS = 2**8, 2**15, 2**22


@dataclass(kw_only=True)
class TextConfig(ReadingConfig):
    """Which unlabelled texts."""

    dataset: str | None = option(
        None,
        "texts without labels: a csv/tsv/json/jsonl/parquet/xlsx file, a .txt file with a text on each line, a folder "
        "or a pattern of such files, or the id of a dataset on the Hub",
        path=True,
        in_card="never",
    )
    text_column: str = option("text", "column with the text; several between commas are joined")
    label_column: str | None = option(
        None, "column with a label to learn beside the hidden tokens, each a token of the vocabulary, such as a rating"
    )
    validation_size: int = option(2_000, "texts held out to measure the perplexity, at most a tenth of all; 0 for none")

    def check(self) -> None:
        check_at_least("validation_size", self.validation_size, 0)


@dataclass(kw_only=True)
class EncoderConfig(Config):
    """Which encoder goes on learning, or begins."""

    model: str = option(
        "beomi/kcbert-base",
        "Hub id or folder of a pretrained encoder; scratch: a new BERT with a tokenizer learned from the texts",
        path=True,
        in_card="never",
    )
    shape: str | None = option(
        None, f"of a model from scratch: layers x hidden size, such as {SCRATCH_SHAPE} (which is the default)"
    )
    vocab_size: int | None = option(None, f"of a tokenizer from scratch (default {SCRATCH_VOCABULARY})")
    max_length: int = option(
        128, "tokens per text, special tokens included; longer texts become several", in_card="always"
    )
    batching: Literal["packed", "longest", "fixed"] | None = option(
        None, "how a batch is laid out, as in training", resumable=True
    )
    row_length: int | None = option(None, "tokens per packed row (default: chosen per batch)", resumable=True)
    trust_remote_code: bool = option(False, "run Python code that the model's repository holds")

    def check(self) -> None:
        check_at_least("max_length", self.max_length, 4, MOST_TOKENS)
        check_at_least("row_length", self.row_length, self.max_length, MOST_TOKENS)
        check_at_least("vocab_size", self.vocab_size, 100, MOST_WORDS)
        for name in ("shape", "vocab_size"):
            if self.model != "scratch" and getattr(self, name) is not None:
                raise HfclsError(f"{name} is for a model from scratch, found model {self.model}: drop {name}")
        check_range("model", self.model, not SHAPE.fullmatch(self.model), f"scratch, with --shape {self.model}")
        self.layers_and_width()

    def layers_and_width(self) -> tuple[int, int]:
        """Of `shape`: (4, 256) for 4x256."""
        found = SHAPE.fullmatch(self.shape or SCRATCH_SHAPE)
        layers, width = map(int, found.groups()) if found else (0, 0)
        good = 0 < layers <= MOST_LAYERS and 0 < width <= MOST_WIDTH and (width % 64 == 0 or width in (16, 32))
        check_range(
            "shape", self.shape, good, "LAYERSxHIDDEN, such as 4x256, the hidden size 16, 32 or a multiple of 64"
        )
        return layers, width


@dataclass(kw_only=True)
class MaskingConfig(Config):
    """What is hidden from the model."""

    mlm_probability: float = option(0.15, "share of the tokens that are hidden", in_card="always")
    whole_word_masking: bool = option(False, "hide all tokens of a word, or none", in_card="always")

    def check(self) -> None:
        check_range("mlm_probability", self.mlm_probability, 0 < self.mlm_probability < 1, "above 0 and below 1")


@dataclass(kw_only=True)
class PretrainingConfig(Config):
    """AdamW with a linear warm-up and a linear decay of the rate to 0."""

    num_train_epochs: int = option(3, "passes over the texts", in_card="always")
    max_steps: int | None = option(None, "stop after this many optimizer steps (overrides num_train_epochs)")
    batch_size: int = option(
        256, "texts per optimizer step, over all processes and accumulation steps together", in_card="always"
    )
    gradient_accumulation_steps: int = option(1, "forward passes per optimizer step, to save memory")
    learning_rate: float = option(1e-4, "AdamW's rate at the end of the warm-up", in_card="always")
    warmup: float = option(0.06, "share of the steps in which the rate rises from 0", in_card="always")
    weight_decay: float = option(0.01, "of AdamW, on all weights but biases and norms", in_card="always")
    max_grad_norm: float = option(1.0, "clip the gradient to this norm; 0: no clipping")
    dropout: float | None = option(
        None, "dropout while pretraining (default: the model's own, which it keeps for fine-tuning in any case)"
    )

    def check(self) -> None:
        for name in ("num_train_epochs", "max_steps", "gradient_accumulation_steps"):
            check_at_least(name, getattr(self, name), 1)
        check_at_least("batch_size", self.batch_size, 1, MOST_ROWS)
        check_range("learning_rate", self.learning_rate, 0 < self.learning_rate < float("inf"), "above 0")
        check_range("warmup", self.warmup, 0 <= self.warmup < 1, "at least 0 and below 1")
        check_range("weight_decay", self.weight_decay, 0 <= self.weight_decay < float("inf"), "at least 0")
        check_range("dropout", self.dropout, self.dropout is None or 0 <= self.dropout < 1, "at least 0 and below 1")
        check_range("max_grad_norm", self.max_grad_norm, 0 <= self.max_grad_norm < float("inf"), "at least 0")
        check_divides(self.batch_size, self.gradient_accumulation_steps)


@dataclass(kw_only=True)
class AdaptRunConfig(FollowedConfig):
    """Where a run lives and how it is followed."""

    output_dir: str = option(
        "outputs/adapted",
        "folder for the model, its checkpoints and results",
        path=True,
        resumable=True,
        recorded=False,
        in_card="never",
    )
    seed: int = option(7, "seed of new weights, the shuffling, the masks and dropout", in_card="always")
    eval_batch_size: int = option(256, "texts per forward pass in evaluation, per process", resumable=True)
    eval_steps: int | None = option(
        None, "optimizer steps between two measurements of the perplexity (default: a tenth of the run)", resumable=True
    )

    def check(self) -> None:
        check_at_least("eval_steps", self.eval_steps, 1)
        check_range("seed", self.seed, 0 <= self.seed < 2**32, "from 0 to 2**32 - 1")


@dataclass(kw_only=True)
class AdaptConfig(AdaptRunConfig, PretrainingConfig, MaskingConfig, EncoderConfig, TextConfig):
    """All options of `hfcls adapt` and `hfcls.adapt`."""

    def training_options(self) -> dict[str, Any]:
        """The arguments of `hfcls.training.masked_lm.pretraining_arguments`."""
        of_run = [
            *("output_dir", "seed", "eval_steps", "eval_batch_size", "logging_steps"),
            *("dataloader_num_workers", "report_to"),
        ]
        of_training = [f.name for f in fields(PretrainingConfig) if f.name != "dropout"]
        return {name: getattr(self, name) for name in [*of_training, *of_run]}
