"""evaluate: score a fine-tuned classifier on a labelled split."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from tqdm import tqdm

from hfcls.scoring.analysis import Analysis, analyse, mcnemar
from hfcls.config.train import EvaluateConfig
from hfcls.data.corpora import load_corpus
from hfcls.errors import HfclsError
from hfcls.files import check_writable
from hfcls.inference.classifier import Classifier
from hfcls.runs.predictions import text_lengths
from hfcls.runs.results import Comparison, Result


def evaluate(config: EvaluateConfig | None = None, /, **options: Any) -> Result:
    """Every score of a classifier on one split of a corpus, with 95 % intervals; with `compare`, a second one's too.

    Labels are matched by name, so the data may list its classes in another order than the model.

    Args:
        config: options; default `EvaluateConfig()`.
        **options: any field of `EvaluateConfig`, over those of `config`.

    Raises:
        HfclsError: no such split, a label that the model does not know, an `output` that cannot be written, or model
            or data are not what is needed.
    """
    config = replace(config or EvaluateConfig(), **options)
    corpus = load_corpus(**config.corpus_options())
    split = config.split or ("test" if len(corpus) > 1 else next(iter(corpus)))
    if split not in corpus:
        raise HfclsError(f"{config.dataset} has no {split} split; it has {', '.join(corpus)}: set --split")
    rows = corpus[split]
    rows = rows.select(range(min(len(rows), config.max_samples or len(rows))))
    output = Path(config.output) if config.output else None
    if output:
        check_writable(output, "output")
    # a model that cannot be loaded, or a label it does not know, ends the command before hours of scoring
    models = [config.model, *([config.compare] if config.compare else [])]
    loaded = [_load(model, rows, config) for model in models]
    scored = [_score(model, *parts, rows) for model, parts in zip(models, loaded, strict=True)]
    analysis, predicted, speed = scored[0]
    result = Result(config.model, split, len(rows), None, analysis.metrics(), speed, analysis=analysis)
    if config.compare:
        other, other_predicted, _ = scored[1]
        labels = np.asarray(rows.features["label"].names)[rows.with_format("numpy")["label"][:]]
        result.comparison = Comparison(config.compare, other, mcnemar(labels, predicted, other_predicted))
    if output:
        try:
            result.save(output)
        except OSError as error:  # the drive has filled up meanwhile: the scores are not lost
            raise HfclsError(f"cannot write {output}: {error.strerror or error}. Scores:\n{result.table()}") from error
    return result


def _load(model: str, rows: Dataset, config: EvaluateConfig) -> tuple[Classifier, NDArray[np.int64]]:
    """A classifier, and its class id for each of the data's."""
    classifier = Classifier.from_pretrained(
        model,
        trust_remote_code=config.trust_remote_code,
        batch_size=config.batch_size,
        batching=config.batching,
    )
    names = rows.features["label"].names
    if unknown := [name for name in names if name not in classifier.labels]:
        raise HfclsError(
            f"{config.dataset} has the label {', '.join(unknown)}, but {model} only knows "
            f"{', '.join(classifier.labels)}"
        )
    return classifier, np.asarray([classifier.labels.index(name) for name in names])


def _score(
    model: str, classifier: Classifier, ids: NDArray[np.int64], rows: Dataset
) -> tuple[Analysis, NDArray[np.str_], float]:
    """Scores, the name of the class that each row is given [N], and rows per second."""
    start = time.perf_counter()
    chunks, size = [], 32 * classifier.batch_size
    with tqdm(total=len(rows), desc=model, unit="rows") as progress:
        for batch in rows.iter(size):
            texts = list(zip(batch["text"], batch["text_pair"], strict=True)) if "text_pair" in batch else batch["text"]
            chunks.append(classifier.logits(texts).double().softmax(dim=-1).numpy())
            progress.update(len(texts))
    seconds = time.perf_counter() - start
    probabilities = np.concatenate(chunks)
    labels = ids[rows.with_format("numpy")["label"][:]]
    analysis = analyse(labels, probabilities, classifier.labels, lengths=text_lengths(rows))
    return analysis, np.asarray(classifier.labels)[probabilities.argmax(axis=-1)], len(rows) / seconds
