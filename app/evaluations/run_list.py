"""All runs of a project, newest or best first, a page at a time. For /runs and its JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

from sqlalchemy import exists, literal, tuple_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.catalog.models import model_label
from app.errors import Invalid
from app.evaluations.leaderboard import PRIMARY, newest_scorings
from app.evaluations.looks import note_look
from app.lab.actor import Actor
from app.metrics import Metric, for_task
from app.runs.lock import locked_runs, not_locked
from app.tables import ACTIVE, Dataset, Evaluation, Experiment, Run, RunState, Score, Scoring

PAGE = 50
NEWEST = "newest"
UNDER_WAY = "active"
STATES = (UNDER_WAY, *(str(state) for state in RunState))


def ranking_metrics() -> dict[str, Metric]:
    """The metrics that have a best end, by name: what runs can be ordered by."""
    return {metric.name: metric for metric in for_task(None) if metric.direction in ("higher", "lower")}


@dataclass(frozen=True)
class RunFilter:
    """What is shown; "" is everything. `order` is "newest", or a metric: best first, runs that have it."""

    model: str = ""
    state: str = ""
    order: str = NEWEST

    def __post_init__(self) -> None:
        for name, allowed in (("state", ("", *STATES)), ("order", (NEWEST, *ranking_metrics()))):
            if getattr(self, name) not in allowed:
                raise Invalid(
                    f"The list of runs has no {name} {getattr(self, name)[:40]!r}.",
                    f"Choose one of {', '.join(filter(None, allowed))}.",
                    {name: "not one of the choices"},
                )


@dataclass(frozen=True)
class RunLine:
    """One run. `value`, `low`, `high` are of `metric` on the test items, None where there is none to show; while
    the test set is `locked` there never is."""

    id: int
    name: str
    model: str
    seed: int | None
    state: str
    active: bool
    progress: float
    experiment_id: int
    experiment: str
    dataset_id: int
    dataset: str
    metric: Metric
    value: float | None
    low: float | None
    high: float | None
    locked: bool
    seconds: float | None
    created_at: datetime


@dataclass(frozen=True)
class RunPage:
    """At most PAGE lines, and the `after` that the next page starts with; "" on the last one."""

    lines: tuple[RunLine, ...]
    after: str


COLUMNS: tuple[Any, ...] = (
    Run.id,
    Run.model,
    Run.variant,
    Run.fold,
    Run.seed,
    Run.state,
    Run.progress,
    Run.experiment_id,
    Run.dataset_id,
    Run.started_at,
    Run.ended_at,
    Run.created_at,
    col(Experiment.name).label("experiment"),
    col(Dataset.name).label("dataset"),
    col(Dataset.task).label("task"),
)


def list_runs(session: Session, actor: Actor, chosen: RunFilter, after: str = "") -> RunPage:
    """One page of the project's runs. Raises Invalid for an `after` that no page gave."""
    where = [col(Run.project_id) == actor.project_id]
    if chosen.model:
        where.append(col(Run.model) == chosen.model)
    if chosen.state:
        where.append(col(Run.state).in_(ACTIVE if chosen.state == UNDER_WAY else (chosen.state,)))
    if chosen.order == NEWEST:
        return _newest(session, where, after)
    return _ranked(session, where, ranking_metrics()[chosen.order], after, few=bool(chosen.model))


def models_of(session: Session, actor: Actor) -> list[str]:
    """The models that the project's runs are of, in alphabetical order."""
    found = session.exec(select(Run.model).where(Run.project_id == actor.project_id).distinct())
    return sorted(found)


def _named(*more: Any) -> Any:
    return (
        select(*COLUMNS, *more)
        .join(Experiment, col(Experiment.id) == Run.experiment_id)
        .join(Dataset, col(Dataset.id) == Run.dataset_id)
    )


def _newest(session: Session, where: list[Any], after: str) -> RunPage:
    if after:
        where.append(col(Run.id) < int(_place(after, 1)[0]))
    rows = session.execute(_named().where(*where).order_by(col(Run.id).desc()).limit(PAGE + 1)).all()
    scores = _primary_scores(session, [row.id for row in rows])
    hidden = locked_runs(session, [row.id for row in rows])
    metrics = {metric.name: metric for metric in for_task(None)}
    lines = []
    for row in rows[:PAGE]:
        metric = metrics[PRIMARY.get(row.task, "exact_match")]
        lines.append(_line(row, metric, scores.get((row.id, metric.name)), row.id in hidden))
    return RunPage(tuple(lines), str(lines[-1].id) if len(rows) > PAGE else "")


def _primary_scores(session: Session, run_ids: Sequence[int]) -> dict[tuple[int, str], Any]:
    """{(run, metric): its score on all test items} of the metrics that tables are sorted by."""
    runs = {scoring: run for run, (_, scoring, _) in newest_scorings(session, run_ids).items()}
    found = session.execute(
        select(Score.scoring_id, Score.name, Score.value, Score.low, Score.high).where(  # type: ignore[call-overload]
            col(Score.scoring_id).in_(runs), Score.subset == "all", col(Score.name).in_(set(PRIMARY.values()))
        )
    )
    return {(runs[row.scoring_id], row.name): row for row in found}


def _ranked(session: Session, where: list[Any], metric: Metric, after: str, few: bool) -> RunPage:
    """Best first by one index: scores in order, each with its run, until the page is full. Where the filter leaves
    `few` runs, the database may take these first and sort."""
    falls = metric.direction == "higher"
    newer = aliased(Scoring)
    # A sum is no column of an index: scores are not looked up for each run, they lead.
    walked = col(Score.scoring_id) + 0
    place = tuple_(col(Score.value), col(Score.scoring_id))
    query = (
        _named(Score.scoring_id, Score.value, Score.low, Score.high)
        .join(Evaluation, col(Evaluation.run_id) == Run.id)
        .join(Scoring, col(Scoring.evaluation_id) == Evaluation.id)
        .join(Score, (col(Score.scoring_id) if few else walked) == Scoring.id)
        .where(*where, not_locked(), Evaluation.part == "test")
        .where(Score.name == metric.name, Score.subset == "all", col(Score.value).is_not(None))
        .where(~exists().where(col(newer.evaluation_id) == Evaluation.id, col(newer.id) > col(Scoring.id)))
        .order_by(*(one.desc() if falls else one.asc() for one in (col(Score.value), col(Score.scoring_id))))
        .limit(PAGE + 1)
    )
    if after:
        value, scoring = _place(after, 2)
        last = tuple_(literal(value), literal(int(scoring)))
        query = query.where(place < last if falls else place > last)
    rows = session.execute(query).all()
    note_look(session, {row.experiment_id for row in rows})
    lines = tuple(_line(row, metric, row, False) for row in rows[:PAGE])
    last_row = rows[PAGE - 1] if len(rows) > PAGE else None
    return RunPage(lines, f"{last_row.value!r}~{last_row.scoring_id}" if last_row else "")


def _line(row: Any, metric: Metric, score: Any, locked: bool) -> RunLine:
    fold = "" if row.fold is None else f"fold {row.fold}"
    seed = "" if row.seed is None else f"seed {row.seed}"
    return RunLine(
        id=row.id,
        name=", ".join(part for part in (model_label(row.model), row.variant, fold, seed) if part),
        model=row.model,
        seed=row.seed,
        state=row.state,
        active=row.state in ACTIVE,
        progress=row.progress,
        experiment_id=row.experiment_id,
        experiment=row.experiment,
        dataset_id=row.dataset_id,
        dataset=row.dataset,
        metric=metric,
        value=score.value if score and not locked else None,
        low=score.low if score and not locked else None,
        high=score.high if score and not locked else None,
        locked=locked,
        seconds=(row.ended_at - row.started_at).total_seconds() if row.ended_at and row.started_at else None,
        created_at=row.created_at,
    )


def _place(after: str, parts: int) -> tuple[float, ...]:
    """The numbers of an `after`; ids stay below what a column holds."""
    try:
        found = tuple(float(part) for part in after.split("~"))
    except ValueError:
        found = ()
    if len(found) != parts or not all(isfinite(part) for part in found) or not 0 <= found[-1] < 2**31:
        raise Invalid(
            "This page of the list of runs does not exist.",
            "Go back to its first page.",
            {"after": "unknown"},
        )
    return found
