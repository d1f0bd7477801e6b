"""evaluate: score a fine-tuned classifier on a labelled split."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from tqdm import tqdm
from transformers import EvalPrediction

from hfcls.config import EvaluateConfig
from hfcls.corpora import load_corpus
from hfcls.errors import HfclsError
from hfcls.inference import Classifier
from hfcls.metrics import classification_metrics
from hfcls.results import Result


def evaluate(config: EvaluateConfig | None = None, /, **options: Any) -> Result:
    """Accuracy, macro F1 and loss of a classifier on one split of a corpus.

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
    classifier = Classifier.from_pretrained(config.model, batch_size=config.batch_size, batching=config.batching)
    ids = _ids_by_name(rows, classifier, config)

    start = time.perf_counter()
    chunks = []
    for batch in tqdm(rows.iter(32 * config.batch_size), desc=split, unit_scale=32 * config.batch_size):
        texts = list(zip(batch["text"], batch["text_pair"], strict=True)) if "text_pair" in batch else batch["text"]
        chunks.append(classifier.logits(texts).numpy())
    seconds = time.perf_counter() - start
    labels = ids[np.asarray(rows["label"])]
    metrics = classification_metrics(EvalPrediction(predictions=np.concatenate(chunks), label_ids=labels))
    result = Result(config.model, split, len(rows), None, metrics, len(rows) / seconds)
    if config.output:
        result.save(Path(config.output))
    return result


def _ids_by_name(rows: Dataset, classifier: Classifier, config: EvaluateConfig) -> np.ndarray:
    """The model's class id for each of the data's."""
    names = rows.features["label"].names
    if unknown := [name for name in names if name not in classifier.labels]:
        raise HfclsError(
            f"{config.dataset} has the label {', '.join(unknown)}, but {config.model} only knows "
            f"{', '.join(classifier.labels)}"
        )
    return np.asarray([classifier.labels.index(name) for name in names])
