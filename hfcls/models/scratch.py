"""Models with random weights: a small one for demonstrations, or one of the shape of another."""

import torch
from transformers import AutoModelForSequenceClassification, BertConfig, PreTrainedModel, PreTrainedTokenizerBase

from hfcls.errors import HfclsError
from hfcls.models.classes import check_architecture
from hfcls.models.positions import check_positions
from hfcls.models.sources import could_not_load, load_config

SCRATCH = "scratch"


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
        problem_type="single_label_classification",
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
