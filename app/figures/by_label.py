"""Accuracy on the items of each expected label."""

from app.figures._base import Figure, FigureData, FigureKind
from app.figures._rates import rates_figure


def draw(data: FigureData) -> Figure | None:
    """For tasks with labels."""
    found = {run.run_id: run.by_label for run in data.runs}
    return rates_figure("by_label", "Accuracy by label", "label", data, found)


FIGURE = FigureKind("by_label", "Accuracy by label", draw, order=20)
