"""The leaderboard as a figure: each run's score with its 95 % interval."""

from app.figures._base import WIDTH, Figure, FigureData, FigureKind, Line, Shape, Text
from app.figures._plot import Panel, cut, number_ticks, percent_ticks, whisker

LEFT, PITCH = 150.0, 17.0


def draw(data: FigureData) -> Figure | None:
    """Where any run has a score."""
    runs = [run for run in data.runs if run.score]
    if not runs:
        return None
    ends = [end for run in runs for end in run.score or () if end is not None]
    ends += [] if data.reference is None else [data.reference]
    room = (max(ends) - min(ends)) * 0.06 or 0.05
    panel = Panel(LEFT, 4, WIDTH - LEFT - 8, len(runs) * PITCH, min(ends) - room, max(ends) + room)
    shapes: list[Shape] = percent_ticks(panel) if data.percent else number_ticks(panel)
    if data.reference is not None:
        x = panel.px(data.reference)
        shapes.append(Line(((x, panel.y), (x, panel.y + panel.height)), "control", 0.9, dash=True))
    for place, run in enumerate(runs):
        y = panel.y + (place + 0.5) * PITCH
        value, low, high = run.score or (0.0, None, None)
        shapes.append(Text(LEFT - 10, y + 3, cut(run.name, LEFT - 12), "end", "ink"))
        shapes += whisker(panel, y, run, value, low, high, f"{run.name}: {value:.4g}")
    unit = ", %" if data.percent else ""
    shapes.append(
        Text(panel.x + panel.width / 2, panel.y + panel.height + 21, data.metric + unit, "middle", "ink-3")
    )
    rows = tuple((run.run_id, run.name, run.items, *(run.score or ())) for run in runs)
    caption = f"{data.metric} with 95 % intervals."
    if data.reference is not None:
        caption = f"{data.metric} with 95 % intervals; the dashed line is the majority baseline."
    header = ("run", "model", "items", data.metric.lower(), "low", "high")
    return Figure("scores", "Scores", caption, WIDTH, panel.height + 30, tuple(shapes), header, rows)


FIGURE = FigureKind("scores", "Scores", draw, order=10)
