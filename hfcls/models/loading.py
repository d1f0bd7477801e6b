"""Load the tokenizer and the encoder with its classification head; build small ones from scratch."""

import logging
import unicodedata
from collections.abc import Iterable
from typing import Any, cast

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, WEIGHTS_INDEX_NAME, WEIGHTS_NAME
from transformers.utils import logging as transformers_logging

from hfcls.baseline.model import BASELINE
from hfcls.data.columns import text_columns
from hfcls.data.origins.joined import JOINT
from hfcls.errors import HfclsError
from hfcls.models.classes import (
    carry_classes,
    check_architecture,
    check_class_names,
    class_names_of,
    name_classes,
    task_of_config,
)
from hfcls.models.compact.exported import ExportedModel, is_exported
from hfcls.models.positions import check_positions, full_attention
from hfcls.models.scratch import SCRATCH, scratch_model, scratch_shape
from hfcls.models.sources import LOGITS_ALONE, could_not_load, load_config, loading_options, local_folder
from hfcls.models.tokenizers import agree_on_padding, check_vocabulary, composing, load_tokenizer, train_tokenizer
from hfcls.scoring.tasks import Regression, SingleLabel
from hfcls.system.terminal import calm_libraries

logger = logging.getLogger(__name__)

VOCABULARY = 8_000  # of a tokenizer for a model of a given shape
WEIGHT_FILES = (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME, WEIGHTS_NAME, WEIGHTS_INDEX_NAME)


def joint_of(text_column: str, name: str | None, *, trust_remote_code: bool = False) -> str:
    """What stands between the texts of several columns for this encoder: the separator of its tokenizer.

    Raises:
        HfclsError: `text_column` names several columns, and the tokenizer has no separator.
    """
    if len(text_columns(text_column)) == 1 or name in (None, BASELINE) or scratch_shape(name):
        return JOINT
    separator = load_tokenizer(name, trust_remote_code=trust_remote_code).sep_token
    if not separator:
        raise HfclsError(
            f"text_column names several columns, and the tokenizer of {name} has no separator to join them: "
            "choose one column, or another --model"
        )
    return f" {separator} "


def joined_columns(text_column: str, joint: str = JOINT) -> dict[str, Any]:
    """What a model must remember of texts that are joined beside the name of their columns; {} of one column."""
    names = text_columns(text_column)
    return {"text_columns": names, "joint": joint} if len(names) > 1 else {}


@calm_libraries()
def model_and_tokenizer(
    name: str,
    label_names: list[str],
    *,
    max_length: int,
    texts: Iterable[str],
    trust_remote_code: bool = False,
    problem_type: str = SingleLabel.problem_type,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model to fine-tune and its tokenizer, which keeps `max_length`: `Classifier` cuts texts as training did.

    Args:
        name: Hub id or folder of an encoder, `scratch`, or a shape such as `4x256`.
        texts: a tokenizer from scratch is learned from these; of others, the log says if decomposed Hangul is composed.
        problem_type: of the model, as transformers names it.

    Raises:
        HfclsError: as `load_model` and `load_tokenizer`, and if the two do not belong together.
    """
    if shape := scratch_shape(name):
        size: dict[str, Any] = {} if name == SCRATCH else {"vocab_size": VOCABULARY, "alphabet": VOCABULARY // 4}
        tokenizer = train_tokenizer(texts, **size)
        model = scratch_model(tokenizer, label_names, max_length, shape)
        name_classes(model, label_names, problem_type)
    else:
        tokenizer = composing(given := load_tokenizer(name, trust_remote_code=trust_remote_code))
        if tokenizer is not given and (count := sum(not unicodedata.is_normalized("NFC", text) for text in texts)):
            logger.info("%d training texts are not in Unicode NFC; the tokenizer reads and is saved so", count)
        model = load_model(
            name,
            label_names,
            max_length=max_length,
            trust_remote_code=trust_remote_code,
            problem_type=problem_type,
        )
        check_vocabulary(name, tokenizer, model.config)
        agree_on_padding(name, tokenizer, model.config)
    tokenizer.model_max_length = max_length
    return model, tokenizer


def load_model(
    name: str,
    label_names: list[str],
    *,
    max_length: int = 0,
    trust_remote_code: bool = False,
    problem_type: str = SingleLabel.problem_type,
) -> PreTrainedModel:
    """An encoder with a head of `len(label_names)` classes, in float32, its label names in the config.

    Of a classifier that names its classes, those of `label_names` keep their rows of the head, wherever they stand in
    it; other classes, and the whole head of any other model, start from random weights: seed before the call. Weights
    stored in half precision are widened, since Adam in float16 ends in NaN.

    Args:
        max_length: tokens per text that the model must have positions for.
        trust_remote_code: run Python code that the repository holds, if it needs any.
        problem_type: of the model, as transformers names it, whatever it was of the one that is loaded.

    Raises:
        HfclsError: no weights, weights that do not fit, too few positions, code that is not trusted, weights that
            are not mere tensors, or the Hub is out of reach.
    """
    config = load_config(name, trust_remote_code=trust_remote_code)
    check_architecture(name, config)
    earlier = class_names_of(config)
    names = label_names if earlier is None else earlier
    if earlier and config.problem_type == Regression.problem_type:  # its head answers in units of its own
        names = [f"the number {label}" for label in earlier]
    model = load_weights(
        AutoModelForSequenceClassification,
        name,
        max_length=max_length,
        trust_remote_code=trust_remote_code,
        id2label=dict(enumerate(names)),
        label2id={label: i for i, label in enumerate(names)},
        ignore_mismatched_sizes=True,
    )
    carry_classes(model, names, label_names)
    name_classes(model, label_names, problem_type)
    return model


def load_weights(
    auto_class: Any,
    name: str,
    *,
    max_length: int = 0,
    trust_remote_code: bool = False,
    reports: list[dict[str, Any]] | None = None,
    **options: Any,
) -> PreTrainedModel:
    """A model of transformers' `auto_class` in float32; only its head may be new. Raises as `load_model`.

    Args:
        reports: takes transformers' report of missing, left-over and misshapen weights.
        **options: of `from_pretrained`.
    """
    config = load_config(name, trust_remote_code=trust_remote_code)
    check_positions(config, max_length)
    folder = local_folder(name)
    if folder and not any((folder / file).is_file() for file in WEIGHT_FILES):
        raise HfclsError(f"{name} holds no weights: one of {', '.join(WEIGHT_FILES)} is needed")
    name = str(folder or name)
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # its load report is replaced by the checks below
    try:
        model, report = auto_class.from_pretrained(
            name,
            dtype=torch.float32,
            output_loading_info=True,
            **loading_options(name, trust_remote_code),
            **LOGITS_ALONE | full_attention(config) | options,
        )
    except Exception as error:
        raise HfclsError(could_not_load("model", name, error)) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    _check_loaded(name, model, report)
    if reports is not None:
        reports.append(report)
    return model


@calm_libraries()
def load_classifier(name: str, *, trust_remote_code: bool = False) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A fine-tuned model with its own head and label names, and its tokenizer, for prediction.

    The folder of an exported model gives an `ExportedModel`, which is called as the others are.

    Raises:
        HfclsError: as `load_model`; the model has no classification head, or one that gives a number in place of
            classes; a weight is missing, left over or of another shape; or the tokenizer is not that of the model.
    """
    folder = local_folder(name)
    if folder and is_exported(folder):
        return cast(PreTrainedModel, ExportedModel(folder)), load_tokenizer(name)
    config = load_config(name, trust_remote_code=trust_remote_code)
    tokenizer = load_tokenizer(name, trust_remote_code=trust_remote_code)
    if class_names_of(config) is None:
        raise HfclsError(f"{name} is not a fine-tuned classifier: train one with it first (hfcls train --model {name})")
    task_of_config(config)
    check_architecture(name, config)
    check_class_names(name, config)
    reports: list[dict[str, Any]] = []
    model = load_weights(
        AutoModelForSequenceClassification,
        name,
        trust_remote_code=trust_remote_code,
        ignore_mismatched_sizes=True,
        reports=reports,
    )
    _check_complete(name, reports[0])
    check_vocabulary(name, tokenizer, config)
    return model, tokenizer


def _check_complete(name: str, report: dict[str, Any]) -> None:
    """Raises HfclsError unless each weight of the model was in its file, in its shape, and no other.

    A weight that is not there would be random, and the model would answer all the same.
    """
    found = {
        "missing": report["missing_keys"],
        "of another shape": [key for key, *_ in report["mismatched_keys"]],
        "left over": [key for key in report["unexpected_keys"] if not key.endswith("position_ids")],  # a buffer once
    }
    if wrong := [f"{len(keys)} {what}, {sorted(keys)[0]} for one" for what, keys in found.items() if keys]:
        raise HfclsError(
            f"the weights of {name} do not fit its config.json ({'; '.join(wrong)}), so its answers would be random: "
            f"fine-tune it first (hfcls train --model {name})"
        )


def _check_loaded(name: str, model: PreTrainedModel, report: dict[str, Any]) -> None:
    """Only the head and the pooler may start from random weights."""
    prefix = model.base_model_prefix + "."
    misshapen = [key for key, *_ in report["mismatched_keys"]]  # transformers fills these with random numbers, too
    lacking = {"missing": report["missing_keys"], "of another shape": misshapen}
    for what, keys in lacking.items():
        if found := [key for key in keys if key.startswith(prefix) and ".pooler." not in key]:
            raise HfclsError(
                f"the weights of {name} do not fit its config.json: {len(found)} tensors of the encoder are {what}, "
                f"{found[0]} for one"
            )
    if fresh := sorted({key.removeprefix(prefix).split(".")[0] for keys in lacking.values() for key in keys}):
        logger.debug("not pretrained, so from random weights: %s", ", ".join(fresh))
