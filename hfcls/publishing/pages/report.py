"""A finished run as one page that opens offline, in Korean and English: `report.html`, and its figures as files."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import UndefinedError
from markupsafe import Markup, escape
from pyarrow import ArrowException

from hfcls.config.optimization import idle
from hfcls.data.splits import carved_share
from hfcls.data.tasks import TAUGHT
from hfcls.errors import HfclsError
from hfcls.publishing.names import (
    LOSSES,
    SCORES,
    SPLITS,
    decimals,
    durations,
    found_on_validation,
    option_without_place,
    without_place,
)
from hfcls.publishing.pages.curves import read_curves
from hfcls.publishing.pages.figures import save_figures
from hfcls.publishing.pages.pretraining import write_pretraining_report
from hfcls.publishing.pages.templates import template
from hfcls.publishing.pages.verdict import verdict
from hfcls.runs.folder import CHECK_FILE, DOUBTS_FILE, NUMBERS_FILE, PREDICTIONS_FILE, REPORT_FILE, REPORT_FOLDER
from hfcls.runs.predictions import confident_errors, scored_rows, slices_of
from hfcls.runs.pretrained import load_adapted
from hfcls.runs.results import Result, load_results
from hfcls.scoring.analysis import Analysis
from hfcls.scoring.regression import RegressionAnalysis
from hfcls.scoring.slices import Slice
from hfcls.scoring.tasks import SingleLabel
from hfcls.system.files import read_json, write_json, write_whole

SHOWN_POINTS = 2_000  # of a scatter plot
SHOWN_ERRORS, SHOWN_CONFUSIONS, SHOWN_CHARACTERS = 20, 10, 500
CONFUSION_CELLS, NARROW_CELLS = 12, 4  # a matrix of more classes is a figure; on paper and on a phone of more than 4


def write_report(folder: str | Path) -> Path:
    """Write `report.html` into the folder of a finished run, and its figures and numbers into `report/`.

    Of a run of `adapt` the page tells how well the encoder guesses hidden tokens.

    The page needs no other file and no network: its figures are inline SVG whose text the reader's own fonts draw.

    Returns:
        The page.

    Raises:
        HfclsError: no finished run there, or its files cannot be read or written.
    """
    folder = Path(folder)
    if adapted := load_adapted(folder):
        return write_pretraining_report(folder, adapted)
    result = load_results(folder)
    try:
        curves = read_curves(folder, _eval_rows(result))
        errors = confident_errors(folder, SHOWN_ERRORS)
        check, doubts = read_json(folder / CHECK_FILE), read_json(folder / DOUBTS_FILE)
        points = _points(folder, result)
        figures = save_figures(curves, result.analysis, folder / REPORT_FOLDER, points, result.confidence)
        kinds = slices_of(folder)
        numbers = {
            **asdict(result),
            "curves": asdict(curves),
            "slices": [asdict(kind) for kind in kinds],
            "confident_errors": errors,
            "check": check,
            "doubts": doubts,
        }
        write_json(folder / REPORT_FOLDER / NUMBERS_FILE, numbers)
        page = folder / REPORT_FILE
        eval_loss = curves.points.get("eval_loss", [])
        write_whole(page, render(result, figures, errors, check, kinds=kinds, eval_loss=eval_loss, doubts=doubts))
    except (ArrowException, KeyError) as error:
        raise HfclsError(f"{folder / PREDICTIONS_FILE} cannot be read: {error}") from error
    except (UndefinedError, TypeError, ValueError, AttributeError) as error:
        names = [str(folder / name) for name in (CHECK_FILE, DOUBTS_FILE) if (folder / name).is_file()]
        if not names:
            raise
        raise HfclsError(
            f"{' or '.join(names)} is not what this version of hfcls writes ({error}): write it again, or delete it"
        ) from error
    except OSError as error:
        raise HfclsError(f"cannot write the report of {folder}: {error.strerror or error}") from error
    return page


def render(
    result: Result,
    figures: dict[str, str],
    errors: list[dict[str, Any]],
    check: dict[str, Any] | None,
    *,
    kinds: Sequence[Slice] = (),
    eval_loss: Sequence[tuple[float, float]] = (),
    doubts: dict[str, Any] | None = None,
) -> str:
    """The page as HTML; every text that comes from the run is escaped.

    Args:
        figures: inline SVG by name.
        errors: of `confident_errors`.
        check: content of check.json.
        kinds: scores of texts of one kind.
        eval_loss: (epoch, loss) of each evaluation in training.
        doubts: content of doubts.json.
    """
    problem_type = result.facts.problem_type if result.facts else SingleLabel.problem_type
    return template("report.html.jinja").render(
        result=result,
        analysis=result.analysis,
        facts=result.facts,
        figures={name: Markup(svg) for name, svg in figures.items()},
        errors=errors,
        check=check,
        doubts=doubts,
        confusion_cells=CONFUSION_CELLS,
        narrow_cells=NARROW_CELLS,
        confusions=frequent_confusions(result.analysis) if isinstance(result.analysis, Analysis) else [],
        problem_type=problem_type,
        score_names=SCORES,
        loss_name=LOSSES[problem_type],
        split_names=SPLITS,
        digits=decimals(result.num_rows),
        carved=carved_share(result.facts.protocol) if result.facts else None,
        tuned=found_on_validation(result.facts.protocol) if result.facts else [],
        durations=durations(result.facts.training_seconds) if result.facts else None,
        verdict=verdict(result, eval_loss),
        kinds=kinds,
        taught=TAUGHT in result.note,
        idle=idle,
        with_options=with_options,
        without_place=without_place,
        option_without_place=option_without_place,
        shown_characters=SHOWN_CHARACTERS,
    )


def with_options(text: str) -> Markup:
    """A sentence as HTML, in which no line ends within the name of an option."""
    return Markup(re.sub(r"--\w+", r"<code>\g<0></code>", str(escape(text))))


def _points(folder: Path, result: Result) -> np.ndarray | None:
    """Targets and answers [N, 2] of up to `SHOWN_POINTS` scored rows of a regression; None of another run."""
    table = scored_rows(folder, SHOWN_POINTS) if isinstance(result.analysis, RegressionAnalysis) else None
    return None if table is None else np.column_stack([table["label"].to_numpy(), table["predicted"].to_numpy()])


def _eval_rows(result: Result) -> int | None:
    """Rows of the split that was evaluated in training."""
    facts = result.facts
    return facts.splits[facts.selected_on].rows if facts and facts.selected_on else None


def frequent_confusions(analysis: Analysis) -> list[dict[str, Any]]:
    """The pairs of a true and another, predicted class that occur most: label, predicted, count."""
    counts = np.array(analysis.confusion)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:SHOWN_CONFUSIONS]
    pairs = zip(*np.unravel_index(order, counts.shape), strict=True)
    names = analysis.label_names
    return [{"label": names[i], "predicted": names[j], "count": int(counts[i, j])} for i, j in pairs if counts[i, j]]
