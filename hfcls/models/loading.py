"""Load the tokenizer and the encoder with its classification head; build small ones from scratch."""

import logging
from collections.abc import Iterable
from typing import Any, cast

import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from hfcls.errors import HfclsError
from hfcls.models.exported import ExportedModel, is_exported
from hfcls.models.positions import check_positions
from hfcls.models.scratch import SCRATCH, scratch_model
from hfcls.models.sources import could_not_load, local_folder
from hfcls.models.tokenizers import load_tokenizer, train_tokenizer

logger = logging.getLogger(__name__)

WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


def model_and_tokenizer(
    name: str,
    label_names: list[str],
    *,
    max_length: int,
    texts: Iterable[str],
    trust_remote_code: bool = False,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model to fine-tune and its tokenizer, which keeps `max_length`: `Classifier` cuts texts as training did.

    Args:
        name: Hub id or folder of an encoder, or `scratch`.
        texts: a tokenizer from scratch is learned from these.

    Raises:
        HfclsError: as `load_model` and `load_tokenizer`, and if the two do not belong together.
    """
    if name == SCRATCH:
        tokenizer = train_tokenizer(texts)
        model = scratch_model(tokenizer, label_names, max_length)
    else:
        tokenizer = load_tokenizer(name, trust_remote_code=trust_remote_code)
        model = load_model(name, label_names, max_length=max_length, trust_remote_code=trust_remote_code)
        if len(tokenizer) > model.config.vocab_size:
            raise HfclsError(
                f"the tokenizer of {name} has {len(tokenizer):,} tokens, its model only "
                f"{model.config.vocab_size:,}: they do not belong together"
            )
    tokenizer.model_max_length = max_length
    return model, tokenizer


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
    folder = local_folder(name)
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
        raise HfclsError(could_not_load("model", name, error)) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    _check_loaded(name, model, report)
    return model


def load_classifier(name: str, *, trust_remote_code: bool = False) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A fine-tuned model with its own head and label names, and its tokenizer, for prediction.

    The folder of an exported model gives an `ExportedModel`, which is called as the others are.

    Raises:
        HfclsError: as `load_model`, and if the model has no trained classification head.
    """
    tokenizer = load_tokenizer(name, trust_remote_code=trust_remote_code)
    folder = local_folder(name)
    if folder and is_exported(folder):
        return cast(PreTrainedModel, ExportedModel(folder)), tokenizer
    name = str(folder or name)
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)
    except Exception as error:
        raise HfclsError(could_not_load("model", name, error)) from error
    if not any("ForSequenceClassification" in architecture for architecture in config.architectures or []):
        raise HfclsError(f"{name} is not a fine-tuned classifier: train one with it first (hfcls train --model {name})")
    names = [config.id2label[i] for i in range(config.num_labels)]
    return load_model(name, names, trust_remote_code=trust_remote_code), tokenizer


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
