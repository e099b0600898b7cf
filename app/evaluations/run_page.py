"""What the run page shows once there are scores: metrics, confusion, first predictions, answer rules."""

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from app.errors import Forbidden, NotFound
from app.evaluations.answers import Rules, describe
from app.evaluations.columns import written
from app.evaluations.judge_page import JudgingLine, judging_lines
from app.evaluations.leaderboard import LeaderboardRow, ScoreView, leaderboard
from app.evaluations.queries import prediction_rows, scored_run
from app.evaluations.table import PredictionRow
from app.lab.actor import Actor
from app.metrics import for_task
from app.runs.chart import Reading, readings
from app.runs.queries import RunView, curves, run_view
from app.shapes import ConfusionRow, Segment, confusion, stacked
from app.tables import Run, Scoring

PAGE = 25
NO_LABEL = "no label"


@dataclass(frozen=True)
class MetricLine:
    """One metric as a line: number, interval, and where its formula comes from; `unseen` are number and interval
    on the items not seen in train, where some were."""

    label: str
    value: str
    low: str
    high: str
    unit: str
    n: int
    formula: str
    source: str
    unseen: tuple[str, str, str] | None


@dataclass(frozen=True)
class ClassLine:
    """Precision and recall of one class."""

    label: str
    precision: str
    recall: str
    f1: str
    support: int


@dataclass(frozen=True)
class PredictionLine:
    """A prediction with its bar of class probabilities."""

    row: PredictionRow
    bar: tuple[Segment, ...]
    said: str


@dataclass(frozen=True)
class ScoresView:
    """Everything below the ledger of a finished run."""

    metrics: list[MetricLine]
    classes: list[ClassLine]
    confusion: tuple[ConfusionRow, ...]
    answered: list[str]
    rules: Rules
    rules_said: list[str]
    scorings: int
    matched_by: str
    items: int
    unseen: int | None


@dataclass(frozen=True)
class RunPage:
    """The run page."""

    run: RunView
    readings: list[Reading]
    scores: ScoresView | None
    predictions: list[PredictionLine]
    show: str
    older: str
    # Why test scores are not shown; and the scores on validation, where the run predicted it.
    locked: str = ""
    validation: tuple[MetricLine, ...] = ()
    judgings: tuple[JudgingLine, ...] = ()


def run_page(session: Session, actor: Actor, run_id: int, show: str = "all", after: int = -1) -> RunPage:
    """The page of one run; predictions start behind item number `after`, all or only wrong ones."""
    run = run_view(session, actor, run_id)
    now = readings(curves(session, actor, run_id))
    row = leaderboard(session, actor, [col(Run.id) == run_id])[0]
    # A locked run's row has all its validation scores, others the one they are ranked by.
    on_validation = [*row.scores.values()] if row.locked else [row.validation] if row.validation else []
    validation = tuple(_metric(score, None) for score in on_validation if score.value is not None)
    try:
        scored = scored_run(session, actor, run_id)
    except NotFound:
        return RunPage(run, now, None, [], show, "", validation=validation)
    except Forbidden as hidden:
        return RunPage(run, now, None, [], show, "", f"{hidden.message} {hidden.hint}", validation)
    view = _scores(session, actor, row, scored.rules, scored.evaluation.id or 0, scored.evaluation.matched_by)
    labels = scored.evaluation.labels
    rows = list(prediction_rows(session, scored, after=after, limit=PAGE + 1, wrong_only=show == "wrong"))
    lines = [_line(row, labels) for row in rows[:PAGE]]
    older = (
        f"/runs/{run_id}?show={show}&after={rows[PAGE - 1].number}#predictions" if len(rows) > PAGE else ""
    )
    judged = judging_lines(session, actor, run_id)
    return RunPage(run, now, view, lines, show, older, validation=validation, judgings=judged)


def _scores(
    session: Session, actor: Actor, row: LeaderboardRow, rules: Rules, evaluation_id: int, matched_by: str
) -> ScoresView:
    unseen = leaderboard(session, actor, [col(Run.id) == row.run_id], "unseen")[0] if row.unseen else None
    scorings = len(session.exec(select(Scoring.id).where(Scoring.evaluation_id == evaluation_id)).all())
    matrix = row.scores.get("confusion")
    detail = matrix.detail if matrix else {}
    expected, answered = list(detail.get("expected", [])), list(detail.get("answered", []))
    return ScoresView(
        [
            _metric(score, unseen.scores.get(score.name) if unseen else None)
            for score in row.scores.values()
            if score.value is not None
        ],
        _classes(row.scores.get("per_class")),
        confusion(expected, answered, detail["counts"]) if expected else (),
        answered,
        rules,
        describe(rules),
        scorings,
        matched_by,
        row.items,
        row.unseen,
    )


def _metric(score: ScoreView, unseen: ScoreView | None) -> MetricLine:
    kind = next(metric for metric in for_task(None) if metric.name == score.name)
    unit = "%" if score.format == "percent" else ""
    other = _texts(unseen) if unseen else None
    return MetricLine(score.label, *_texts(score), unit, score.n, kind.formula, kind.source, other)


def _texts(score: ScoreView) -> tuple[str, str, str]:
    """Value and the ends of its interval."""
    low, high = (written(end, score.format) if end is not None else "" for end in (score.low, score.high))
    return written(score.value, score.format), low, high


def _classes(score: ScoreView | None) -> list[ClassLine]:
    rows: dict[str, dict[str, Any]] = score.detail.get("classes", {}) if score else {}
    return [
        ClassLine(
            label,
            written(values.get("precision"), "percent"),
            written(values.get("recall"), "percent"),
            written(values.get("f1"), "percent"),
            values.get("support", 0),
        )
        for label, values in rows.items()
    ]


def _line(row: PredictionRow, labels: list[str]) -> PredictionLine:
    pairs = list(zip(labels, row.probabilities or [], strict=False))
    return PredictionLine(row, *probability_bar(pairs, row.expected, row.answer_read))


def probability_bar(
    pairs: list[tuple[str, float]], expected: str, read: str | None
) -> tuple[tuple[Segment, ...], str]:
    """The stacked bar of class probabilities, largest first, and the same in words."""
    largest = sorted(pairs, key=lambda pair: -pair[1])
    parts = [
        (p, "expected" if label == expected else "wrong" if label == read else "other")
        for label, p in largest
    ]
    return stacked(parts), ", ".join(f"{label} {100 * p:.0f} %" for label, p in largest[:5] if p >= 0.005)
