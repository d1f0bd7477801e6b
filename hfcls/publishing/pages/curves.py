"""What was logged during training: read from the run's folder, and drawn over the epochs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hfcls.errors import HfclsError
from hfcls.runs.folder import STATE_FILE
from hfcls.scoring.intervals import wilson
from hfcls.system.files import check_types, read_json

BLUE, ORANGE, GREY = "#3f7fbf", "#d1782f", "#868686"  # apart for the colour-blind, readable on white and on black
MARKED_POINTS, MOST_POINTS = 50, 300  # of a curve; of more points the means of neighbours are drawn
LOGGED = (
    "loss", "learning_rate", "eval_loss", "eval_accuracy", "eval_micro_f1", "eval_macro_f1", "eval_pearson",
    "eval_spearman", "eval_perplexity",
)  # fmt: skip
Both = Callable[[str, str], str]


@dataclass(frozen=True)
class Curves:
    """What was logged during training.

    Attributes:
        points: (epoch, value) of each name, such as `loss` and `eval_accuracy`.
        kept: epoch of the checkpoint that was kept; None if that is unknown.
        eval_rows: of the split that was evaluated; None if that is unknown.
    """

    points: dict[str, list[tuple[float, float]]]
    kept: float | None
    eval_rows: int | None = None


def read_curves(folder: Path, eval_rows: int | None = None) -> Curves:
    """Loss, scores and learning rate over the epochs, out of trainer_state.json; no points without it."""
    path = folder / STATE_FILE
    state = read_json(path) or {}
    try:
        history = state.get("log_history", [])
        points = {name: [(row["epoch"], row[name]) for row in history if name in row] for name in LOGGED}
        kept = [row["epoch"] for row in history if row["step"] == state.get("best_global_step")]
        check_types([kept, *map(list, chain.from_iterable(points.values()))], list[list[float]])
    except (AttributeError, KeyError, TypeError) as error:
        raise HfclsError(f"{path} is not what Trainer writes ({error!r}): put it back, or delete it") from error
    return Curves({name: values for name, values in points.items() if values}, kept[0] if kept else None, eval_rows)


def draw_curves(curves: Curves, both: Both) -> dict[str, Figure]:
    """The figures `loss`, `accuracy` and `learning_rate`, as far as there are points."""
    evaluated = [
        {"eval_accuracy": both("정확도", "accuracy"), "eval_macro_f1": both("매크로 F1", "macro F1")},
        {"eval_micro_f1": both("마이크로 F1", "micro F1"), "eval_macro_f1": both("매크로 F1", "macro F1")},
        {"eval_pearson": both("피어슨 상관", "Pearson"), "eval_spearman": both("스피어만 상관", "Spearman")},
    ]
    lines = {
        "loss": {"loss": both("학습 손실", "train loss"), "eval_loss": both("평가 손실", "eval loss")},
        "accuracy": max(evaluated, key=lambda labels: len(labels.keys() & curves.points)),
        "learning_rate": {"learning_rate": both("학습률", "learning rate")},
    }
    return {name: _figure(curves, labels, both) for name, labels in lines.items() if labels.keys() & curves.points}


def _figure(curves: Curves, labels: Mapping[str, str], both: Both) -> Figure:
    figure = Figure()
    axes = figure.subplots()
    axes.set(xlabel=both("에폭", "epoch"), ylabel=next(iter(labels.values())) if len(labels) == 1 else "")
    for (name, label), color in zip(labels.items(), (BLUE, ORANGE), strict=False):
        if points := curves.points.get(name):
            groups = np.array_split(np.array(points), min(len(points), MOST_POINTS))
            means = np.array([group.mean(axis=0) for group in groups])
            marker = "o" if len(points) <= MARKED_POINTS and name != "learning_rate" else None
            steps = "steps-pre" if name == "learning_rate" else "default"
            axes.plot(*means.T, color=color, label=label, marker=marker, markersize=3, drawstyle=steps)
            if name == "eval_accuracy" and curves.eval_rows:
                _band(axes, means, curves.eval_rows, both("95% 구간", "95 % interval"))
    if curves.kept is not None:
        axes.axvline(curves.kept, color=GREY, linestyle=":", label=both("선택한 모델", "chosen model"))
    _whole_epochs(axes, max(epoch for name in labels for epoch, _ in curves.points.get(name, [])))
    if len(labels) > 1:
        figure.legend(
            loc="outside upper left", ncols=2, columnspacing=1, handlelength=1.2
        )  # on the figure: the axes keep their width
    else:
        axes.set_ylim(bottom=0)
        axes.ticklabel_format(axis="y", scilimits=(0, 0))
    return figure


def _band(axes: Axes, means: np.ndarray, rows: int, label: str) -> None:
    """Where chance alone may move an accuracy of so many rows: the axis is then as long as that."""
    found = [wilson(round(value * rows), rows) for _, value in means]
    low, high = [one.low for one in found], [one.high for one in found]
    if len(found) == 1:
        error = [[means[0, 1] - low[0]], [high[0] - means[0, 1]]]
        axes.errorbar(means[:, 0], means[:, 1], yerr=np.clip(error, 0, None), color=BLUE, capsize=3, label=label)
    else:
        axes.fill_between(means[:, 0], low, high, color=BLUE, alpha=0.15, linewidth=0, label=label)


def _whole_epochs(axes: Axes, last: float) -> None:
    """Whole epochs on the axis, from 0 on, where there is one."""
    axes.set_xlim(0, last * 1.03)
    if last >= 1:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
