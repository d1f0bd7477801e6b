"""Models with random weights: a small one for demonstrations, one of a given shape, or of the shape of another."""

import re

import torch
from transformers import AutoModelForSequenceClassification, BertConfig, PreTrainedModel, PreTrainedTokenizerBase

from hfcls.errors import HfclsError
from hfcls.models.classes import check_architecture
from hfcls.models.positions import check_positions
from hfcls.models.sources import could_not_load, load_config

SCRATCH = "scratch"
SMALL = (2, 128)  # for demonstrations and tests


def scratch_shape(name: str) -> tuple[int, int] | None:
    """Layers and width of a model that is to begin from scratch: (4, 256) for `4x256`; None for any other name.

    Raises:
        HfclsError: a shape that heads of 64 do not divide.
    """
    if name == SCRATCH:
        return SMALL
    found = re.fullmatch(r"(\d{1,2})x(\d{1,4})", name)
    if not found:
        return None
    layers, width = map(int, found.groups())
    if layers < 1 or width < 64 or width % 64:
        raise HfclsError(f"model {name}: a shape is LAYERSxWIDTH, such as 4x256, the width a multiple of 64")
    return layers, width


def scratch_model(
    tokenizer: PreTrainedTokenizerBase, label_names: list[str], max_length: int, shape: tuple[int, int] = SMALL
) -> PreTrainedModel:
    """A BERT of these layers and this width with random weights, of no problem type yet: seed before the call."""
    layers, width = shape
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        intermediate_size=4 * width,
        max_position_embeddings=max_length,
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(label_names)),
        label2id={label: i for i, label in enumerate(label_names)},
    )
    return AutoModelForSequenceClassification.from_config(config)


def untrained_model(
    name: str, label_names: list[str], *, max_length: int = 0, trust_remote_code: bool = False
) -> PreTrainedModel:
    """The model that `load_model` gives, but with random weights in all of it: only its config.json is read.

    Raises:
        HfclsError: no config, too few positions, or the Hub is out of reach.
    """
    config = load_config(name, trust_remote_code=trust_remote_code)
    check_architecture(name, config)
    config.num_labels = len(label_names)
    check_positions(config, max_length)
    try:
        return AutoModelForSequenceClassification.from_config(
            config, dtype=torch.float32, trust_remote_code=trust_remote_code
        )
    except Exception as error:
        raise HfclsError(could_not_load("model", name, error)) from error
