"""evaluate: score a fine-tuned classifier on a labelled split."""

import csv
import html
import re
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from tqdm import tqdm

from hfcls.baseline.beside import rows_right
from hfcls.config.commands import EvaluateConfig
from hfcls.config.options import with_data
from hfcls.data.columns import remembered_columns
from hfcls.data.origins.files import BUILT_IN
from hfcls.data.origins.held_out import load_held_out
from hfcls.data.tasks import label_counts, label_names, true_labels
from hfcls.errors import HfclsError
from hfcls.inference.classifier import Classifier
from hfcls.inference.texts import check_columns_of_file, check_same_columns
from hfcls.runs.folder import check_not_of_a_run, warn_of_learned_rows
from hfcls.runs.predictions import text_lengths
from hfcls.runs.results import score_rows
from hfcls.scoring.intervals import McNemar, mcnemar
from hfcls.scoring.metrics import FurtherMetrics, further_metrics
from hfcls.scoring.tasks import AnyAnalysis, Regression
from hfcls.system.files import check_writable, write_json
from hfcls.system.terminal import aligned, bars_are_seen

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hfcls.config.typed import EvaluateOptions


UNNAMED = re.compile(r"LABEL_\d+")  # what transformers calls a class that was given no name


@dataclass(frozen=True)
class Comparison:
    """Another model on the same rows: its scores, and McNemar's paired test of the first model against it."""

    model: str
    analysis: AnyAnalysis
    mcnemar: McNemar


@dataclass(kw_only=True)
class Evaluation:
    """The outcome of `evaluate`.

    Attributes:
        model: folder or Hub id of the classifier.
        dataset: as `--dataset` named it.
        split: the split that was scored.
        num_rows: rows of that split.
        metrics: `accuracy`, `macro_f1` and `loss` (mean cross-entropy in nats), or those of several labels or of a
            regression, see `Result`.
        rows_per_second: texts per second in prediction.
        analysis: all scores with their intervals.
        comparisons: with each other model that `compare` named.
        further: the metrics that `metrics` asked for.
    """

    model: str
    dataset: str
    split: str
    num_rows: int
    metrics: dict[str, float]
    rows_per_second: float
    analysis: AnyAnalysis
    comparisons: list[Comparison] = field(default_factory=list)
    further: dict[str, float] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        write_json(path, asdict(self))

    def table(self) -> str:
        """The numbers a person wants first."""
        rows = score_rows(self.split, self.num_rows, "", self.analysis)
        rows += [(name, f"{value:.4f}") for name, value in self.further.items()]
        return "\n".join(aligned([*rows, ("texts/s", f"{self.rows_per_second:,.0f}"), ("model", self.model)]))

    def details(self) -> list[str]:
        """The table of classes, and the comparison with each other model."""
        texts = [self.analysis.table()]
        for other in self.comparisons:
            test, scores = other.mcnemar, dict([other.analysis.headline()[0], rows_right(other.analysis)])
            texts.append(
                f"{other.model} on the same rows: {', '.join(f'{name} {score}' for name, score in scores.items())}\n"
                f"McNemar's test: {test.only_first:,} rows right by {self.model} alone, {test.only_second:,} by "
                f"{other.model} alone, p = {test.p_value:.3g}"
            )
        if (tests := len(self.comparisons)) > 1:
            texts.append(f"{tests} tests: a difference is more than chance where p is below {0.05 / tests:.3g}")
        return texts

    def _repr_html_(self) -> str:
        """Table and details, for a notebook."""
        content = "\n\n".join([self.table(), *self.details()])
        return f"<pre>{html.escape(content)}</pre>"


def evaluate(config: EvaluateConfig | None = None, /, **options: "Unpack[EvaluateOptions]") -> Evaluation:
    """Every score of a classifier on one split of a corpus, with 95 % intervals; with `compare`, those of others too.

    Labels are matched by name: the data may list its classes in another order than the model, lack some of them, or
    hold one alone. Rows without a label are left out, and the log says how many there are.

    Args:
        config: options; default `EvaluateConfig()`.
        **options: any field of `EvaluateConfig`, over those of `config`; `dataset` may also be a DataFrame, a list of
            dicts or another object that `load_corpus` takes.

    Raises:
        HfclsError: no such split, a label that the model does not know, an `output` that cannot be written, or model
            or data are not what is needed.
    """
    config, data = with_data(EvaluateConfig() if config is None else config, options)
    output = Path(config.output) if config.output else None
    if output:
        check_not_of_a_run(output, "output")
        check_writable(output, "output")
    first = _load(config.model, config)  # what cannot be loaded ends the command before hours of scoring
    others = {name: _load(name, config) for name in config.compared()}
    names = _named(first.labels, config.label_names, config.model)
    further = further_metrics(config.metrics, first.task, config.trust_remote_code)
    columns = remembered_columns(config.columns(), {} if config.dataset in BUILT_IN else first.columns)
    split, rows = load_held_out(
        known=names,
        split=config.split,
        max_rows=config.max_samples,
        problem_type=first.task.problem_type,
        **config.corpus_options() | columns | {"dataset": data, "joint": first.joint},
    )
    if split == "train" and isinstance(data, str):
        warn_of_learned_rows([config.model, *others], data)
    other_names = {name: _names_beside(first, name, other, rows, config) for name, other in others.items()}
    analysis, right, rows_per_second, further_scores = _score(config.model, first, names, rows, further)
    result = Evaluation(
        model=config.model,
        dataset=config.dataset,
        split=split,
        num_rows=len(rows),
        metrics=analysis.metrics(),
        rows_per_second=rows_per_second,
        analysis=analysis,
        further=further_scores,
    )
    for name, other in others.items():
        scores, other_right, _, _ = _score(name, other, other_names[name], rows)
        result.comparisons.append(Comparison(name, scores, mcnemar(np.ones(len(rows), bool), right, other_right)))
    if output:
        try:
            result.save(output)
        except OSError as error:  # the drive has filled up meanwhile: the scores are not lost
            raise HfclsError(f"cannot write {output}: {error.strerror or error}. Scores:\n{result.table()}") from error
    return result


def _load(model: str, config: EvaluateConfig) -> Classifier:
    return Classifier.from_pretrained(
        model,
        trust_remote_code=config.trust_remote_code,
        batch_size=config.batch_size,
        batching=config.batching,
        precision=config.precision,
    )


def _named(own: list[str], label_names: str | None, model: str) -> list[str]:
    """The names of a model's classes in the order of their ids: its own, or those that are given.

    Raises:
        HfclsError: not one name for each class, or the model's own names in another order, which would swap classes.
    """
    names = own if label_names is None else [name.strip() for name in next(csv.reader([label_names]))]
    if len(set(names)) < len(own) or len(names) != len(own):
        raise HfclsError(
            f"label_names must name each of the {len(own)} classes of {model} once ({', '.join(own)}), found "
            f"{', '.join(names)}"
        )
    if names != own and set(names) == set(own):
        raise HfclsError(
            f"{model} has the classes {', '.join(own)} in this order of their ids, but label_names is "
            f"{', '.join(names)}: leave it out"
        )
    return names


def _names_beside(first: Classifier, model: str, other: Classifier, rows: Dataset, config: EvaluateConfig) -> list[str]:
    """The names of the classes of a model to score beside the first; raises HfclsError if these rows are not for it."""
    if not (config.text_column or config.text_pair_column or config.dataset in BUILT_IN):  # they are meant for both
        check_same_columns(config.model, first.columns, model, other.columns)
    if other.task.problem_type != first.task.problem_type or isinstance(first.task, Regression):
        raise HfclsError(
            f"compare is for models that all give classes, or all labels: {config.model} is {first.task.problem_type}, "
            f"{model} {other.task.problem_type}; evaluate each alone"
        )
    unnamed = all(UNNAMED.fullmatch(name) for name in other.labels)
    names = _named(other.labels, config.label_names if unnamed else None, model)
    if unknown := [label for label, count in label_counts(rows).items() if count and label not in names]:
        raise HfclsError(f"the data has the label {', '.join(unknown)}, but {model} only knows {', '.join(names)}")
    return names


def _score(
    model: str, classifier: Classifier, names: list[str], rows: Dataset, further: FurtherMetrics | None = None
) -> tuple[AnyAnalysis, NDArray[np.bool_], float, dict[str, float]]:
    """Scores, whether each row has its label or labels [N] (empty of a regression), rows per second, further metrics.

    Args:
        names: of the classifier's classes in the order of their ids.
        rows: whose labels may have these names in another order.
    """
    start, chunks, size = time.perf_counter(), [], 32 * classifier.batch_size
    with tqdm(total=len(rows), desc="score", unit=" rows", disable=not bars_are_seen()) as progress:
        for batch in rows.iter(size):
            texts = list(zip(batch["text"], batch["text_pair"], strict=True)) if "text_pair" in batch else batch["text"]
            check_columns_of_file(model, texts, classifier.columns)
            chunks.append(classifier.logits(texts).numpy())
            progress.update(len(texts))
    seconds = time.perf_counter() - start
    task = replace(classifier.task, names=names)
    outputs, labels = task.outputs(np.concatenate(chunks)), _labels_of(rows, names)
    right = task.right(labels, outputs)
    analysis = task.analyse(labels, outputs, lengths=text_lengths(rows))
    others = further(labels, outputs, task) if further else {}
    return analysis, np.zeros(0, bool) if right is None else right, len(rows) / seconds, others


def _labels_of(rows: Dataset, names: list[str]) -> NDArray[Any]:
    """The true labels of the rows with the ids of `names`, which may stand in another order than those of the rows."""
    labels, theirs = true_labels(rows), label_names(rows)
    if not theirs:
        return labels
    if labels.ndim == 2:
        hot = {name: labels[:, i] for i, name in enumerate(theirs)}
        return np.stack([hot.get(name, np.zeros(len(rows))) for name in names], axis=1)
    id_of = {name: i for i, name in enumerate(names)}
    return np.asarray([id_of.get(name, -1) for name in theirs])[labels]  # -1: no row has it
