"""What a run needs before its first step: splits, encoded rows, model, tokenizer and collator."""

import logging
from dataclasses import dataclass

from datasets import Dataset, DatasetDict
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from hfcls.batching.collate import Collator, make_collator
from hfcls.config.train import TrainConfig
from hfcls.data.corpora import carve_validation, load_corpus
from hfcls.data.duplicates import kept_train_rows
from hfcls.data.encoding import encode
from hfcls.errors import HfclsError
from hfcls.models.loading import SCRATCH, load_model, load_tokenizer, scratch_model, train_tokenizer
from hfcls.batching.packing import choose_batching, packing_support, position_offset
from hfcls.training.trainer import ClassificationTrainingArguments
from hfcls.batching.static_shapes import static_row_counts

logger = logging.getLogger(__name__)


@dataclass
class Preparation:
    """The outcome of `prepare`.

    Attributes:
        corpus: the splits as they are used, with texts.
        encoded: the same rows as `input_ids`.
        carved: the validation split was cut from train.
        eval_split: chooses the checkpoint; None: nothing does.
        final_split: is scored at the end; None: nothing is.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    corpus: DatasetDict
    encoded: DatasetDict
    carved: bool
    eval_split: str | None
    final_split: str | None


def prepare(config: TrainConfig) -> Preparation:
    """Load and encode the data, and load the model with a head for its classes.

    Raises:
        HfclsError: data or model are not what is needed.
    """
    corpus = load_corpus(**config.corpus_options())
    carved = "validation" not in corpus
    model, tokenizer = _load(config, corpus)
    encoded = _splits(encode(corpus, tokenizer, config.max_length), config)
    corpus = _splits(corpus, config)
    if config.drop_duplicates or config.drop_overlap:
        kept = kept_train_rows(corpus, drop_duplicates=config.drop_duplicates, drop_overlap=config.drop_overlap)
        corpus["train"], encoded["train"] = corpus["train"].select(kept), encoded["train"].select(kept)
    _warn_of_missing_classes(corpus["train"])
    eval_split = _eval_split(corpus, config)
    final_split = "test" if "test" in corpus else eval_split
    return Preparation(model, tokenizer, corpus, encoded, carved, eval_split, final_split)


def collator(
    config: TrainConfig,
    args: ClassificationTrainingArguments,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    encoded: DatasetDict,
) -> Collator:
    """The collator for this model on this device; says so in the log where it is not what one would expect."""
    asked = config.batching or ("packed" if config.row_length else None)
    batching = choose_batching(model, asked)
    if asked is None and batching != "packed":
        logger.info("batches are padded to the longest, not packed: %s", packing_support(model))
    row_counts = None
    if args.device.type == "xla":
        if batching == "longest":
            logger.info("batches are padded to %d tokens, since XLA compiles a graph for each width", config.max_length)
            batching = "fixed"
        row_counts = static_row_counts(args, encoded, config.row_length or config.max_length)
    return make_collator(
        batching,
        pad_token_id=tokenizer.pad_token_id,
        max_length=config.max_length,
        row_length=config.row_length,
        position_offset=position_offset(model.config),
        row_counts=row_counts,
    )


def _load(config: TrainConfig, corpus: DatasetDict) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model and tokenizer; the tokenizer keeps `max_length`, so that `Classifier` cuts texts as training did."""
    if "train" not in corpus:
        raise HfclsError(f"{config.dataset} has no train split; it has {', '.join(corpus)}")
    label_names = corpus["train"].features["label"].names
    set_seed(config.seed)  # the new head starts from random weights
    if config.model == SCRATCH:
        tokenizer = train_tokenizer(corpus["train"]["text"])
        model = scratch_model(tokenizer, label_names, config.max_length)
    else:
        trust = config.trust_remote_code
        tokenizer = load_tokenizer(config.model, trust_remote_code=trust)
        model = load_model(config.model, label_names, max_length=config.max_length, trust_remote_code=trust)
        if len(tokenizer) > model.config.vocab_size:
            raise HfclsError(
                f"the tokenizer of {config.model} has {len(tokenizer):,} tokens, its model only "
                f"{model.config.vocab_size:,}: they do not belong together"
            )
    tokenizer.model_max_length = config.max_length
    return model, tokenizer


def _splits(corpus: DatasetDict, config: TrainConfig) -> DatasetDict:
    """The first rows as asked, then a validation split carved from train where the data has none."""
    limits = {
        "train": config.max_train_samples,
        "validation": config.max_validation_samples,
        "test": config.max_test_samples,
    }
    corpus = DatasetDict(
        {split: rows.select(range(min(len(rows), limits[split] or len(rows)))) for split, rows in corpus.items()}
    )
    if "validation" in corpus or config.select_on_test or config.validation_size == 0:
        return corpus
    return carve_validation(corpus, config.validation_size, config.seed)


def _eval_split(corpus: DatasetDict, config: TrainConfig) -> str | None:
    if config.select_on_test:
        if "test" not in corpus:
            raise HfclsError(f"select_on_test needs a test split; {config.dataset} has {', '.join(corpus)}")
        logger.warning("the checkpoint is chosen on the test split, as in the book: its score is not a held-out one")
        return "test"
    if "validation" in corpus:
        return "validation"
    if config.early_stopping_patience is not None:
        raise HfclsError(
            "early_stopping_patience needs a split to watch, and there is none: set --validation_size, or leave out "
            "--early_stopping_patience"
        )
    return None


def _warn_of_missing_classes(train: Dataset) -> None:
    names = train.features["label"].names
    present = set(train.unique("label"))
    if missing := [name for i, name in enumerate(names) if i not in present]:
        logger.warning(
            "train holds no row of %s, so the model cannot learn it (max_train_samples takes the first rows)",
            ", ".join(missing),
        )
