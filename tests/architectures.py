"""A small config and model of each architecture that packs."""

import copy
from pathlib import Path
from typing import Any

import torch
from conftest import reviews
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    XLMRobertaConfig,
)

from hfcls.batching.collate import PackedCollator, PaddedCollator
from hfcls.batching.packing import enable_packing
from hfcls.models.positions import position_offset

SIZE = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 194,
    "num_labels": 3,
}
WITH_TOKEN_TYPES = ("bert", "electra", "albert")
CONFIGS = {
    "bert": BertConfig(**SIZE),
    "electra": ElectraConfig(**SIZE, embedding_size=16),
    "roberta": RobertaConfig(**SIZE, pad_token_id=1, type_vocab_size=1),
    "xlm-roberta": XLMRobertaConfig(**SIZE, pad_token_id=1, type_vocab_size=1),
    "distilbert": DistilBertConfig(
        vocab_size=100, dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=66, num_labels=3
    ),
    "albert": AlbertConfig(**SIZE, embedding_size=16),
    "modernbert": ModernBertConfig(
        **SIZE, local_attention=16, global_attn_every_n_layers=2, classifier_pooling="cls", pad_token_id=0
    ),
    "modernbert-mean": ModernBertConfig(
        **SIZE, local_attention=16, global_attn_every_n_layers=2, classifier_pooling="mean", pad_token_id=0
    ),
}


def tiny(name: str, **options: object) -> PreTrainedModel:
    """A model whose weights are wide enough for a wrong mask or position to show."""
    torch.manual_seed(0)
    config = copy.deepcopy(CONFIGS[name])
    config.initializer_range = 0.2
    for option in vars(config):
        if "dropout" in option and isinstance(getattr(config, option), float):
            setattr(config, option, 0.0)
    model = AutoModelForSequenceClassification.from_config(config, **options)
    enable_packing(model)
    return model.eval()


def tiny_tokenizer(pad_token_id: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most 100 tokens for the words of `conftest`, padding token 0, or 1 as RoBERTa has it."""
    special = ["[PAD]", "[CLS]"] if pad_token_id == 0 else ["[CLS]", "[PAD]"]
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=95, special_tokens=[*special, "[SEP]", "[UNK]"], show_progress=False, min_frequency=1
    )
    tokenizer.train_from_iterator([text for text, _ in reviews(200)], trainer)
    cls, sep = (tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", sep), ("[CLS]", cls))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def bare_tokenizer(**marks: str) -> PreTrainedTokenizerFast:
    """A tokenizer of the words of `conftest` that puts nothing around a text, as decoders have it.

    Args:
        **marks: its special tokens, such as `eos="</s>"`, in the order of their ids.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=marks.get("unk")))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=list(marks.values()), show_progress=False)
    tokenizer.train_from_iterator([text for text, _ in reviews(200)], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **{f"{name}_token": mark for name, mark in marks.items()},
    )


def encoder_folder(name: str, folder: Path, **options: Any) -> str:
    """A folder with an encoder of this architecture, random weights without dropout, and its tokenizer."""
    model = tiny(name)
    for option, value in options.items():
        setattr(model.config, option, value)
    if options:
        model = AutoModelForSequenceClassification.from_config(model.config)
    model.base_model.save_pretrained(folder)
    tiny_tokenizer(model.config.pad_token_id or 0).save_pretrained(folder)
    return str(folder)


def texts(lengths: list[int], seed: int, pairs: bool = False, labels: bool = False) -> list[dict]:
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for length in lengths:
        row: dict = {"input_ids": torch.randint(5, 100, (length,), generator=generator).tolist()}
        if pairs:
            row["token_type_ids"] = [0] * (length // 2) + [1] * (length - length // 2)
        if labels:
            row["labels"] = int(torch.randint(3, (), generator=generator))
        rows.append(row)
    return rows


def collators(model: PreTrainedModel, width: int | None, **options: Any) -> tuple[PackedCollator, PaddedCollator]:
    pad = model.config.pad_token_id or 0
    return PackedCollator(pad, width, position_offset(model.config), **options), PaddedCollator(pad, width)
