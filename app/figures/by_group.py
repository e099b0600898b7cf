"""Accuracy on the items of each group of a grouped split."""

from app.figures._base import Figure, FigureData, FigureKind
from app.figures._rates import rates_figure


def draw(data: FigureData) -> Figure | None:
    """For splits with groups."""
    found = {run.run_id: run.by_group for run in data.runs}
    return rates_figure("by_group", "Accuracy by group", "group", data, found)


FIGURE = FigureKind("by_group", "Accuracy by group", draw, order=30)
