"""Reliability: how often a model is right when it says that it is p sure, and how often it says so."""

from app.figures._base import (
    SMALL,
    WIDTH,
    Bar,
    Figure,
    FigureData,
    FigureKind,
    FigureRun,
    Line,
    Mark,
    Shape,
    Text,
)
from app.figures._plot import Panel, colour_of, cut, few, grid, percent_ticks
from app.shapes import marker_shape

COLUMNS, SIDE, COUNTS = 3, 128.0, 26.0
HEIGHT = SIDE + COUNTS + 62


def draw(data: FigureData) -> Figure | None:
    """For runs with class probabilities."""
    runs = [run for run in data.runs if run.calibration]
    if not runs:
        return None
    shapes: list[Shape] = []
    drawn, left_out = few(runs)
    for run, (x, y, wide) in zip(drawn, grid(len(drawn), COLUMNS, 0, HEIGHT), strict=True):
        shapes += _panel(run, x + 22, y + 16, wide - 30)
    rows = tuple(
        (run.run_id, run.name, one["low"], one["high"], int(one["n"]), one["confidence"], one["accuracy"])
        for run in runs
        for one in run.calibration
    )
    lines = -(-len(drawn) // COLUMNS)
    return Figure(
        "calibration",
        "Calibration",
        "Share of right answers against the probability of the likeliest class, in 15 equal bins; the dashed line is "
        f"perfect calibration, the bars below count the items of each bin.{left_out}",
        WIDTH,
        lines * HEIGHT - 14,
        tuple(shapes),
        ("run", "model", "bin_low", "bin_high", "items", "mean_probability", "share_right"),
        rows,
    )


def _panel(run: FigureRun, x: float, y: float, wide: float) -> list[Shape]:
    panel = Panel(x, y, wide, SIDE)
    shapes: list[Shape] = [Text(x, y - 6, cut(run.name, wide), colour="ink", bold=True)]
    shapes += percent_ticks(panel, vertical=True)
    shapes.append(Line(((x, panel.py(0)), (x + wide, panel.py(1))), "control", 0.9, dash=True))
    bins = sorted(run.calibration, key=lambda one: one["low"])
    points = tuple((panel.px(one["confidence"]), panel.py(one["accuracy"])) for one in bins)
    shapes.append(Line(points, colour_of(run), 1.2))
    for one, (px, py) in zip(bins, points, strict=True):
        said = f"{int(one['n']):,} items: says {100 * one['confidence']:.1f} %, right {100 * one['accuracy']:.1f} %"
        shapes.append(Mark(px, py, marker_shape(run.colour), colour_of(run), 6, said))
    most = max(one["n"] for one in bins)
    below = Panel(x, y + SIDE + 5, wide, COUNTS)
    for one in bins:
        tall = max(one["n"] / most * COUNTS, 0.8)
        left, right = below.px(one["low"]), below.px(one["high"])
        said = f"{int(one['n']):,} items"
        shapes.append(
            Bar(left + 0.5, below.y + COUNTS - tall, right - left - 1, tall, colour_of(run), 0.55, title=said)
        )
    shapes += [
        Text(below.px(value), below.y + COUNTS + 10, f"{100 * value:g}", "middle", "ink-3", SMALL)
        for value in (0, 0.2, 0.4, 0.6, 0.8, 1.0)
    ]
    shapes.append(Text(x + wide / 2, below.y + COUNTS + 20, "probability, %", "middle", "ink-3", SMALL))
    return shapes


FIGURE = FigureKind("calibration", "Calibration", draw, order=40)
