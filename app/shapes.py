"""Coordinates for the drawings that templates make in SVG: whiskers, bars, lines, shaded cells.

Pure arithmetic on plain numbers, called by the pages' queries. Lengths are CSS pixels, except on an
Axis, where they are per cent of the drawing's width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

MARKERS = ("circle", "square", "triangle", "diamond", "down", "pentagon", "plus", "star")
HEAT_STEPS = 10


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis with the words beside it."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """A horizontal scale shared by all rows of one table; `reference` is the x of a dashed line."""

    low: float
    high: float
    width: float
    ticks: tuple[Tick, ...]
    reference: float | None = None

    def x(self, value: float) -> float:
        """The place of a value, held inside the drawing."""
        inside = min(max(value, self.low), self.high)
        return round((inside - self.low) / (self.high - self.low) * self.width, 2)


@dataclass(frozen=True, slots=True)
class Whisker:
    """One estimate with its interval, placed on an axis."""

    x: float
    x_low: float
    x_high: float
    colour: int
    shape: str
    text: str

    @property
    def ends(self) -> tuple[float, float]:
        """Where the two caps stand."""
        return self.x_low, self.x_high


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a stacked bar; `kind` names its CSS class."""

    x: float
    width: float
    kind: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a histogram, standing on y = the drawing's height."""

    x: float
    y: float
    width: float
    height: float
    title: str
    kind: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bars, the labels under them, and the size of the drawing without its labels."""

    width: float
    height: float
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]

    @property
    def view_box(self) -> str:
        """The SVG view box, with room for the labels below."""
        return f"-12 -4 {self.width + 24:g} {self.height + 24:g}"

    @property
    def base_y(self) -> float:
        """Where the base line runs."""
        return self.height + 0.5

    @property
    def label_y(self) -> float:
        """The base line of the labels' type."""
        return self.height + 17


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A small line as SVG path data, with its last point."""

    path: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a confusion matrix: its count, its shade 0 to 9, and whether it is the diagonal."""

    count: int
    step: int
    right: bool
    label: str


@dataclass(frozen=True, slots=True)
class ConfusionRow:
    """All answers to the items of one expected label."""

    label: str
    cells: tuple[Cell, ...]
    total: int


def marker_shape(colour: int) -> str:
    """The marker that goes with a model's colour number, 1 to 8 and then round again."""
    return MARKERS[(colour - 1) % len(MARKERS)]


def colour_number(position: int) -> int:
    """The colour number 1 to 8 of the model at a position counted from 0."""
    return position % len(MARKERS) + 1


def nice_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values from low to high, at most `most`, in steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        raise ValueError(f"a scale needs two ends in order, not {low} and {high}")
    rough = (high - low) / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    for step in (power, 2 * power, 5 * power, 10 * power, 20 * power):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            return [round(n * step, 12) for n in range(first, last + 1)]
    return [low, high]


def _tick_label(value: float, step: float) -> str:
    places = max(0, -math.floor(math.log10(step) + 1e-9)) if step else 0
    return f"{value:.{places}f}".replace("-", "−")


def axis_over(
    intervals: Sequence[tuple[float, float]],
    *,
    width: float = 100,
    reference: float | None = None,
    scale: float = 1,
    floor: float | None = None,
    ceiling: float | None = None,
) -> Axis:
    """An axis that holds all (low, high) pairs and the reference, with a little room on both sides.

    Places are per cent of the drawing's width unless `width` is given. Tick labels show value x `scale` (100 turns a rate into per cent); `floor` and `ceiling` are the
    ends that a value cannot pass, such as 0 and 1 for a rate.
    """
    ends = [end for pair in intervals for end in pair if math.isfinite(end)]
    ends += [] if reference is None else [reference]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    room = (high - low) * 0.06 or abs(high) * 0.05 or 0.05
    low, high = low - room, high + room
    low = low if floor is None else max(low, floor)
    high = high if ceiling is None else min(high, ceiling)
    if not high > low:
        low, high = high - 0.05, high
    bare = Axis(low, high, width, ())
    values = nice_ticks(low * scale, high * scale)
    step = values[1] - values[0] if len(values) > 1 else 1
    ticks = tuple(Tick(bare.x(value / scale), _tick_label(value, step)) for value in values)
    return Axis(low, high, width, ticks, None if reference is None else bare.x(reference))


def whisker(
    axis: Axis, value: float, low: float, high: float, colour: int, text: str, shape: str = ""
) -> Whisker:
    """One row's estimate and interval on the axis; `text` is what a screen reader says."""
    return Whisker(axis.x(value), axis.x(low), axis.x(high), colour, shape or marker_shape(colour), text)


def stacked(parts: Sequence[tuple[float, str]], *, width: float = 104, gap: float = 1) -> tuple[Segment, ...]:
    """A bar of shares (share of 1, CSS class) laid side by side; shares past 1 in total are cut.

    Pieces narrower than half a pixel are left out; what is missing to 1 stays empty.
    """
    segments, start = [], 0.0
    for share, kind in parts:
        end = min(start + max(share, 0.0), 1.0)
        x, right = start * width, end * width
        drawn = right - x - (gap if right < width else 0)
        if drawn >= 0.5:
            segments.append(Segment(round(x, 2), round(drawn, 2), kind))
        start = end
    return tuple(segments)


def histogram(
    counts: Sequence[int],
    edges: Sequence[str],
    *,
    width: float = 400,
    height: float = 96,
    over: int | None = None,
    unit: str = "items",
) -> Histogram:
    """Bars for counts between edges; `edges` has one label more than there are counts.

    Bars from index `over` on are marked as past a limit. A bar that is not empty is at least 1.5 high.
    """
    if len(edges) != len(counts) + 1:
        raise ValueError(f"{len(counts)} bars need {len(counts) + 1} edges, not {len(edges)}")
    most, pitch = max(counts, default=0) or 1, width / max(len(counts), 1)
    bars = []
    for index, count in enumerate(counts):
        tall = max(count / most * height, 1.5) if count else 0.0
        title = f"{edges[index]} to {edges[index + 1]}: {count:,} {unit}"
        kind = "over" if over is not None and index >= over else ""
        bars.append(
            Bar(
                round(index * pitch, 2),
                round(height - tall, 2),
                round(pitch - 1.5, 2),
                round(tall, 2),
                title,
                kind,
            )
        )
    every = max(1, math.ceil(len(edges) / 9))
    ticks = tuple(Tick(round(i * pitch, 2), edges[i]) for i in range(0, len(edges), every))
    return Histogram(width, height, tuple(bars), ticks)


def sparkline(
    values: Sequence[float | None], *, width: float = 96, height: float = 24, margin: float = 2
) -> Sparkline | None:
    """A line through the finite values, lowest at the bottom; None when fewer than two are there."""
    points = [(i, v) for i, v in enumerate(values) if v is not None and math.isfinite(v)]
    if len(points) < 2:
        return None
    low, high = min(v for _, v in points), max(v for _, v in points)
    across = (width - 2 * margin) / (len(values) - 1)
    spread = (high - low) or 1.0
    down = (height - 2 * margin) / spread
    flat = (high - low) == 0
    placed = [(margin + i * across, height / 2 if flat else margin + (high - v) * down) for i, v in points]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in placed)
    return Sparkline(path, round(placed[-1][0], 1), round(placed[-1][1], 1))


def heat_step(value: float, most: float) -> int:
    """The shade 0 to 9 of a value against the largest; 0 only for nothing, 9 only for the largest."""
    if value <= 0 or most <= 0:
        return 0
    return min(max(math.floor(value / most * (HEAT_STEPS - 1)), 1), HEAT_STEPS - 1)


def confusion(
    expected: Sequence[str], answered: Sequence[str], counts: Sequence[Sequence[int]]
) -> tuple[ConfusionRow, ...]:
    """Rows of expected labels by columns of answers, each row shaded by its own total.

    `counts[i][j]` is how many items of label `expected[i]` were answered `answered[j]`; `answered`
    may have columns that are no label, such as "no answer".
    """
    rows = []
    for label, row in zip(expected, counts, strict=True):
        total = sum(row)
        cells = tuple(
            Cell(count, heat_step(count, total), answer == label, answer)
            for answer, count in zip(answered, row, strict=True)
        )
        rows.append(ConfusionRow(label, cells, total))
    return tuple(rows)
