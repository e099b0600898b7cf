"""The leaderboard as it is drawn: formatted numbers, whiskers on one axis. Used by experiments and comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.evaluations.leaderboard import PRIMARY, LeaderboardRow, ScoreView
from app.format import DASH, number, percent
from app.metrics import for_task
from app.shapes import Axis, Whisker, axis_over, whisker

SECONDARY = {
    "classification": ("macro_f1", "log_loss", "ece"),
    "number": ("rmse", "r2", "rank_correlation"),
    "list": ("exact_match",),
    "json": ("json_valid", "exact_match"),
    "text": ("exact_match",),
}


@dataclass(frozen=True)
class TableRow:
    """One run: its numbers as text."""

    run: LeaderboardRow
    value: str
    low: str
    high: str
    whisker: Whisker | None
    others: tuple[str, ...]


@dataclass(frozen=True)
class LeaderboardTable:
    """All runs on one axis; `reference` is the majority's score, drawn as a dashed line."""

    metric: str
    unit: str
    direction: str
    heads: tuple[str, ...]
    axis: Axis | None
    rows: tuple[TableRow, ...]
    caption: str


def leaderboard_table(rows: Sequence[LeaderboardRow], task: str) -> LeaderboardTable:
    """Lays the rows out for their task."""
    metrics = {metric.name: metric for metric in for_task(task)}
    primary = metrics[PRIMARY.get(task, "exact_match")]
    secondary = [metrics[name] for name in SECONDARY.get(task, ()) if name in metrics]
    scores = [row.primary for row in rows if row.primary and row.primary.value is not None]
    axis = _axis(rows, scores) if scores else None
    caption = f"{primary.label} with 95 % intervals"
    if any(row.locked for row in rows):
        caption = f"{primary.label} on validation with 95 % intervals; the test set is locked"
    chosen = any(row.validation and not row.locked for row in rows)
    heads = [metric.label + (", %" if metric.format == "percent" else "") for metric in secondary]
    if any(row.model == "baseline/majority" and row.primary for row in rows):
        caption += "; the dashed line is the majority baseline"
    return LeaderboardTable(
        primary.label,
        "%" if primary.format == "percent" else "",
        primary.direction,
        tuple([*heads, "On validation"] if chosen else heads),
        axis,
        tuple(_table_row(row, axis, [metric.name for metric in secondary], chosen) for row in rows),
        caption,
    )


def _axis(rows: Sequence[LeaderboardRow], scores: Sequence[ScoreView]) -> Axis:
    spans = [(_or(score.low, score.value), _or(score.high, score.value)) for score in scores]
    majority = next(
        (row.primary.value for row in rows if row.model == "baseline/majority" and row.primary), None
    )
    return axis_over(spans, reference=majority, scale=100 if scores[0].format == "percent" else 1)


def _or(value: float | None, other: float | None) -> float:
    return value if value is not None else other or 0.0


def _table_row(row: LeaderboardRow, axis: Axis | None, secondary: Sequence[str], chosen: bool) -> TableRow:
    score = row.primary
    others = tuple(score_text(row.scores.get(name)) for name in secondary)
    if chosen:
        others += (score_text(row.validation),)
    if score is None or score.value is None or axis is None:
        return TableRow(row, DASH, "", "", None, others)
    low, high = _or(score.low, score.value), _or(score.high, score.value)
    shown = [written(value, score.format) for value in (score.value, low, high)]
    said = f"{row.name}: {shown[0]}, 95 % interval {shown[1]} to {shown[2]}"
    return TableRow(
        row, shown[0], shown[1], shown[2], whisker(axis, score.value, low, high, row.colour, said), others
    )


def score_text(score: ScoreView | None) -> str:
    """A score as a number for its column, or a dash."""
    return DASH if score is None else written(score.value, score.format)


def written(value: float | None, form: str) -> str:
    """A value in its metric's format: percents without their sign."""
    return percent(value) if form == "percent" else number(value)
