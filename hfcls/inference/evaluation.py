"""evaluate: score a fine-tuned classifier on a labelled split."""

import html
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from tqdm import tqdm

from hfcls.config.commands import EvaluateConfig
from hfcls.config.options import with_options
from hfcls.data.corpora import load_corpus
from hfcls.errors import HfclsError
from hfcls.files import check_writable, write_whole
from hfcls.inference.classifier import Classifier
from hfcls.runs.predictions import text_lengths
from hfcls.runs.results import aligned, score_rows
from hfcls.scoring.analysis import Analysis, analyse
from hfcls.scoring.intervals import McNemar, mcnemar

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hfcls.config.typed import EvaluateOptions


@dataclass(frozen=True)
class Comparison:
    """A second model on the same rows: its scores, and McNemar's paired test of the first model against it."""

    model: str
    analysis: Analysis
    mcnemar: McNemar


@dataclass(kw_only=True)
class Evaluation:
    """The outcome of `evaluate`.

    Attributes:
        model: folder or Hub id of the classifier.
        dataset: as `--dataset` named it.
        split: the split that was scored.
        num_rows: rows of that split.
        metrics: `accuracy`, `macro_f1` and `loss` (mean cross-entropy in nats).
        rows_per_second: texts per second in prediction.
        analysis: all scores with their intervals.
        comparison: with a second model, if there was one.
    """

    model: str
    dataset: str
    split: str
    num_rows: int
    metrics: dict[str, float]
    rows_per_second: float
    analysis: Analysis
    comparison: Comparison | None = None

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        write_whole(path, json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n")

    def table(self) -> str:
        """The numbers a person wants first."""
        rows = score_rows(self.split, self.num_rows, "", self.analysis)
        return "\n".join(aligned([*rows, ("reviews/s", f"{self.rows_per_second:,.0f}"), ("model", self.model)]))

    def details(self) -> list[str]:
        """The table of classes, and the comparison with a second model if there is one."""
        texts = [self.analysis.table()]
        if self.comparison:
            other, test = self.comparison, self.comparison.mcnemar
            texts.append(
                f"{other.model} on the same rows: accuracy {other.analysis.accuracy}\n"
                f"McNemar's test: {test.only_first:,} rows right by {self.model} alone, {test.only_second:,} by "
                f"{other.model} alone, p = {test.p_value:.3g}"
            )
        return texts

    def _repr_html_(self) -> str:
        """Table and details, for a notebook."""
        content = "\n\n".join([self.table(), *self.details()])
        return f"<pre>{html.escape(content)}</pre>"


def evaluate(config: EvaluateConfig | None = None, /, **options: "Unpack[EvaluateOptions]") -> Evaluation:
    """Every score of a classifier on one split of a corpus, with 95 % intervals; with `compare`, a second one's too.

    Labels are matched by name, so the data may list its classes in another order than the model.

    Args:
        config: options; default `EvaluateConfig()`.
        **options: any field of `EvaluateConfig`, over those of `config`.

    Raises:
        HfclsError: no such split, a label that the model does not know, an `output` that cannot be written, or model
            or data are not what is needed.
    """
    config = with_options(config or EvaluateConfig(), options)
    corpus = load_corpus(**config.corpus_options())
    split: str = config.split or ("test" if len(corpus) > 1 else next(iter(corpus)))
    if split not in corpus:
        raise HfclsError(f"{config.dataset} has no {split} split; it has {', '.join(corpus)}: set --split")
    rows = corpus[split]
    rows = rows.select(range(min(len(rows), config.max_samples or len(rows))))
    output = Path(config.output) if config.output else None
    if output:
        check_writable(output, "output")
    # a model that cannot be loaded, or a label it does not know, ends the command before hours of scoring
    first = _load(config.model, rows, config)
    second = _load(config.compare, rows, config) if config.compare else None
    analysis, predicted, rows_per_second = _score(config.model, first, rows)
    result = Evaluation(
        model=config.model,
        dataset=config.dataset,
        split=split,
        num_rows=len(rows),
        metrics=analysis.metrics(),
        rows_per_second=rows_per_second,
        analysis=analysis,
    )
    if config.compare and second:
        other, other_predicted, _ = _score(config.compare, second, rows)
        labels = np.asarray(rows.features["label"].names)[rows.with_format("numpy")["label"][:]]
        result.comparison = Comparison(config.compare, other, mcnemar(labels, predicted, other_predicted))
    if output:
        try:
            result.save(output)
        except OSError as error:  # the drive has filled up meanwhile: the scores are not lost
            raise HfclsError(f"cannot write {output}: {error.strerror or error}. Scores:\n{result.table()}") from error
    return result


def _load(model: str, rows: Dataset, config: EvaluateConfig) -> Classifier:
    """A classifier that knows every label of the data."""
    classifier = Classifier.from_pretrained(
        model,
        trust_remote_code=config.trust_remote_code,
        batch_size=config.batch_size,
        batching=config.batching,
        precision=config.precision,
    )
    names = rows.features["label"].names
    if unknown := [name for name in names if name not in classifier.labels]:
        raise HfclsError(
            f"{config.dataset} has the label {', '.join(unknown)}, but {model} only knows "
            f"{', '.join(classifier.labels)}"
        )
    return classifier


def _score(model: str, classifier: Classifier, rows: Dataset) -> tuple[Analysis, NDArray[np.str_], float]:
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
    # the data may list its classes in another order than the model: they are matched by name
    class_ids = np.asarray([classifier.labels.index(name) for name in rows.features["label"].names])
    labels = class_ids[rows.with_format("numpy")["label"][:]]
    analysis = analyse(labels, probabilities, classifier.labels, lengths=text_lengths(rows))
    return analysis, np.asarray(classifier.labels)[probabilities.argmax(axis=-1)], len(rows) / seconds
