"""Histograms of the entropy of class probabilities, right and wrong answers apart."""

from app.figures._base import SMALL, WIDTH, Bar, Figure, FigureData, FigureKind, FigureRun, Line, Shape, Text
from app.figures._plot import Panel, colour_of, cut, few, grid, number_ticks

COLUMNS, TALL = 3, 84.0
HEIGHT = TALL + 50


def draw(data: FigureData) -> Figure | None:
    """For runs with class probabilities."""
    runs = [run for run in data.runs if run.entropy]
    if not runs:
        return None
    shapes: list[Shape] = []
    drawn, left_out = few(runs)
    for run, (x, y, wide) in zip(drawn, grid(len(drawn), COLUMNS, 0, HEIGHT), strict=True):
        shapes += _panel(run, x + 24, y + 16, wide - 32)
    rows = tuple(
        (run.run_id, run.name, one["low"], one["high"], int(one["n"]), int(one["right"]))
        for run in runs
        for one in run.entropy
    )
    return Figure(
        "entropy",
        "Entropy of the class probabilities",
        "Items by the entropy of their class probabilities: wrong answers hatched below, right answers above them."
        + left_out,
        WIDTH,
        -(-len(drawn) // COLUMNS) * HEIGHT - 8,
        tuple(shapes),
        ("run", "model", "entropy_low", "entropy_high", "items", "right"),
        rows,
    )


def _panel(run: FigureRun, x: float, y: float, wide: float) -> list[Shape]:
    most = max(one["n"] for one in run.entropy) or 1
    panel = Panel(x, y, wide, TALL, 0, max(one["high"] for one in run.entropy), 0, most)
    shapes: list[Shape] = [Text(x, y - 6, cut(run.name, wide), colour="ink", bold=True)]
    shapes += number_ticks(panel, vertical=True, most=4)
    for one in run.entropy:
        left, right = panel.px(one["low"]) + 0.4, panel.px(one["high"]) - 0.4
        wrong = one["n"] - one["right"]
        said = f"{int(one['n']):,} items, {int(one['right']):,} right"
        if wrong:
            top = panel.py(wrong)
            shapes.append(Bar(left, top, right - left, panel.py(0) - top, colour_of(run), 1.0, True, said))
        if one["right"]:
            top = panel.py(one["n"])
            shapes.append(
                Bar(left, top, right - left, panel.py(wrong) - top, colour_of(run), 0.55, False, said)
            )
    shapes.append(Line(((x, y + TALL), (x + wide, y + TALL)), "control", 0.8))
    step = panel.high / 4
    shapes += [
        Text(panel.px(i * step), y + TALL + 10, f"{i * step:.2g}", "middle", "ink-3", SMALL) for i in range(5)
    ]
    shapes.append(Text(x + wide / 2, y + TALL + 20, "entropy, nats", "middle", "ink-3", SMALL))
    return shapes


FIGURE = FigureKind("entropy", "Entropy", draw, order=50)
