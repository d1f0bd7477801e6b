"""What a run measured: kept as JSON beside the model, shown as a short table."""

import html
import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.cells import cell_len

from hfcls.baseline.beside import BaselineScores, rows_right
from hfcls.data.duplicates import seen_in_train
from hfcls.data.tasks import origin_of_labels, true_labels
from hfcls.errors import HfclsError
from hfcls.runs.folder import PREDICTIONS_FILE, RESULTS_FILE
from hfcls.runs.predictions import Example, first_examples, save_predictions, text_lengths
from hfcls.runs.record import RunFacts
from hfcls.scoring.confidence.scores import Confidence, confidence_scores
from hfcls.scoring.intervals import Estimate, wilson
from hfcls.scoring.tasks import AnyAnalysis, MultiLabel, Task, analysis_from_dict, shown
from hfcls.system.files import check_types, write_json
from hfcls.system.quoting import one_line, shortened
from hfcls.system.terminal import aligned, columns, padded

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from numpy.typing import NDArray

    from hfcls.scoring.metrics import FurtherMetrics

logger = logging.getLogger(__name__)

SHOWN_CHARS = 26  # Hangul of which, with label and score, fills a line of a terminal


@dataclass(frozen=True)
class Unseen:
    """The rows of the scored split whose text (normalised, see `hfcls.data.duplicates`) does not stand in train.

    `accuracy` is the share that has its label, or all of its labels.
    """

    num_rows: int
    accuracy: Estimate


def unseen(right: "NDArray[np.bool_] | None", chosen: "NDArray[np.bool_]") -> Unseen | None:
    """The score of the rows that are `chosen` [N], where each is right or wrong; None of a regression."""
    if right is None:
        return None
    return Unseen(int(chosen.sum()), wilson(int(right[chosen].sum()), int(chosen.sum())))


@dataclass(kw_only=True)
class Result:
    """The outcome of `fine_tune`.

    Attributes:
        output_dir: folder of the model.
        split: the split that the metrics were measured on; None if there was nothing to measure on.
        num_rows: rows of that split.
        seed: of the run.
        metrics: `accuracy`, `macro_f1` and `loss` (mean cross-entropy in nats) of that split; of several labels
            `micro_f1`, `macro_f1`, `subset_accuracy` and `loss`; of a regression `pearson`, `spearman`, `mae`, `r2` and
            `loss` (mean squared error).
        rows_per_second: texts per second in training.
        note: how the number may be read, such as "scored once".
        examples: a few held-out texts.
        analysis: all scores of that split with their intervals; None if there was nothing to measure on.
        facts: of the run.
        unseen: accuracy on the rows whose text is not in train as well; None if there was nothing to measure on.
        baseline: what character n-grams reach on the same rows; None if there was nothing to measure on, it was not
            wanted, or this is not the main process.
        further: the metrics that `--metrics` asked for.
        confidence: what `calibrate` and `target_accuracy` gave; None if neither was asked for, or could be had.
    """

    output_dir: str
    split: str | None
    num_rows: int
    seed: int
    metrics: dict[str, float]
    rows_per_second: float
    note: str = ""
    examples: list[Example] = field(default_factory=list)
    analysis: AnyAnalysis | None = None
    facts: RunFacts | None = None
    unseen: Unseen | None = None
    baseline: BaselineScores | None = None
    further: dict[str, float] = field(default_factory=dict)
    confidence: Confidence | None = None

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        write_json(path, asdict(self))

    def table(self) -> str:
        """The numbers a person wants first, the baseline's beside the model's, then the examples."""
        rows = score_rows(self.split, self.num_rows, self.note, self.analysis, self.baseline)
        rows += [(name, f"{value:.4f}") for name, value in self.further.items()]
        if self.analysis and self.unseen and (count := self.unseen.num_rows) < self.num_rows:
            on = f"{rows_right(self.analysis)[0]} on the {count:,} rows whose text is not in train"
            rows += [("unseen", f"{self.unseen.accuracy}  {on}" if count else "no row: each text is in train, too")]
        rows += self.confidence.rows() if self.confidence else []
        rows += seeds.rows() if (seeds := self.facts and self.facts.seeds) else []
        speed = f", {self.rows_per_second:,.0f} texts/s" if self.rows_per_second else ""  # a resumed one may have none
        which = seeds.kept.replace("-", " ") if seeds else f"seed {self.seed}"
        lines = aligned([*rows, ("model", f"{self.output_dir} ({which}{speed})")])
        if self.analysis and self.baseline and (verdict := self.baseline.verdict(self.analysis)):
            lines += ["", verdict]
        return "\n".join([*lines, *self._example_lines()])

    def _example_lines(self) -> list[str]:
        if not self.examples:
            return []
        lines = ["", f"Texts of the {self.split} split, as the model sees them [true label]:"]
        names = [one_line(example.predicted) for example in self.examples]
        width = max(map(cell_len, names))
        for example, name in zip(self.examples, names, strict=True):
            texts = [shortened(text, SHOWN_CHARS) for text in (example.text, example.text_pair) if text is not None]
            score = "" if example.score is None else f"{example.score:6.1%}"
            lines.append(f"  {padded(name, width)} {score}  {' / '.join(texts)}  [{one_line(example.label)}]")
        return lines

    def _repr_html_(self) -> str:
        """The table, for a notebook."""
        return f"<pre>{html.escape(self.table())}</pre>"


def score_rows(
    split: str | None, num_rows: int, note: str, analysis: AnyAnalysis | None, baseline: BaselineScores | None = None
) -> list[tuple[str, str]]:
    """Name and value of the scores of a split, for `aligned`; with a baseline, its scores in a second column."""
    if split is None:
        return [("split", f"none ({note})")]
    rows = [("split", f"{split} ({num_rows:,} rows{', ' + note if note else ''})")]
    if analysis is not None:
        scored = [analysis, baseline.analysis] if baseline else [analysis]
        rows += [("", columns("model", "baseline"))] if baseline else []
        for i, scores in enumerate(zip(*(each.headline() for each in scored), strict=True)):
            cells = columns(*(score if isinstance(score, Estimate) else f"{score:.4f}" for _, score in scores))
            rows.append((scores[0][0], cells if i else f"{cells}  95 % interval"))
    return rows


def scored_result(
    corpus: "DatasetDict",
    split: str | None,
    outputs: "NDArray[np.float64] | None",
    task: Task,
    facts: RunFacts,
    *,
    output_dir: str,
    seed: int,
    further: "FurtherMetrics | None" = None,
    fitted: dict[str, Any] | None = None,
) -> Result:
    """The result of a run from what its model says of the scored split; warns if the model has not learned.

    Args:
        outputs: of `task` for the rows of the split.
        further: metrics that are wanted beside ours.
        fitted: what was fitted to the probabilities, as `confidence_scores` takes it, if something was.
    """
    speed = facts.texts_per_second
    base: dict[str, Any] = {"output_dir": output_dir, "seed": seed, "rows_per_second": speed, "facts": facts}
    if split is None or outputs is None:
        return Result(**base, split=None, num_rows=0, metrics={}, note="no validation or test split")
    rows = corpus[split]
    labels = true_labels(rows)
    analysis = task.analyse(labels, outputs, lengths=text_lengths(rows))
    if np.ptp(labels, axis=0).any() and len(called := set(map(shown, task.decided(outputs)))) == 1:
        logger.warning("the model calls every text of the %s split %s: it has not learned", split, called.pop())
    chose = ["the checkpoint"] * (facts.options.get("metric_for_best_model") != "last")
    chose += ["the thresholds"] * (split == "validation" and isinstance(task, MultiLabel))
    held_out = f"also chose {' and '.join(chose)}" if chose else "held out"
    note = "scored once" if split != facts.selected_on else held_out
    if split == "validation" and fitted and fitted["temperature"]:
        note += "; the temperature was fitted on it"
    if origin := origin_of_labels(rows):
        note += f"; {origin}"
    without_test = "the test split has no labels" if facts.submission_rows else "there is no test split"
    return Result(
        **base,
        split=split,
        num_rows=len(rows),
        metrics=analysis.metrics(),
        note=note if split == "test" else f"{note}; {without_test}",
        examples=first_examples(rows, outputs, task),
        analysis=analysis,
        unseen=unseen(task.right(labels, outputs), ~seen_in_train(corpus, split)),
        further=further(labels, outputs, task) if further else {},
        confidence=confidence_scores(task, labels, outputs, **fitted) if fitted else None,
    )


def save_run(
    result: Result, rows: "Dataset | None", outputs: "NDArray[np.float64] | None", task: Task, folder: Path
) -> None:
    """Write predictions, then results, to the folder of a run.

    Args:
        rows: the scored split; None: nothing was held out.
        outputs: of `task` for these rows.

    Raises:
        HfclsError: they could not be written; the message holds the results.
    """
    try:
        if rows is not None and outputs is not None:
            save_predictions(rows, outputs, task, folder / PREDICTIONS_FILE)
        result.save(folder / RESULTS_FILE)
    except OSError as error:
        raise HfclsError(
            f"the model is saved in {folder}, but not its results ({error.strerror or error}): "
            f"solve that, then continue with --resume. They are:\n{result.table()}"
        ) from error


def load_results(folder: str | Path) -> Result:
    """The outcome of the run in `folder`, as `fine_tune` returned it; the predictions lie in `predictions.parquet`.

    Raises:
        HfclsError: no finished run there, or its results.json cannot be read.
    """
    path = Path(folder) / RESULTS_FILE
    if not path.is_file():
        raise HfclsError(
            f"{folder} holds no finished run: {RESULTS_FILE} is missing; give the --output_dir of `hfcls train`"
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if "perplexity" in values:
            raise HfclsError(
                f"{folder} holds an encoder that `hfcls adapt` pretrained, which classifies nothing: fine-tune it "
                f"first (hfcls train --model {folder})"
            )
        values["examples"] = [Example(**example) for example in values["examples"]]
        if unseen := values.get("unseen"):
            values["unseen"] = Unseen(unseen["num_rows"], Estimate(**unseen["accuracy"]))
        kinds: dict[str, Any] = {"facts": RunFacts, "baseline": BaselineScores, "confidence": Confidence}
        kinds = {"analysis": analysis_from_dict, **{name: kind.from_dict for name, kind in kinds.items()}}
        values |= {name: made(values[name]) for name, made in kinds.items() if values.get(name)}
        check_types(result := Result(**values), Result)
        return result
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        why = str(error) if isinstance(error, UnicodeError) else repr(error)  # whose repr holds the whole file
        raise HfclsError(f"{path} is not the result of a run of this version of hfcls: {why}") from error
