"""The figures of a report: as SVG for its page, and as SVG and PNG files beside it."""

import io
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hfcls.publishing.pages.curves import BLUE, GREY, ORANGE, Curves, draw_curves
from hfcls.scoring.analysis import RELIABILITY_BINS, Analysis, Bin
from hfcls.scoring.confidence.scores import Confidence
from hfcls.scoring.tasks import AnyAnalysis
from hfcls.system.files import whole, write_whole
from hfcls.system.quoting import one_line

STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.labelpad": 6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": False,
    "figure.constrained_layout.use": True,
    "figure.figsize": (3.7, 2.7),
    "font.size": 9,
    "grid.alpha": 0.25,
    "grid.color": GREY,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "savefig.dpi": 160,
    "svg.fonttype": "none",  # text stays text: the reader's own fonts draw it
    "svg.hashsalt": "hfcls",  # the same figure gives the same file
    "text.parse_math": False,  # a label may hold dollar signs
    "xtick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.color": GREY,
    "ytick.labelcolor": "black",
}
HANGUL_FONTS = (
    "Noto Sans KR",
    "Noto Sans CJK KR",
    "NanumGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "AppleGothic",
)
NUMBERED_CLASSES, NAMED_CLASSES = 12, 40  # a confusion matrix of more has no numbers, of still more no names
BETWEEN_LANGUAGES = "\u00a0/\u00a0"  # no-break spaces, since the name of a class may hold a slash
LONGEST_NAME = 20  # characters
Drawable = Callable[[str], bool]


def save_figures(
    curves: Curves,
    analysis: AnyAnalysis | None,
    folder: Path,
    points: np.ndarray | None = None,
    confidence: Confidence | None = None,
) -> dict[str, str]:
    """Write `NAME.svg` and `NAME.png` into `folder`; returns each SVG by name, made to stand in a page.

    The names are `loss`, `accuracy`, `learning_rate`, `confusion`, `reliability`, `lengths` and, of `points` [N, 2],
    targets and answers of a regression, `scatter`, and of `confidence` `coverage`, as far as there is something to
    draw. Text is Korean and English, `한국어 / English`, and names the classes. A PNG shows what its font can draw:
    without Hangul, English and the ids of the classes.
    """
    hangul = hangul_font()
    font = hangul or Path(font_manager.findfont("DejaVu Sans"))
    known = font_manager.get_font(str(font)).get_charmap()
    if hangul:
        font_manager.fontManager.addfont(str(hangul))
    families = [*([font_manager.FontProperties(fname=str(hangul)).get_name()] if hangul else []), "sans-serif"]
    style: Any = {**STYLE, "font.family": families}

    def drawable(text: str) -> bool:
        return all(ord(char) in known for char in text)

    folder.mkdir(parents=True, exist_ok=True)
    pages = {}
    with matplotlib.rc_context(style):
        figures = plain = draw(curves, analysis, lambda text: True, points, confidence)
        names = analysis.label_names if isinstance(analysis, Analysis) else []
        if not all(map(drawable, ["한국어", *map(one_line, names)])):
            plain = draw(curves, analysis, drawable, points, confidence)
        for name, figure in figures.items():
            file = io.StringIO()
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the reader's own fonts draw this text
                figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
            write_whole(folder / f"{name}.svg", file.getvalue())
            pages[name] = inline_svg(file.getvalue(), name)
            figure.set_layout_engine("none")  # the layout stands; finding it takes a third of the time
            with whole(folder / f"{name}.png") as aside:
                plain[name].savefig(aside, format="png")
    return pages


def draw(
    curves: Curves,
    analysis: AnyAnalysis | None,
    drawable: Drawable,
    points: np.ndarray | None = None,
    confidence: Confidence | None = None,
) -> dict[str, Figure]:
    """Figures by name; text that is not `drawable` is left to English and class ids."""

    def both(korean: str, english: str) -> str:
        return f"{korean}{BETWEEN_LANGUAGES}{english}" if drawable(korean) else english

    figures = draw_curves(curves, both)
    if points is not None and len(points):
        figures["scatter"] = _scatter(points, both)
    if isinstance(analysis, Analysis):
        whole = map(one_line, analysis.label_names)  # XML holds no control characters
        short = [f"{name[:LONGEST_NAME]}…" if len(name) > LONGEST_NAME else name for name in whole]
        names = [name if drawable(name) else str(i) for i, name in enumerate(short)]
        figures["confusion"] = _confusion(np.array(analysis.confusion), names, both)
        figures["reliability"] = _reliability(analysis.reliability, both)
        if analysis.lengths:
            figures["lengths"] = _lengths(analysis.lengths, both)
    if confidence and confidence.curve:
        figures["coverage"] = _coverage(confidence, both)
    return figures


def hangul_font() -> Path | None:
    """A font file with Hangul: that of the extra `report`, else one that is installed."""
    try:
        from pylopdf_fonts_ko import sans_path

        return Path(sans_path())
    except ImportError:
        found = {font.name: font.fname for font in font_manager.fontManager.ttflist}
        return next((Path(found[name]) for name in HANGUL_FONTS if name in found), None)


def _figure(xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    figure = Figure()
    axes = figure.subplots()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    return figure, axes


def _scatter(points: np.ndarray, both: Callable[[str, str], str]) -> Figure:
    figure, axes = _figure(both("정답", "true"), both("예측", "predicted"))
    figure.set_size_inches(3.7, 3.2)
    ends = [points.min(), points.max()]
    axes.plot(ends, ends, color=GREY, linestyle=":")
    axes.plot(*points.T, "o", color=BLUE, markersize=3, markeredgewidth=0, alpha=max(0.3, min(0.9, 60 / len(points))))
    return figure


def _confusion(counts: np.ndarray, names: list[str], both: Callable[[str, str], str]) -> Figure:
    longest = max(map(len, names))
    upright = len(names) <= 4 and longest < 12
    side, room = min(max(2.9, 0.5 * len(names) + 1.5), 9), 0.08 * longest  # inches
    figure, axes = _figure(both("예측", "predicted"), both("정답", "true"))
    figure.set_size_inches(side + room, side if upright else side + room)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.grid(False)
    if len(names) <= NAMED_CLASSES:
        axes.set_xticks(range(len(names)), names, rotation=0 if upright else 60, ha="center" if upright else "right")
        axes.set_yticks(range(len(names)), names)
    if len(names) <= NUMBERED_CLASSES:
        for (i, j), count in np.ndenumerate(counts):
            text = f"{count:,}\n{shares[i, j]:.0%}"
            axes.text(j, i, text, ha="center", va="center", color="white" if shares[i, j] > 0.55 else "black")
    return figure


def _reliability(bins: list[Bin], both: Callable[[str, str], str]) -> Figure:
    figure = Figure(figsize=(3.7, 3.2))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    lowest = min(bin.low for bin in bins)
    above.plot([lowest, 1], [lowest, 1], color=GREY, linestyle=":", label=both("완벽한 보정", "perfectly calibrated"))
    _with_intervals(above, [bin.confidence for bin in bins], bins)
    above.set(ylabel=both("정확도", "accuracy"), ylim=(0, 1.03))
    above.legend(loc="lower center", bbox_to_anchor=(0.5, 1))
    below.bar(
        [bin.low for bin in bins],
        [bin.count for bin in bins],
        0.9 / RELIABILITY_BINS,
        align="edge",
        color=BLUE,
        alpha=0.5,
    )
    below.set(
        xlabel=both("확신도 (예측한 클래스의 확률)", "confidence"), ylabel=both("행", "rows"), xlim=(lowest, 1.01)
    )
    return figure


def _coverage(confidence: Confidence, both: Callable[[str, str], str]) -> Figure:
    figure, axes = _figure(both("답하는 글의 비율", "share of texts answered"), both("정확도", "accuracy"))
    axes.plot(*np.array(confidence.curve).T, color=BLUE)
    if confidence.target_accuracy is not None:
        axes.axhline(confidence.target_accuracy, color=GREY, linestyle=":", label=both("목표", "target"))
    if confidence.coverage and confidence.accuracy:
        point = confidence.coverage.value, confidence.accuracy.value
        axes.plot(*point, "o", color=ORANGE, markersize=6, label=both("고른 확신도", "chosen confidence"))
    axes.set(xlim=(0, 1.02))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return figure


def _lengths(buckets: list[Bin], both: Callable[[str, str], str]) -> Figure:
    figure, axes = _figure(both("글자 수", "characters"), both("정확도", "accuracy"))
    _with_intervals(axes, list(range(len(buckets))), buckets)
    ranges = [f"{b.low:.0f}" if b.low == b.high else f"{b.low:.0f}–{b.high:.0f}" for b in buckets]
    axes.set_xticks(range(len(buckets)), ranges)
    return figure


def _with_intervals(axes: Axes, x: list[float], bins: list[Bin]) -> None:
    value = np.array([bin.accuracy.value for bin in bins])
    below = value - [bin.accuracy.low for bin in bins]
    above = [bin.accuracy.high for bin in bins] - value
    error = np.clip([below, above], 0, None)  # an end that meets the value may miss it by a rounding error
    axes.errorbar(x, value, yerr=error, color=BLUE, fmt="o", markersize=4.5, elinewidth=1.3, capsize=2)


def inline_svg(svg: str, name: str) -> str:
    """A matplotlib SVG as an element of a page: sized by the page, one of two languages at a time, ids under `name`."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # axes_1 and the like
    svg = re.sub(
        "<[^>]*>", lambda tag: re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", tag[0]), svg
    )  # markers, clips
    languages = r'<text lang="ko"\1>\2</text><text lang="en"\1>\3</text>'
    return re.sub(rf"<text([^>]*)>([^<]*?){BETWEEN_LANGUAGES}([^<]*)</text>", languages, svg)
