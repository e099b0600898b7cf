"""What figures share: panels with scales, axes, legends, whiskers. Pure arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.figures._base import SMALL, TEXT, WIDTH, Bar, FigureRun, Line, Mark, Shape, Text
from app.shapes import marker_shape, nice_ticks

# How wide letters are, of their size, in IBM Plex Sans: the widest of each kind but for M, W, m and w, which few names
# are made of.
CAPITAL, DIGIT, NARROW, LETTER = 0.7, 0.6, 0.36, 0.58
THIN = frozenset(" .,:;!|'()[]{}/-fijlrtI")
GAP = 14.0
# More runs than this cannot be told apart in a figure that draws every label, group or bin of each.
MOST_RUNS = 9


@dataclass(frozen=True)
class Panel:
    """A rectangle with a scale on each side; y grows upwards as people read it."""

    x: float
    y: float
    width: float
    height: float
    low: float = 0.0
    high: float = 1.0
    bottom: float = 0.0
    top: float = 1.0

    def px(self, value: float) -> float:
        """Where a value of the horizontal scale lies."""
        return (
            self.x + (min(max(value, self.low), self.high) - self.low) / (self.high - self.low) * self.width
        )

    def py(self, value: float) -> float:
        """Where a value of the vertical scale lies."""
        share = (min(max(value, self.bottom), self.top) - self.bottom) / (self.top - self.bottom)
        return self.y + self.height - share * self.height


def width_of(text: str, size: float = TEXT) -> float:
    """About how wide a text is, rather too much than too little."""
    return size * sum(map(_width_of_letter, text))


def _width_of_letter(letter: str) -> float:
    if letter in THIN:
        return NARROW
    if letter.isdigit():
        return DIGIT
    # Chinese, Japanese and Korean stand in squares.
    return 1.0 if ord(letter) > 0x2E80 else LETTER if letter.islower() else CAPITAL


def cut(text: str, width: float, size: float = TEXT) -> str:
    """The text, shortened to a width."""
    if width_of(text, size) <= width:
        return text
    kept = text[:3]
    while width_of(f"{kept}{text[len(kept)]}…", size) <= width:
        kept = text[: len(kept) + 1]
    return f"{kept}…" if len(kept) < len(text) else text


def cut_inside(text: str, width: float, size: float = TEXT) -> str:
    """The text, shortened to a width in its middle: names of groups often begin alike."""
    if width_of(text, size) <= width:
        return text
    ends = 2
    while width_of(f"{text[: ends + 1]}…{text[-ends:]}", size) <= width:
        ends += 1
    return f"{text[:ends]}…{text[1 - ends :]}"


def colour_of(run: FigureRun) -> str:
    """The name of a run's colour."""
    return f"m{run.colour}"


def few(runs: Sequence[FigureRun]) -> tuple[list[FigureRun], str]:
    """The runs that a figure of many parts draws, and the words for its caption where it leaves some out."""
    left_out = f" Drawn are the first {MOST_RUNS} of {len(runs)} runs." if len(runs) > MOST_RUNS else ""
    return list(runs[:MOST_RUNS]), left_out


def legend(runs: Sequence[FigureRun], y: float) -> tuple[list[Shape], float]:
    """Marks with names in lines from `y` on; gives the shapes and the height they take."""
    shapes: list[Shape] = []
    x, line = 0.0, y
    for run in runs:
        name = cut(run.name, 220)
        wide = 12 + width_of(name) + GAP
        if x and x + wide > WIDTH:
            x, line = 0.0, line + 13
        shapes.append(Mark(x + 4, line + 5, marker_shape(run.colour), colour_of(run)))
        shapes.append(Text(x + 12, line + 8, name))
        x += wide
    return shapes, line - y + 18


def percent_ticks(panel: Panel, vertical: bool = False) -> list[Shape]:
    """Grid lines and labels for a scale of shares, in per cent."""
    low, high = (panel.bottom, panel.top) if vertical else (panel.low, panel.high)
    return [
        shape
        for value in nice_ticks(100 * low, 100 * high)
        for shape in _tick(panel, value / 100, f"{value:g}", vertical)
    ]


def number_ticks(panel: Panel, vertical: bool = False, most: int = 6) -> list[Shape]:
    """The same for plain numbers."""
    low, high = (panel.bottom, panel.top) if vertical else (panel.low, panel.high)
    return [
        shape
        for value in nice_ticks(low, high, most)
        for shape in _tick(panel, value, f"{value:,.6g}".replace("-", "−"), vertical)
    ]


def _tick(panel: Panel, value: float, label: str, vertical: bool) -> list[Shape]:
    if vertical:
        y = panel.py(value)
        return [
            Line(((panel.x, y), (panel.x + panel.width, y)), "rule", 0.6),
            Text(panel.x - 5, y + 2.5, label, "end", "ink-3", SMALL),
        ]
    x = panel.px(value)
    return [
        Line(((x, panel.y), (x, panel.y + panel.height)), "rule", 0.6),
        Text(x, panel.y + panel.height + 10, label, "middle", "ink-3", SMALL),
    ]


def whisker(
    panel: Panel, y: float, run: FigureRun, value: float, low: float | None, high: float | None, title: str
) -> list[Shape]:
    """A point with its interval on a horizontal scale."""
    shapes: list[Shape] = []
    if low is not None and high is not None:
        left, right, colour = panel.px(low), panel.px(high), colour_of(run)
        shapes.append(Line(((left, y), (right, y)), colour, 1.1))
        shapes += [Line(((x, y - 2.2), (x, y + 2.2)), colour, 1.1) for x in (left, right)]
    shapes.append(Mark(panel.px(value), y, marker_shape(run.colour), colour_of(run), title=title))
    return shapes


def grid(
    count: int, columns: int, top: float, height: float, gap: float = 34.0
) -> list[tuple[float, float, float]]:
    """(x, y, width) of small panels in rows."""
    wide = (WIDTH - gap * (columns - 1)) / columns
    return [(i % columns * (wide + gap), top + i // columns * height, wide) for i in range(count)]


def frame(panel: Panel) -> Bar:
    """A quiet ground, so that an empty panel is seen."""
    return Bar(panel.x, panel.y, panel.width, panel.height, "rule", 0.25)
