"""A finished run as one page that opens offline, in Korean and English: `report.html`, and its figures as files."""

import json
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined, UndefinedError
from markupsafe import Markup
from pyarrow import ArrowException

from hfcls.errors import HfclsError
from hfcls.publishing.figures import Curves, save_figures
from hfcls.publishing.names import LOSSES, SCORES
from hfcls.runs.folder import CHECK_FILE, NUMBERS_FILE, PREDICTIONS_FILE, REPORT_FILE, REPORT_FOLDER, STATE_FILE
from hfcls.runs.predictions import confident_errors, scored_rows
from hfcls.runs.results import Result, load_results
from hfcls.scoring.analysis import Analysis
from hfcls.scoring.regression import RegressionAnalysis
from hfcls.scoring.tasks import SingleLabel
from hfcls.system.files import write_whole
from hfcls.system.quoting import visible

CURVES = (
    "loss", "learning_rate", "eval_loss", "eval_accuracy", "eval_micro_f1", "eval_macro_f1", "eval_pearson",
    "eval_spearman",
)  # fmt: skip
SHOWN_POINTS = 2_000  # of a scatter plot
SHOWN_ERRORS, SHOWN_CONFUSIONS, SHOWN_CHARACTERS = 20, 10, 500
CONFUSION_CELLS = 12  # a confusion matrix of more classes is shown as a figure


def write_report(folder: str | Path) -> Path:
    """Write `report.html` into the folder of a finished run, and its figures and numbers into `report/`.

    The page needs no other file and no network: its figures are inline SVG whose text the reader's own fonts draw.

    Returns:
        The page.

    Raises:
        HfclsError: no finished run there, or its files cannot be read or written.
    """
    folder = Path(folder)
    result = load_results(folder)
    try:
        curves = read_curves(folder)
        errors = confident_errors(folder, SHOWN_ERRORS)
        check = _read_json(folder / CHECK_FILE)
        figures = save_figures(curves, result.analysis, folder / REPORT_FOLDER, _points(folder, result))
        numbers = {**asdict(result), "curves": asdict(curves), "confident_errors": errors, "check": check}
        write_whole(folder / REPORT_FOLDER / NUMBERS_FILE, json.dumps(numbers, ensure_ascii=False, indent=2) + "\n")
        page = folder / REPORT_FILE
        write_whole(page, render(result, figures, errors, check))
    except UndefinedError as error:
        raise HfclsError(
            f"{folder / CHECK_FILE} is not what `hfcls check --output` of this version writes ({error}): "
            "write it again, or delete it"
        ) from error
    except ArrowException as error:
        raise HfclsError(f"{folder / PREDICTIONS_FILE} cannot be read: {error}") from error
    except OSError as error:
        raise HfclsError(f"cannot write the report of {folder}: {error.strerror or error}") from error
    return page


def render(result: Result, figures: dict[str, str], errors: list[dict[str, Any]], check: dict[str, Any] | None) -> str:
    """The page as HTML; every text that comes from the run is escaped.

    Args:
        figures: inline SVG by name.
        errors: of `confident_errors`.
        check: content of check.json.
    """
    environment = Environment(
        autoescape=True, finalize=_visible, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    problem_type = result.facts.problem_type if result.facts else SingleLabel.problem_type
    template = (files("hfcls.publishing") / "report.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        result=result,
        analysis=result.analysis,
        facts=result.facts,
        figures={name: Markup(svg) for name, svg in figures.items()},
        errors=errors,
        check=check,
        confusion_cells=CONFUSION_CELLS,
        confusions=frequent_confusions(result.analysis) if isinstance(result.analysis, Analysis) else [],
        problem_type=problem_type,
        score_names=SCORES,
        loss_name=LOSSES[problem_type],
        shown_characters=SHOWN_CHARACTERS,
    )


def _points(folder: Path, result: Result) -> np.ndarray | None:
    """Targets and answers [N, 2] of up to `SHOWN_POINTS` scored rows of a regression; None of another run."""
    table = scored_rows(folder, SHOWN_POINTS) if isinstance(result.analysis, RegressionAnalysis) else None
    return None if table is None else np.column_stack([table["label"].to_numpy(), table["predicted"].to_numpy()])


def _visible(value: Any) -> Any:
    """A text of the run without control characters, which HTML does not allow; anything else as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def frequent_confusions(analysis: Analysis) -> list[dict[str, Any]]:
    """The pairs of a true and another, predicted class that occur most: label, predicted, count."""
    counts = np.array(analysis.confusion)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:SHOWN_CONFUSIONS]
    pairs = zip(*np.unravel_index(order, counts.shape), strict=True)
    names = analysis.label_names
    return [{"label": names[i], "predicted": names[j], "count": int(counts[i, j])} for i, j in pairs if counts[i, j]]


def read_curves(folder: Path) -> Curves:
    """Loss, scores and learning rate over the epochs, out of trainer_state.json; no points without it."""
    path = folder / STATE_FILE
    state = _read_json(path) or {}
    try:
        history = state.get("log_history", [])
        points = {name: [(row["epoch"], row[name]) for row in history if name in row] for name in CURVES}
        kept = [row["epoch"] for row in history if row["step"] == state.get("best_global_step")]
    except (AttributeError, KeyError, TypeError) as error:
        raise HfclsError(f"{path} is not what Trainer writes ({error!r}): put it back, or delete it") from error
    return Curves({name: values for name, values in points.items() if values}, kept[0] if kept else None)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except ValueError as error:
        raise HfclsError(f"{path} is not JSON: {error}") from error
