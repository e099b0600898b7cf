"""What a figure is drawn from, what it is made of, and the contract of a kind. Lengths are points (1/72 inch)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# The width of a text column over the whole page.
WIDTH = 504.0
SMALL, TEXT, TITLE = 7.0, 8.0, 9.0
# Colours by name, as they are on paper; pages take theirs from tokens.css.
COLOURS: Mapping[str, str] = {
    "ink": "#1d2126",
    "ink-2": "#4d5661",
    "ink-3": "#616872",
    "rule": "#e5e2da",
    "control": "#8b8a84",
    "accent": "#0b6e69",
    "on-accent": "#ffffff",
    "good": "#1a7543",
    "bad": "#b3261e",
    "m1": "#0072b2",
    "m2": "#cf5a00",
    "m3": "#008a65",
    "m4": "#b8578f",
    "m5": "#9a6a00",
    "m6": "#6750a8",
    "m7": "#5b6470",
    "m8": "#8a3324",
}


@dataclass(frozen=True)
class Line:
    """A line through points (x, y); `dash` for references."""

    points: tuple[tuple[float, float], ...]
    colour: str
    width: float = 1.0
    dash: bool = False


@dataclass(frozen=True)
class Bar:
    """A filled rectangle; `hatched` tells kinds apart without colour."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    opacity: float = 1.0
    hatched: bool = False
    title: str = ""


@dataclass(frozen=True)
class Mark:
    """A point in a model's shape and colour; `size` is its height."""

    x: float
    y: float
    shape: str
    colour: str
    size: float = 7.0
    title: str = ""


@dataclass(frozen=True)
class Text:
    """Words with their base line at y; `anchor` is start, middle or end; `turned` reads upwards."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    colour: str = "ink-2"
    size: float = TEXT
    bold: bool = False
    turned: bool = False


Shape = Line | Bar | Mark | Text


@dataclass(frozen=True)
class Figure:
    """A finished figure: shapes in the order in which they are drawn, and the numbers behind it."""

    name: str
    title: str
    caption: str
    width: float
    height: float
    shapes: tuple[Shape, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Rate:
    """A share of right answers: `right` of `n`."""

    right: int
    n: int


@dataclass(frozen=True)
class FigureRun:
    """One run's numbers. `colour` is 1 to 8; `scores` is (value, low, high) or None; `by_label` and `by_group` are
    {name: Rate}; `variant` is what sets a model's settings apart, but for the size of train; `calibration` and `entropy` are bins as the metrics give them; `confusion` is (expected labels,
    answers, counts)."""

    run_id: int
    model: str
    label: str
    name: str
    colour: int
    items: int
    train_items: int | None = None
    score: tuple[float, float | None, float | None] | None = None
    by_label: Mapping[str, Rate] = field(default_factory=dict)
    by_group: Mapping[str, Rate] = field(default_factory=dict)
    calibration: Sequence[Mapping[str, float]] = ()
    entropy: Sequence[Mapping[str, float]] = ()
    confusion: tuple[Sequence[str], Sequence[str], Sequence[Sequence[int]]] | None = None
    variant: str = ""


@dataclass(frozen=True)
class FigureData:
    """The runs of a figure, best first, and the metric of their scores (`percent`: a rate of 1)."""

    runs: tuple[FigureRun, ...]
    metric: str
    percent: bool
    reference: float | None = None


@dataclass(frozen=True)
class FigureKind:
    """One kind of figure. `draw` gives None where the data has nothing for it."""

    name: str
    label: str
    draw: Callable[[FigureData], Figure | None]
    order: int = 50
