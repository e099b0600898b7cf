"""Figures for papers: one file per figure, drawn from plain numbers. Used by comparisons and exports."""

from app.figures._base import Figure, FigureData, FigureKind, FigureRun
from app.figures._pdf import pdf_bytes
from app.figures._svg import inline_svg, standalone_svg
from app.figures._table import csv_bytes
from app.registry import load_kinds

__all__ = [
    "Figure",
    "FigureData",
    "FigureKind",
    "FigureRun",
    "csv_bytes",
    "figure_kinds",
    "inline_svg",
    "pdf_bytes",
    "standalone_svg",
]


def figure_kinds() -> list[FigureKind]:
    """Every figure, in the order of a page."""
    kinds: list[FigureKind] = sorted(load_kinds("app.figures", "FIGURE").values(), key=lambda one: one.order)
    return kinds
