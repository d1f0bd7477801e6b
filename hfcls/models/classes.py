"""The classes of a head: whose row is whose, when a classifier is fine-tuned for other classes."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, PreTrainedConfig, PreTrainedModel

from hfcls.errors import HfclsError
from hfcls.scoring.tasks import Regression, SingleLabel, Task, task_for

logger = logging.getLogger(__name__)

AS_IT_IS = "hfcls_as_it_is"  # in a config: not even the head is to train; what reads it takes it out
OF_TASK = ("thresholds", "abstain_below")  # what stands in a config beside the names of the classes


def class_names_of(config: PreTrainedConfig) -> list[str] | None:
    """The names that a classifier gives its classes, in the order of their ids; None of an encoder, which has none.

    A model that was never told their names calls them LABEL_0, LABEL_1 and so on.
    """
    if not any("ForSequenceClassification" in name for name in config.architectures or []):
        return None
    id2label: Any = config.id2label
    return [str(id2label[i]) for i in sorted(id2label)]


def check_architecture(name: str, config: Any) -> None:
    """Raises HfclsError if transformers has no classifier of that kind, or one that reads each text's end mark."""
    remote = "AutoModelForSequenceClassification" in (getattr(config, "auto_map", None) or {})
    if not remote and type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise HfclsError(
            f"{name} is a {config.model_type} model, of which transformers makes no text classifier: take an encoder"
        )
    if config.is_encoder_decoder:
        raise HfclsError(
            f"{name} is an encoder-decoder ({config.model_type}), whose head reads each text's last end mark and fails "
            "where texts hold other numbers of them: take an encoder"
        )


def check_class_names(name: str, config: Any) -> None:
    """Raises HfclsError if the classes of a classifier are not numbered from 0 on, each with a name of its own."""
    names = config.id2label
    if sorted(names) != list(range(len(names))):
        raise HfclsError(f"id2label in config.json of {name} numbers the classes {sorted(names)}, not from 0 on")
    if not all(isinstance(label, str) and label for label in names.values()):
        raise HfclsError(f"id2label in config.json of {name} has a class without a name: {list(names.values())}")
    if len(set(names.values())) < len(names):
        raise HfclsError(f"id2label in config.json of {name} gives two classes one name: {list(names.values())}")


def output_layer(model: PreTrainedModel) -> tuple[torch.nn.Module, str]:
    """The module that holds the last linear layer of the head, and its name there: a row of it is a class.

    Raises:
        HfclsError: the head is none, as Perceiver's, which is a part of its encoder.
    """
    found: tuple[torch.nn.Module, str] | None = None
    for path, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and not path.startswith(f"{model.base_model_prefix}."):
            parent, _, name = path.rpartition(".")
            found = (model.get_submodule(parent), name)
    if found is None:
        raise HfclsError(f"{type(model).__name__} has no linear layer of its own as its head: take another encoder")
    return found


def task_of_config(config: Any) -> Task:
    """What a classifier says of a text, from its config.

    Raises:
        HfclsError: it gives several numbers, or one that its config does not call a regression.
    """
    names = class_names_of(config) or [str(config.id2label[i]) for i in sorted(config.id2label)]
    kept = {name: getattr(config, name, None) for name in OF_TASK}
    task = task_for(config.problem_type, names, **kept)
    if task is None:
        count = "one number" if len(names) == 1 else f"{len(names)} numbers"
        raise HfclsError(
            f"{config.name_or_path} gives {count} and its config has problem_type {config.problem_type}: "
            "classes, or one number with problem_type regression, are needed; use transformers' pipeline"
        )
    return task


def fold_into_head(model: PreTrainedModel, mean: float, scale: float) -> None:
    """Let a regression that learned (target - mean) / scale answer with targets: only its last layer changes.

    Args:
        model: whose last layer has a bias to take the mean: see `name_classes`.
    """
    scale_head(model, scale)
    holder, name = output_layer(model)
    with torch.no_grad():
        getattr(holder, name).bias.add_(mean)


def scale_head(model: PreTrainedModel, scale: float) -> None:
    """Let a model give `scale` times its logits: only its last layer changes."""
    holder, name = output_layer(model)
    layer: Any = getattr(holder, name)
    with torch.no_grad():
        layer.weight.mul_(scale)
        if layer.bias is not None:
            layer.bias.mul_(scale)


def name_classes(model: PreTrainedModel, names: Sequence[str], problem_type: str = SingleLabel.problem_type) -> None:
    """Write the names of the classes into the config, and how many of them a text has.

    Raises:
        HfclsError: the model has no head whose rows could have names, or none that could give a number in its unit.
    """
    holder, name = output_layer(model)
    if problem_type == Regression.problem_type and getattr(holder, name).bias is None:
        raise HfclsError(
            f"the last layer of {type(model).__name__} has no bias, so it cannot give targets in their unit: "
            "take another encoder, such as a BERT"
        )
    config: Any = model.config
    config.id2label = dict(enumerate(names))
    config.label2id = {name: i for i, name in enumerate(names)}
    config.problem_type = problem_type
    for name in OF_TASK:  # of the model that this one starts from
        if hasattr(config, name):
            delattr(config, name)
    model.num_labels = len(names)  # type: ignore[assignment]


def carry_classes(model: PreTrainedModel, earlier: Sequence[str], names: Sequence[str]) -> None:
    """Give the head one row for each of `names`: that of the class of this name, or a new one from random weights.

    Seed before the call. Tells in one log line which classes are new and which are gone.

    Args:
        earlier: names of the rows that the head has.
        names: of the rows that it is to have.
    """
    fresh = [label for label in names if label not in earlier]
    model.fresh_classes = fresh  # type: ignore[assignment]  # which `warm_start` may fit
    if list(earlier) == list(names):
        return
    holder, name = output_layer(model)
    old: Any = getattr(holder, name)
    new = torch.nn.Linear(old.in_features, len(names), bias=old.bias is not None, dtype=old.weight.dtype)
    model._init_weights(new)
    kept = [(i, earlier.index(label)) for i, label in enumerate(names) if label in earlier]
    with torch.no_grad():
        for row, old_row in kept:
            new.weight[row] = old.weight[old_row]
            if old.bias is not None:
                new.bias[row] = old.bias[old_row]
    setattr(holder, name, new)
    gone = [label for label in earlier if label not in names]
    logger.info(
        "the head keeps its rows of %s; new from random weights: %s; left out: %s",
        *(", ".join(labels[:10]) or "none" for labels in ([names[i] for i, _ in kept], fresh, gone)),
    )
