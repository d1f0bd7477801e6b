"""A finished run of `hfcls adapt` as a page: what the encoder guesses of hidden tokens, and how it came to that."""

from dataclasses import asdict
from pathlib import Path

from jinja2 import UndefinedError
from markupsafe import Markup

from hfcls.errors import HfclsError
from hfcls.publishing.names import SPLITS, durations, option_without_place, without_place
from hfcls.publishing.pages.curves import Curves, read_curves
from hfcls.publishing.pages.figures import save_figures
from hfcls.publishing.pages.templates import template
from hfcls.runs.folder import NUMBERS_FILE, REPORT_FILE, REPORT_FOLDER, RESULTS_FILE
from hfcls.runs.pretrained import AdaptResult
from hfcls.system.files import write_json, write_whole

STEADY = 0.01  # of the perplexity: less than that is level


def write_pretraining_report(folder: Path, result: AdaptResult) -> Path:
    """Write `report.html`, and its figures and numbers into `report/`, as `write_report` does.

    Raises:
        HfclsError: the files of the run cannot be read, or the page not written.
    """
    try:
        curves = read_curves(folder)
        figures = save_figures(curves, None, folder / REPORT_FOLDER)
        write_json(folder / REPORT_FOLDER / NUMBERS_FILE, {**asdict(result), "curves": asdict(curves)})
        page = folder / REPORT_FILE
        text = template("pretraining.html.jinja").render(
            result=result,
            facts=result.facts,
            figures={name: Markup(svg) for name, svg in figures.items()},
            amounts=_amounts(result.tokens),
            durations=durations(result.facts["training_seconds"]),
            option_without_place=option_without_place,
            split_names=SPLITS,
            verdict=pretraining_verdict(result, curves),
            without_place=without_place,
        )
        write_whole(page, text)
    except (UndefinedError, TypeError, ValueError, KeyError) as error:
        raise HfclsError(f"{folder / RESULTS_FILE} is not what this version of hfcls writes ({error!r})") from error
    except OSError as error:
        raise HfclsError(f"cannot write the report of {folder}: {error.strerror or error}") from error
    return page


def pretraining_verdict(result: AdaptResult, curves: Curves) -> list[tuple[str, str]]:
    """In Korean and English: how well it guesses, whether that was still getting better, and what to do next."""
    following = (
        "이 인코더에서 파인튜닝을 시작하고(hfcls train), 같은 데이터로 원래 인코더에서 시작한 모델과 견주어 "
        "보세요. 퍼플렉시티가 낮다고 분류가 꼭 나아지는 것은 아닙니다.",
        "Fine-tune from this encoder (hfcls train) and from the one before it, on the same rows, and compare: "
        "a lower perplexity does not always make a better classifier.",
    )
    if result.perplexity is None or result.accuracy is None:
        untold = (
            "따로 떼어 둔 글이 없거나 너무 적어 얼마나 배웠는지 재지 못했습니다.",
            "No text was held out, or too few to hide a token of, so what it has learned was not measured.",
        )
        return [untold, following]
    good = (
        f"처음 보는 글 {result.num_texts:,}건에서 가린 토큰의 {result.accuracy:.1%}를 맞히고, "
        f"퍼플렉시티는 {result.perplexity:.1f}입니다.",
        f"Of the hidden tokens of {result.num_texts:,} held-out texts it guesses {result.accuracy:.1%} right; its "
        f"perplexity is {result.perplexity:.1f}.",
    )
    return [good, *_course(curves.points.get("eval_perplexity", [])), following]


def _amounts(count: int) -> tuple[str, str]:
    """A large number in the few characters of a card, Korean and English: `239만` and `2.39 M`."""
    if count < 1_000_000:
        return f"{count:,}", f"{count:,}"
    return f"{count / 10_000:,.0f}만", f"{count / 1_000_000:,.2f} M"


def _course(points: list[tuple[float, float]]) -> list[tuple[str, str]]:
    """How the perplexity went over the evaluations (epoch, value), where there are two or more."""
    if len(points) < 2:
        return []
    (first_epoch, first), (_, before), (_, last) = points[0], points[-2], points[-1]
    told = (
        f"{first_epoch:.2g}에폭에서 {first:.1f}이던 퍼플렉시티가 끝에는 {last:.1f}입니다.",
        f"The perplexity was {first:.1f} after {first_epoch:.2g} epochs and is {last:.1f} at the end.",
    )
    if last < before * (1 - STEADY):
        more = (
            " 끝까지 내려가고 있었으니 에폭이나 글을 늘리면 더 내려갈 것입니다.",
            " It was still falling: more epochs, or more texts, would lower it further.",
        )
    elif last > before * (1 + STEADY):
        more = (
            " 끝에서 다시 올랐으니 에폭을 줄이거나 글을 늘리세요.",
            " It rose at the end: take fewer epochs, or more texts.",
        )
    else:
        more = (" 끝에서는 거의 변하지 않았습니다.", " At the end it hardly changed.")
    return [(told[0] + more[0], told[1] + more[1])]
