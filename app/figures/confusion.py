"""Confusion matrices of the runs, side by side."""

from app.figures._base import SMALL, WIDTH, Bar, Figure, FigureData, FigureKind, FigureRun, Shape, Text
from app.figures._plot import cut, few, grid

# More classes than this cannot be read on a page.
MOST = 12
LEFT, TOP, BELOW = 56.0, 46.0, 18.0
DARK = 0.55


def draw(data: FigureData) -> Figure | None:
    """For tasks with at most MOST labels; more stand in the table only."""
    runs = [run for run in data.runs if run.confusion]
    drawn, left_out = few([run for run in runs if run.confusion and len(run.confusion[0]) <= MOST])
    if not drawn:
        return None
    most = max(len(run.confusion[1]) for run in drawn if run.confusion)
    columns = 3 if most <= 4 else 2
    side = (WIDTH - 20 * (columns - 1)) / columns - LEFT
    cell = min(side / most, 34.0)
    rows_of = max(len(run.confusion[0]) for run in drawn if run.confusion)
    height = TOP + rows_of * min(cell, 20) + BELOW
    shapes: list[Shape] = []
    for run, (x, y, _) in zip(drawn, grid(len(drawn), columns, 0, height, 20), strict=True):
        shapes += _matrix(run, x, y, cell, min(cell, 20))
    table = tuple(
        (run.run_id, run.name, expected, answered, count)
        for run in runs
        for expected, counts in zip(run.confusion[0], run.confusion[2], strict=True)  # type: ignore[index]
        for answered, count in zip(run.confusion[1], counts, strict=True)  # type: ignore[index]
    )
    return Figure(
        "confusion",
        "Confusion matrices",
        "Items by expected label (rows) and answer (columns), shaded by the share of the row." + left_out,
        WIDTH,
        -(-len(drawn) // columns) * height,
        tuple(shapes),
        ("run", "model", "expected", "answered", "items"),
        table,
    )


def _matrix(run: FigureRun, x: float, y: float, wide: float, tall: float) -> list[Shape]:
    expected, answered, counts = run.confusion or ((), (), ())
    shapes: list[Shape] = [
        Text(x, y + 12, cut(run.name, LEFT + wide * len(answered)), colour="ink", bold=True)
    ]
    for column, answer in enumerate(answered):
        middle = x + LEFT + (column + 0.5) * wide
        shapes.append(Text(middle, y + TOP - 6, cut(answer, wide + 4, SMALL), "middle", "ink-2", SMALL))
    for row, (label, own) in enumerate(zip(expected, counts, strict=True)):
        top, total = y + TOP + row * tall, sum(own)
        shapes.append(
            Text(x + LEFT - 6, top + tall / 2 + 2.5, cut(label, LEFT - 6, SMALL), "end", "ink-2", SMALL)
        )
        for column, count in enumerate(own):
            share = count / total if total else 0.0
            left, answer = x + LEFT + column * wide, answered[column]
            said = f"{label} answered {answer}: {count:,} of {total:,}"
            shapes.append(
                Bar(left + 0.5, top + 0.5, wide - 1, tall - 1, "accent", 0.04 + 0.86 * share, title=said)
            )
            shapes.append(
                Text(
                    left + wide / 2,
                    top + tall / 2 + 2.5,
                    f"{count:,}" if count else "·",
                    "middle",
                    "on-accent" if share > DARK else "ink" if count else "ink-3",
                    SMALL,
                    bold=label == answer,
                )
            )
    return shapes


FIGURE = FigureKind("confusion", "Confusion matrices", draw, order=60)
