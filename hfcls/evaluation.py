"""evaluate: score a fine-tuned classifier on a labelled split."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from tqdm import tqdm

from hfcls.analysis import Analysis, analyse, mcnemar
from hfcls.config import EvaluateConfig
from hfcls.corpora import load_corpus
from hfcls.errors import HfclsError
from hfcls.inference import Classifier
from hfcls.results import Comparison, Result, text_lengths


def evaluate(config: EvaluateConfig | None = None, /, **options: Any) -> Result:
    """Every score of a classifier on one split of a corpus, with 95 % intervals; with `compare`, a second one's too.

    Labels are matched by name, so the data may list its classes in another order than the model.

    Args:
        config: options; default `EvaluateConfig()`.
        **options: any field of `EvaluateConfig`, over those of `config`.

    Raises:
        HfclsError: no such split, a label that the model does not know, or model or data are not what is needed.
    """
    config = replace(config or EvaluateConfig(), **options)
    corpus = load_corpus(
        config.dataset,
        dataset_config=config.dataset_config,
        data_dir=config.data_dir,
        text_column=config.text_column,
        text_pair_column=config.text_pair_column,
        label_column=config.label_column,
    )
    split = config.split or ("test" if len(corpus) > 1 else next(iter(corpus)))
    if split not in corpus:
        raise HfclsError(f"{config.dataset} has no {split} split; it has {', '.join(corpus)}: set --split")
    rows = corpus[split]
    rows = rows.select(range(min(len(rows), config.max_samples or len(rows))))
    analysis, predicted, speed = _score(config.model, rows, config)
    result = Result(config.model, split, len(rows), None, analysis.metrics(), speed, analysis=analysis)
    if config.compare:
        other, other_predicted, _ = _score(config.compare, rows, config)
        labels = np.asarray(rows.features["label"].names)[rows.with_format("numpy")["label"][:]]
        result.comparison = Comparison(config.compare, other, mcnemar(labels, predicted, other_predicted))
    if config.output:
        result.save(Path(config.output))
    return result


def _score(model: str, rows: Dataset, config: EvaluateConfig) -> tuple[Analysis, NDArray[np.str_], float]:
    """Scores of a model, the name of the class it gives each row [N], and rows per second."""
    classifier = Classifier.from_pretrained(model, batch_size=config.batch_size, batching=config.batching)
    ids = _ids_by_name(rows, classifier, model, config.dataset)
    start = time.perf_counter()
    chunks = []
    with tqdm(total=len(rows), desc=model, unit="rows") as progress:
        for batch in rows.iter(32 * config.batch_size):
            texts = list(zip(batch["text"], batch["text_pair"], strict=True)) if "text_pair" in batch else batch["text"]
            chunks.append(classifier.logits(texts).double().softmax(dim=-1).numpy())
            progress.update(len(texts))
    seconds = time.perf_counter() - start
    probabilities = np.concatenate(chunks)
    labels = ids[rows.with_format("numpy")["label"][:]]
    analysis = analyse(labels, probabilities, classifier.labels, lengths=text_lengths(rows))
    return analysis, np.asarray(classifier.labels)[probabilities.argmax(axis=-1)], len(rows) / seconds


def _ids_by_name(rows: Dataset, classifier: Classifier, model: str, dataset: str) -> NDArray[np.int64]:
    """The model's class id for each of the data's."""
    names = rows.features["label"].names
    if unknown := [name for name in names if name not in classifier.labels]:
        raise HfclsError(
            f"{dataset} has the label {', '.join(unknown)}, but {model} only knows {', '.join(classifier.labels)}"
        )
    return np.asarray([classifier.labels.index(name) for name in names])
