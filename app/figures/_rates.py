"""Rates by label or by group: a row of whiskers for each, all runs below each other."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.figures._base import WIDTH, Figure, FigureData, FigureRun, Line, Rate, Shape, Text
from app.figures._plot import Panel, cut_inside, few, legend, percent_ticks, whisker
from app.statistics import wilson

MOST = 40
PITCH, PAD = 9.0, 9.0
LEFT = 150.0


def rates_figure(
    name: str, title: str, what: str, data: FigureData, found: Mapping[int, Mapping[str, Rate]]
) -> Figure | None:
    """`found` is {run id: {name: rate}}; the commonest MOST names are drawn, all stand in the table."""
    runs = [run for run in data.runs if found.get(run.run_id)]
    if not runs:
        return None
    names = _names([found[run.run_id] for run in runs])
    drawn, left_out = few(runs)
    shapes, y = legend(drawn, 0)
    height = len(names[:MOST]) * (len(drawn) * PITCH + PAD)
    panel = Panel(LEFT, y, WIDTH - LEFT - 10, height)
    shapes += percent_ticks(panel)
    for number, one in enumerate(names[:MOST]):
        shapes += _row(panel, y + number * (len(drawn) * PITCH + PAD), one, drawn, found)
    shapes.append(
        Text(LEFT + panel.width / 2, y + height + 21, f"right, % of the items of a {what}", "middle", "ink-3")
    )
    caption = f"{title}, with 95 % Wilson intervals"
    if len(names) > MOST:
        caption += f"; the {MOST} most frequent of {len(names)}"
    return Figure(
        name,
        title,
        f"{caption}.{left_out}",
        WIDTH,
        y + height + 26,
        tuple(shapes),
        _header(what),
        _table(names, runs, found),
    )


def _names(tables: Sequence[Mapping[str, Rate]]) -> list[str]:
    sizes: dict[str, int] = {}
    for table in tables:
        for name, rate in table.items():
            sizes[name] = max(sizes.get(name, 0), rate.n)
    return sorted((name for name in sizes if sizes[name]), key=lambda name: -sizes[name])


def _row(
    panel: Panel, top: float, name: str, runs: Sequence[FigureRun], found: Mapping[int, Mapping[str, Rate]]
) -> list[Shape]:
    middle = top + (len(runs) * PITCH + PAD) / 2
    most = max(found[run.run_id].get(name, Rate(0, 0)).n for run in runs)
    shapes: list[Shape] = [
        Text(LEFT - 8, middle + 1, cut_inside(name, LEFT - 12), "end", "ink"),
        Text(LEFT - 8, middle + 9, f"{most:,}", "end", "ink-3", 6.5),
        Line(((0, top), (panel.x + panel.width, top)), "rule", 0.6),
    ]
    for place, run in enumerate(runs):
        rate = found[run.run_id].get(name)
        if rate and rate.n:
            value, (low, high) = rate.right / rate.n, wilson(rate.right, rate.n)
            said = f"{run.name}, {name}: {rate.right:,} of {rate.n:,} right"
            shapes += whisker(panel, top + PAD / 2 + (place + 0.5) * PITCH, run, value, low, high, said)
    return shapes


def _header(what: str) -> tuple[str, ...]:
    return ("run", "model", what, "right", "items", "accuracy", "low", "high")


def _table(
    names: Sequence[str], runs: Sequence[FigureRun], found: Mapping[int, Mapping[str, Rate]]
) -> tuple[tuple[Any, ...], ...]:
    return tuple(
        (run.run_id, run.name, name, rate.right, rate.n, rate.right / rate.n, *wilson(rate.right, rate.n))
        for name in names
        for run in runs
        if (rate := found[run.run_id].get(name)) and rate.n
    )
