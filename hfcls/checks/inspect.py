"""check: look at labelled texts before training on them."""

import logging
import math
import re
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset, DatasetDict
from transformers import PreTrainedTokenizerBase

from hfcls.baseline.beside import score_baseline
from hfcls.baseline.model import BASELINE
from hfcls.batching.bins import padding_shares
from hfcls.batching.choice import check_batching, collator_for
from hfcls.batching.collate import for_training
from hfcls.checks.copies import count_copies
from hfcls.checks.cost import MOST_STEPS, Cost, measure_cost
from hfcls.checks.findings import Findings, SplitFindings
from hfcls.checks.giveaways import giveaways
from hfcls.config.commands import CheckConfig
from hfcls.config.defaults import RANDOM, fgm_for
from hfcls.config.options import with_data
from hfcls.data.corpora import load_corpus
from hfcls.data.duplicates import text_keys
from hfcls.data.encoding import NO_TOKENS, as_alone, check_told_apart, encode
from hfcls.data.splits import carve_validation
from hfcls.data.tasks import label_counts, task_of
from hfcls.errors import HfclsError
from hfcls.models.classes import name_classes
from hfcls.models.scratch import SCRATCH, scratch_model, untrained_model
from hfcls.models.tokenizers import agree_on_padding, check_vocabulary, load_tokenizer, train_tokenizer
from hfcls.runs.folder import check_not_of_a_run
from hfcls.system.files import check_writable
from hfcls.system.terminal import calm_libraries

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hfcls.config.typed import CheckOptions

logger = logging.getLogger(__name__)

# Surrogates; U+FFFD, which a wrong decoding leaves; control characters other than tab and line ends.
INVALID = re.compile("[\ud800-\udfff\ufffd\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
SIMULATED_BATCHES = 100
CARVED = 0.1  # of train, as `hfcls train` does by default


def check(config: CheckConfig | None = None, /, **options: "Unpack[CheckOptions]") -> Findings:
    """Sizes, classes, lengths, broken and repeated texts of a corpus; with a model also tokens, padding, time, memory.

    The model is only asked for its tokenizer and its shape: weights are not loaded, training steps are measured on
    random ones.

    Args:
        config: options; default `CheckConfig()`.
        **options: any field of `CheckConfig`, over those of `config`; `dataset` may also be a DataFrame, a list of
            dicts or another object that `load_corpus` takes.

    Raises:
        HfclsError: the corpus, tokenizer or model config cannot be read, or `output` cannot be written.
    """
    config, data = with_data(CheckConfig() if config is None else config, options)
    if config.model == BASELINE:  # which has no tokens; its scores are shown beside any model
        config = replace(config, model=None)
    if config.output:
        check_not_of_a_run(Path(config.output), "output")
        check_writable(Path(config.output), "output")
    corpus = load_corpus(**config.corpus_options() | {"dataset": data})
    main = "train" if "train" in corpus else next(iter(corpus))
    tokenizer = None
    if config.model is not None:
        if config.model == SCRATCH:
            tokenizer = train_tokenizer(corpus[main]["text"])
        else:
            tokenizer = load_tokenizer(config.model, trust_remote_code=config.trust_remote_code)
    tokens = {split: count_tokens(rows, tokenizer) for split, rows in corpus.items()} if tokenizer else {}
    duplicates, examples = count_copies(corpus)
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
        if not lengths.any():
            raise HfclsError(NO_TOKENS)
        order = np.random.default_rng(config.seed).permutation(len(lengths))[: SIMULATED_BATCHES * config.batch_size]
        findings.padding = padding_shares(lengths[order].tolist(), config.batch_size, config.max_length, None)
        findings.cost = _cost(
            config.model,
            tokenizer,
            corpus[main].select(order[: (1 + MOST_STEPS) * config.batch_size]),
            max_length=config.max_length,
            batch_size=config.batch_size,
            trust_remote_code=config.trust_remote_code,
        )
        findings.passes = 2 if fgm_for(len(lengths)) and not RANDOM.fullmatch(config.model or SCRATCH) else 1
        steps = math.ceil(len(lengths) / config.batch_size)
        findings.seconds_per_epoch = steps * findings.passes * findings.cost.seconds_per_step
    if config.baseline and "train" in corpus:
        _score_baseline(findings, corpus, config.seed)
    if config.output:
        findings.save(Path(config.output))
    return findings


def _score_baseline(findings: Findings, corpus: DatasetDict, seed: int) -> None:
    """Add the scores that a run with its defaults would show beside the model's."""
    split, whole = "test" if "test" in corpus else "validation", corpus
    if "validation" not in corpus:
        try:
            whole = carve_validation(corpus, CARVED, seed)
        except HfclsError as error:
            if split not in corpus:
                logger.info("no baseline: %s", error)
                return
    findings.baseline = score_baseline(whole, split, task_of(whole["train"]), seed=seed)
    findings.baseline_split = split if split in corpus else f"validation ({CARVED:.0%} of train, seed {seed})"


@calm_libraries()
def count_tokens(rows: Dataset, tokenizer: PreTrainedTokenizerBase) -> tuple[np.ndarray, float]:
    """Tokens of each row before truncation, int64 [N], and the share of all tokens that are the unknown one."""
    counts = rows.map(
        _count_batch,
        batched=True,
        remove_columns=rows.column_names,
        # `version` enters datasets' fingerprint, which hashes this function by name only: raise it with each change.
        fn_kwargs={"tokenizer": tokenizer, "version": 2},
        desc="count tokens",
    ).with_format("numpy")[:]
    return counts["tokens"], float(counts["unknown"].sum() / max(counts["tokens"].sum(), 1))


def _count_batch(
    batch: dict[str, list[Any]], *, tokenizer: PreTrainedTokenizerBase, version: int
) -> dict[str, list[int]]:
    given = as_alone(tokenizer, batch["text"], batch.get("text_pair"))
    encoded = tokenizer(*given, return_attention_mask=False, verbose=False)["input_ids"]
    unknown = tokenizer.unk_token_id
    return {
        "tokens": [len(ids) for ids in encoded],
        "unknown": [0 if unknown is None else ids.count(unknown) for ids in encoded],
    }


def _cost(
    name: str | None,
    tokenizer: PreTrainedTokenizerBase,
    texts: Dataset,
    *,
    max_length: int,
    batch_size: int,
    trust_remote_code: bool,
) -> Cost:
    """Of training on these texts, packed if the model can be.

    Raises:
        HfclsError: what would end the training too: model, tokenizer and texts do not belong together.
    """
    task = task_of(texts)
    label_names = task.names
    if name in (None, SCRATCH):
        model = scratch_model(tokenizer, label_names, max_length)
    else:
        model = untrained_model(name, label_names, max_length=max_length, trust_remote_code=trust_remote_code)
        check_vocabulary(name, tokenizer, model.config)
        agree_on_padding(name, tokenizer, model.config)
    name_classes(model, label_names, task.problem_type)
    check_batching(model, tokenizer, None, max_length=max_length)
    collator = for_training(collator_for(model, pad_token_id=tokenizer.pad_token_id, max_length=max_length))
    encoded = encode(texts, tokenizer, max_length, task)
    check_told_apart(texts, encoded, tokenizer)
    rows = list(encoded)
    batches = (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))
    return measure_cost(model, map(collator, batches))


def _split_findings(rows: Dataset, counted: tuple[np.ndarray, float] | None, max_length: int) -> SplitFindings:
    tokens, unknown = counted or (None, None)
    texts = text_keys(rows, normalize=False)
    words = [sum(map(str.isalnum, text)) for text in texts]
    empty = sum(not text.strip() for text in texts)
    between = int("text_pair" in rows.column_names)  # the line end in the key of a pair
    return SplitFindings(
        rows=len(rows),
        classes=label_counts(rows),
        characters=_quantiles(np.fromiter(map(len, texts), int, len(texts)) - between),
        tokens=None if tokens is None else _quantiles(tokens),
        truncated=None if tokens is None else float((tokens > max_length).mean()),
        unknown=unknown,
        empty=empty,
        near_empty=sum(count < 2 for count in words) - empty,
        invalid=sum(INVALID.search(text) is not None for text in texts),
        giveaways=giveaways(rows),
        decomposed=sum(not unicodedata.is_normalized("NFC", text) for text in texts),
    )


def _quantiles(lengths: np.ndarray) -> dict[str, float]:
    at = {"median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {"mean": float(lengths.mean()), **{name: float(np.quantile(lengths, q)) for name, q in at.items()}}
