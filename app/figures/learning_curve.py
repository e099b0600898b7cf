"""The score over the size of the training set, where runs of one model were trained on several sizes."""

import math
from collections.abc import Sequence

from app.figures._base import SMALL, WIDTH, Figure, FigureData, FigureKind, FigureRun, Line, Mark, Shape, Text
from app.figures._plot import Panel, colour_of, legend, number_ticks, percent_ticks
from app.shapes import marker_shape

LEFT, TALL = 34.0, 170.0


def draw(data: FigureData) -> Figure | None:
    """Where some model has scores at two sizes or more; a scale of logarithms, as sizes are multiplied."""
    curves: dict[str, list[FigureRun]] = {}
    for run in data.runs:
        if run.score and run.train_items:
            curves.setdefault(run.model, []).append(run)
    curves = {model: runs for model, runs in curves.items() if len({run.train_items for run in runs}) > 1}
    if not curves:
        return None
    everyone = [run for runs in curves.values() for run in runs]
    sizes = sorted({run.train_items or 1 for run in everyone})
    ends = [end for run in everyone for end in run.score or () if end is not None]
    room = (max(ends) - min(ends)) * 0.08 or 0.05
    shapes, top = legend([_nameless(runs[0]) for runs in curves.values()], 0)
    left, right = math.log10(sizes[0]) - 0.04, math.log10(sizes[-1]) + 0.04
    panel = Panel(LEFT, top, WIDTH - LEFT - 10, TALL, left, right, min(ends) - room, max(ends) + room)
    shapes += percent_ticks(panel, True) if data.percent else number_ticks(panel, True)
    for size in sizes:
        x = panel.px(math.log10(size))
        shapes.append(Text(x, panel.y + TALL + 11, f"{size:,}", "middle", "ink-3", SMALL))
    for runs in curves.values():
        shapes += _curve(panel, runs)
    unit = ", %" if data.percent else ""
    shapes.append(
        Text(panel.x + panel.width / 2, panel.y + TALL + 23, "train items (logarithmic)", "middle", "ink-3")
    )
    rows = tuple(
        (run.run_id, run.name, run.train_items, run.items, *(run.score or ()))
        for runs in curves.values()
        for run in sorted(runs, key=lambda run: run.train_items or 0)
    )
    header = ("run", "model", "train_items", "test_items", data.metric.lower(), "low", "high")
    caption = (
        f"{data.metric}{unit} over the number of train items, with 95 % intervals; a line joins the means."
    )
    return Figure(
        "learning_curve", "Learning curve", caption, WIDTH, top + TALL + 30, tuple(shapes), header, rows
    )


def _nameless(run: FigureRun) -> FigureRun:
    """The run under its model's name: the legend says which model, not which seed."""
    return FigureRun(run.run_id, run.model, run.label, run.label, run.colour, run.items)


def _curve(panel: Panel, runs: Sequence[FigureRun]) -> list[Shape]:
    colour = colour_of(runs[0])
    means: dict[int, list[float]] = {}
    for run in runs:
        means.setdefault(run.train_items or 1, []).append((run.score or (0.0,))[0])
    points = tuple(
        (panel.px(math.log10(size)), panel.py(sum(found) / len(found)))
        for size, found in sorted(means.items())
    )
    shapes: list[Shape] = [Line(points, colour, 1.3)]
    for run in runs:
        value, low, high = run.score or (0.0, None, None)
        x = panel.px(math.log10(run.train_items or 1))
        if low is not None and high is not None:
            shapes.append(Line(((x, panel.py(low)), (x, panel.py(high))), colour, 0.9))
        said = f"{run.name}, {run.train_items:,} train items: {value:.4g}"
        shapes.append(Mark(x, panel.py(value), marker_shape(runs[0].colour), colour, title=said))
    return shapes


FIGURE = FigureKind("learning_curve", "Learning curve", draw, order=15)
