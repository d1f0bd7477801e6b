"""check: look at labelled texts before training on them."""

import logging
import math
import re
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict
from transformers import PreTrainedTokenizerBase

from hfcls.batching.collate import for_training, make_collator
from hfcls.config.train import CheckConfig
from hfcls.data.corpora import load_corpus
from hfcls.checks.cost import Cost, measure_cost, padding_shares
from hfcls.data.duplicates import near_duplicates, repeats, several_labels, stands_in, text_keys
from hfcls.errors import HfclsError
from hfcls.files import check_writable
from hfcls.checks.findings import Duplicates, Findings, SplitFindings
from hfcls.models.loading import SCRATCH, load_tokenizer, scratch_model, train_tokenizer, untrained_model
from hfcls.batching.packing import enable_packing, packing_support, position_offset

logger = logging.getLogger(__name__)

# Surrogates; U+FFFD, which a wrong decoding leaves; control characters other than tab and line ends.
INVALID = re.compile("[\ud800-\udfff\ufffd\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
SIMULATED_BATCHES = 100
NEAR_EXAMPLES = 3


def check(config: CheckConfig | None = None, /, **options: Any) -> Findings:
    """Sizes, classes, lengths, broken and repeated texts of a corpus; with a model also tokens, padding, time, memory.

    The model is only asked for its tokenizer and its shape: weights are not loaded, training steps are measured on
    random ones.

    Args:
        config: options; default `CheckConfig()`.
        **options: any field of `CheckConfig`, over those of `config`.

    Raises:
        HfclsError: the corpus, tokenizer or model config cannot be read, or `output` cannot be written.
    """
    config = replace(config or CheckConfig(), **options)
    if config.output:
        check_writable(Path(config.output), "output")
    corpus = load_corpus(**config.corpus_options())
    main = "train" if "train" in corpus else next(iter(corpus))
    tokenizer = None
    if config.model is not None:
        if config.model == SCRATCH:
            tokenizer = train_tokenizer(corpus[main]["text"])
        else:
            tokenizer = load_tokenizer(config.model, trust_remote_code=config.trust_remote_code)
    tokens = {split: count_tokens(rows, tokenizer) for split, rows in corpus.items()} if tokenizer else {}
    duplicates, examples = _duplicates(corpus)
    findings = Findings(
        dataset=config.dataset,
        model=config.model,
        max_length=config.max_length,
        batch_size=config.batch_size,
        splits={split: _split_findings(rows, tokens.get(split), config.max_length) for split, rows in corpus.items()},
        duplicates=duplicates,
        near_examples=examples,
    )
    if tokenizer:
        lengths = tokens[main][0].clip(max=config.max_length)
        order = np.random.default_rng(config.seed).permutation(lengths).tolist()
        sample = order[: SIMULATED_BATCHES * config.batch_size]
        findings.padding = padding_shares(sample, config.batch_size, config.max_length, None)
        findings.cost = _cost(config, tokenizer, corpus[main].features["label"].names, sample)
        findings.seconds_per_epoch = math.ceil(len(lengths) / config.batch_size) * findings.cost.seconds_per_step
    if config.output:
        findings.save(Path(config.output))
    return findings


def count_tokens(rows: Dataset, tokenizer: PreTrainedTokenizerBase) -> tuple[np.ndarray, float]:
    """Tokens of each row before truncation, int64 [N], and the share of all tokens that are the unknown one."""
    counts = rows.map(
        _count_batch,
        batched=True,
        remove_columns=rows.column_names,
        # `version` enters datasets' fingerprint, which hashes this function by name only: raise it with each change.
        fn_kwargs={"tokenizer": tokenizer, "version": 1},
        desc="count tokens",
    ).with_format("numpy")[:]
    return counts["tokens"], float(counts["unknown"].sum() / max(counts["tokens"].sum(), 1))


def _count_batch(
    batch: dict[str, list[Any]], *, tokenizer: PreTrainedTokenizerBase, version: int
) -> dict[str, list[int]]:
    encoded = tokenizer(batch["text"], batch.get("text_pair"), return_attention_mask=False, verbose=False)["input_ids"]
    unknown = tokenizer.unk_token_id
    return {
        "tokens": [len(ids) for ids in encoded],
        "unknown": [0 if unknown is None else ids.count(unknown) for ids in encoded],
    }


def _cost(config: CheckConfig, tokenizer: PreTrainedTokenizerBase, label_names: list[str], lengths: list[int]) -> Cost:
    """Of training on texts of these lengths (the tokens themselves do not matter), packed if the model can be."""
    if config.model in (None, SCRATCH):
        model = scratch_model(tokenizer, label_names, config.max_length)
    else:
        model = untrained_model(
            config.model,
            label_names,
            max_length=config.max_length,
            trust_remote_code=config.trust_remote_code,
        )
    if packed := packing_support(model) is None:
        enable_packing(model)
    collator = for_training(
        make_collator(
            "packed" if packed else "longest",
            pad_token_id=0,
            max_length=config.max_length,
            position_offset=position_offset(model.config),
        )
    )
    rows = [{"input_ids": [1] * length, "labels": 0} for length in lengths]
    batches = (rows[start : start + config.batch_size] for start in range(0, len(rows), config.batch_size))
    return measure_cost(model, map(collator, batches))


def _split_findings(rows: Dataset, counted: tuple[np.ndarray, float] | None, max_length: int) -> SplitFindings:
    tokens, unknown = counted or (None, None)
    texts = text_keys(rows, normalize=False)
    words = [sum(map(str.isalnum, text)) for text in texts]
    empty = sum(not text.strip() for text in texts)
    labels = np.bincount(np.asarray(rows["label"]), minlength=len(names := rows.features["label"].names))
    return SplitFindings(
        rows=len(rows),
        classes=dict(zip(names, labels.tolist(), strict=True)),
        characters=_quantiles(np.fromiter(map(len, texts), int, len(texts))),
        tokens=None if tokens is None else _quantiles(tokens),
        truncated=None if tokens is None else float((tokens > max_length).mean()),
        unknown=unknown,
        empty=empty,
        near_empty=sum(count < 2 for count in words) - empty,
        invalid=sum(INVALID.search(text) is not None for text in texts),
        decomposed=sum(not unicodedata.is_normalized("NFC", text) for text in texts),
    )


def _quantiles(lengths: np.ndarray) -> dict[str, float]:
    at = {"median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {"mean": float(lengths.mean()), **{name: float(np.quantile(lengths, q)) for name, q in at.items()}}


def _duplicates(corpus: DatasetDict) -> tuple[dict[str, Duplicates], list[tuple[str, str]]]:
    order = sorted(corpus, key=lambda split: split != "train")  # a copy in two splits is one of train in the other
    held_out = order[1:] if "train" in corpus else []
    labels = {split: list(corpus[split]["label"]) for split in order}
    duplicates = {}
    for how in ("exact", "normalized"):
        keys = {split: text_keys(corpus[split], normalize=how == "normalized") for split in order}
        duplicates[how] = Duplicates(
            repeated={split: int(repeats(keys[split]).sum()) for split in order},
            several_labels={split: several_labels(keys[split], labels[split]) for split in order},
            in_train={split: int(stands_in(keys[split], keys["train"]).sum()) for split in held_out},
        )
    home: dict[str, tuple[str, int]] = {}  # each distinct text's split and label, where it stands first
    for split in order:
        for key, label in zip(keys[split], labels[split], strict=True):
            home.setdefault(key, (split, label))
    texts = list(home)
    try:
        found = near_duplicates(texts)
    except HfclsError as error:
        logger.warning("near-duplicates are not counted: %s", error)
        return duplicates, []
    near = Duplicates(dict.fromkeys(order, 0), dict.fromkeys(order, 0), dict.fromkeys(held_out, 0))
    for later, first in found.items():
        (split, label), (first_split, first_label) = home[texts[later]], home[texts[first]]
        if split == first_split:
            near.repeated[split] += 1
            near.several_labels[split] += label != first_label
        elif first_split == "train":
            near.in_train[split] += 1
    duplicates["near"] = near
    return duplicates, [(texts[first], texts[later]) for later, first in list(found.items())[:NEAR_EXAMPLES]]
