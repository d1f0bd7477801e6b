"""Load the tokenizer and the encoder with its classification head; build small ones from scratch."""

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from hfcls.errors import HfclsError

logger = logging.getLogger(__name__)

SCRATCH = "scratch"
# What makes a folder a tokenizer, and a model; one of each is needed.
TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "tokenizer_config.json",
    "spiece.model",
    "sentencepiece.bpe.model",
)
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


def load_tokenizer(name: str, *, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a Hub id or folder; case is kept unless the tokenizer's own files say otherwise.

    A bare BERT vocabulary (vocab.txt without tokenizer_config.json, as KcBERT was first published) would be loaded
    lower-casing, which also splits Hangul into parts the vocabulary lacks; it is loaded with `do_lower_case=False`.

    Args:
        trust_remote_code: run Python code that the repository holds, if it needs any.

    Raises:
        HfclsError: no tokenizer there, the Hub is out of reach, or it needs code that is not trusted.
    """
    folder = _local_folder(name)
    if folder and not any((folder / file).is_file() for file in TOKENIZER_FILES):
        raise HfclsError(f"{name} holds no tokenizer: one of {', '.join(TOKENIZER_FILES)} is needed")
    name = str(folder or name)
    try:
        if folder and (folder / "vocab.txt").is_file() and not _sets_case(folder):
            tokenizer = BertTokenizer.from_pretrained(name, do_lower_case=False)
        else:
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
    except Exception as error:
        raise HfclsError(_could_not_load("tokenizer", name, error)) from error
    words = ["영화", "재미", "최고", "정말", "이"]
    if tokenizer.unk_token_id is not None and all(
        tokenizer.unk_token_id in tokenizer(word, add_special_tokens=False)["input_ids"] for word in words
    ):
        logger.warning("the tokenizer of %s knows none of %s: is it one for Korean?", name, ", ".join(words))
    return tokenizer


def load_model(
    name: str, label_names: list[str], *, max_length: int = 0, trust_remote_code: bool = False
) -> PreTrainedModel:
    """An encoder with a head of `len(label_names)` classes, in float32, its label names in the config.

    The head of a model that has none, or another number of classes, starts from random weights: seed before the call.
    Weights stored in half precision are widened, since Adam in float16 ends in NaN.

    Args:
        max_length: tokens per text that the model must have positions for.
        trust_remote_code: run Python code that the repository holds, if it needs any.

    Raises:
        HfclsError: no weights, weights that do not fit, too few positions, code that is not trusted, weights that
            are not mere tensors, or the Hub is out of reach.
    """
    folder = _local_folder(name)
    if folder and not (folder / "config.json").is_file():
        raise HfclsError(f"{name} is not a model folder: it has no config.json")
    if folder and not any((folder / file).is_file() for file in WEIGHT_FILES):
        raise HfclsError(f"{name} holds no weights: one of {', '.join(WEIGHT_FILES)} is needed")
    name = str(folder or name)
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # its load report is replaced by the checks below
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)
        check_positions(config, max_length)
        model, report = AutoModelForSequenceClassification.from_pretrained(
            name,
            dtype=torch.float32,
            id2label=dict(enumerate(label_names)),
            label2id={label: i for i, label in enumerate(label_names)},
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            trust_remote_code=trust_remote_code,
        )
    except HfclsError:
        raise
    except Exception as error:
        raise HfclsError(_could_not_load("model", name, error)) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    _check_loaded(name, model, report)
    return model


def untrained_model(
    name: str, label_names: list[str], *, max_length: int = 0, trust_remote_code: bool = False
) -> PreTrainedModel:
    """The model that `load_model` gives, but with random weights in all of it: only its config.json is read.

    Raises:
        HfclsError: no config, too few positions, or the Hub is out of reach.
    """
    name = str(_local_folder(name) or name)
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code, num_labels=len(label_names))
        check_positions(config, max_length)
        return AutoModelForSequenceClassification.from_config(
            config, dtype=torch.float32, trust_remote_code=trust_remote_code
        )
    except HfclsError:
        raise
    except Exception as error:
        raise HfclsError(_could_not_load("model", name, error)) from error


def load_classifier(name: str, *, trust_remote_code: bool = False) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A fine-tuned model with its own head and label names, and its tokenizer, for prediction.

    Raises:
        HfclsError: as `load_model`, and if the model has no trained classification head.
    """
    tokenizer = load_tokenizer(name, trust_remote_code=trust_remote_code)
    name = str(_local_folder(name) or name)
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)
    except Exception as error:
        raise HfclsError(_could_not_load("model", name, error)) from error
    if not any("ForSequenceClassification" in architecture for architecture in config.architectures or []):
        raise HfclsError(f"{name} is not a fine-tuned classifier: train one with it first (hfcls train --model {name})")
    names = [config.id2label[i] for i in range(config.num_labels)]
    return load_model(name, names, trust_remote_code=trust_remote_code), tokenizer


def check_positions(config: Any, max_length: int) -> None:
    """Raises HfclsError if the encoder has fewer positions than `max_length` tokens need."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None:
        return
    if config.model_type in ("roberta", "xlm-roberta", "camembert"):
        positions -= config.pad_token_id + 1  # RoBERTa counts positions from padding_idx + 1
    if max_length > positions:
        raise HfclsError(f"max_length {max_length} is more than the model's {positions} positions; lower --max_length")


def train_tokenizer(texts: Iterable[str], vocab_size: int = 2000) -> PreTrainedTokenizerBase:
    """A cased BPE tokenizer with BERT's special tokens, learned from `texts`: the same one for the same texts.

    Not WordPiece, whose trainer numbers its tokens in another order each time (tokenizers 0.23.3), so that a resumed
    run would read its own texts wrongly.
    """
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=list(special.values()), show_progress=False),
    )
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **special,
    )


def scratch_model(tokenizer: PreTrainedTokenizerBase, label_names: list[str], max_length: int) -> PreTrainedModel:
    """A BERT of 2 layers and width 128 with random weights (seed before the call), for demonstrations and tests."""
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
        max_position_embeddings=max_length,
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(label_names)),
        label2id={label: i for i, label in enumerate(label_names)},
    )
    return AutoModelForSequenceClassification.from_config(config)


def _local_folder(name: str) -> Path | None:
    """The folder of that name, or None for a Hub id; a path that is not there is an error, not a Hub id."""
    path = Path(name).expanduser()
    try:
        if path.is_dir():
            return path
    except OSError as error:  # no permission, or a name longer than names can be
        raise HfclsError(f"cannot look for the model {name:.200}: {error.strerror}") from error
    looks_like_a_path = path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1
    if looks_like_a_path or ("/" in name and path.parent.is_dir()):
        raise HfclsError(f"no model folder {name}")
    return None


def _sets_case(folder: Path) -> bool:
    if (folder / "tokenizer.json").is_file():
        return True
    config = folder / "tokenizer_config.json"
    return config.is_file() and "do_lower_case" in json.loads(config.read_text(encoding="utf-8"))


def _could_not_load(what: str, name: str, error: Exception) -> str:
    if "trust_remote_code" in str(error):
        return (
            f"the {what} of {name!r} needs Python code out of its own repository, which is not run: read that code; "
            "if you trust it, give --trust_remote_code (in Python trust_remote_code=True)"
        )
    if isinstance(error, UnpicklingError):
        return f"the weights of {name!r} are a pickle of more than tensors, which is not loaded: it could run code"
    where = "" if Path(name).exists() else " (there is no folder of that name here)"
    return f"could not load the {what} of {name!r}{where}: {' '.join(str(error).split()) or type(error).__name__}"


def _check_loaded(name: str, model: PreTrainedModel, report: dict[str, Any]) -> None:
    """Only the head and the pooler may start from random weights."""
    prefix = model.base_model_prefix + "."
    missing = [key for key in report["missing_keys"] if key.startswith(prefix) and ".pooler." not in key]
    if missing:
        raise HfclsError(
            f"the weights of {name} do not fit its config.json: {len(missing)} tensors of the encoder are missing, "
            f"{missing[0]} for one"
        )
    fresh = sorted({key.removeprefix(prefix).split(".")[0] for key in report["missing_keys"]})
    if fresh or report["mismatched_keys"]:
        logger.info("new from random weights: %s", ", ".join(fresh) or "the classification head")
