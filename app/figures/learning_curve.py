"""The score over the size of the training set, where runs of one model were trained on several sizes."""

import math
from collections.abc import Sequence
from dataclasses import replace

from app.figures._base import SMALL, WIDTH, Figure, FigureData, FigureKind, FigureRun, Line, Mark, Shape, Text
from app.figures._plot import Panel, colour_of, legend, number_ticks, percent_ticks, width_of
from app.shapes import marker_shape

LEFT, TALL = 34.0, 170.0
# Curves stand this far beside each other, so that equal scores do not hide one another.
APART = 4.5
Curves = dict[tuple[str, str], list[FigureRun]]


def draw(data: FigureData) -> Figure | None:
    """Where some model has scores at two sizes or more; a scale of logarithms, as sizes are multiplied."""
    curves = _curves(data)
    if not curves:
        return None
    everyone = [run for runs in curves.values() for run in runs]
    sizes = sorted({run.train_items or 1 for run in everyone})
    ends = [end for run in everyone for end in run.score or () if end is not None]
    room = (max(ends) - min(ends)) * 0.08 or 0.05
    shapes, top = legend([_nameless(runs[0]) for runs in curves.values()], 0)
    edge = APART * len(curves) / 2 + 6
    panel = Panel(
        LEFT + edge, top, WIDTH - LEFT - 10 - 2 * edge, TALL,
        math.log10(sizes[0]), math.log10(sizes[-1]), min(ends) - room, max(ends) + room,
    )  # fmt: skip
    wide = replace(panel, x=LEFT, width=WIDTH - LEFT - 10)
    shapes += percent_ticks(wide, True) if data.percent else number_ticks(wide, True)
    shapes += _sizes(panel, sizes)
    for place, runs in enumerate(curves.values()):
        shapes += _curve(panel, runs, APART * (place - (len(curves) - 1) / 2))
    unit = ", %" if data.percent else ""
    middle = panel.x + panel.width / 2
    shapes.append(Text(middle, panel.y + TALL + 23, "train items (logarithmic)", "middle", "ink-3"))
    rows = tuple(
        (run.run_id, run.name, run.train_items, run.items, *(run.score or ()))
        for runs in curves.values()
        for run in sorted(runs, key=lambda run: run.train_items or 0)
    )
    header = ("run", "model", "train_items", "test_items", data.metric.lower(), "low", "high")
    caption = (
        f"{data.metric}{unit} over the number of train items, with 95 % intervals; a line joins the means. "
        "Curves stand beside each other at each size, so that none hides another."
    )
    height = top + TALL + 30
    return Figure("learning_curve", "Learning curve", caption, WIDTH, height, tuple(shapes), header, rows)


def _curves(data: FigureData) -> Curves:
    """Runs by model and settings, those with several sizes."""
    curves: Curves = {}
    for run in data.runs:
        if run.score and run.train_items:
            curves.setdefault((run.model, run.variant), []).append(run)
    return {key: runs for key, runs in curves.items() if len({run.train_items for run in runs}) > 1}


def _nameless(run: FigureRun) -> FigureRun:
    """The run under its model's name and settings: the legend does not say which seed."""
    name = f"{run.label}, {run.variant}" if run.variant else run.label
    return FigureRun(run.run_id, run.model, run.label, name, run.colour, run.items)


def _sizes(panel: Panel, sizes: Sequence[int]) -> list[Shape]:
    """The sizes below the panel, those that would touch the one before left out."""
    shapes: list[Shape] = []
    free = -math.inf
    for size in sizes:
        x, text = panel.px(math.log10(size)), f"{size:,}"
        half = width_of(text, SMALL) / 2
        if x - half > free:
            shapes.append(Text(x, panel.y + TALL + 11, text, "middle", "ink-3", SMALL))
            free = x + half + 3
    return shapes


def _curve(panel: Panel, runs: Sequence[FigureRun], beside: float) -> list[Shape]:
    colour = colour_of(runs[0])

    def px(size: int) -> float:
        return panel.px(math.log10(size)) + beside

    means: dict[int, list[float]] = {}
    for run in runs:
        means.setdefault(run.train_items or 1, []).append((run.score or (0.0,))[0])
    points = tuple((px(size), panel.py(sum(found) / len(found))) for size, found in sorted(means.items()))
    shapes: list[Shape] = [Line(points, colour, 1.3)]
    for run in runs:
        value, low, high = run.score or (0.0, None, None)
        x = px(run.train_items or 1)
        if low is not None and high is not None:
            shapes.append(Line(((x, panel.py(low)), (x, panel.py(high))), colour, 0.9))
        said = f"{run.name}, {run.train_items:,} train items: {value:.4g}"
        shapes.append(Mark(x, panel.py(value), marker_shape(run.colour), colour, title=said))
    return shapes


FIGURE = FigureKind("learning_curve", "Learning curve", draw, order=15)
