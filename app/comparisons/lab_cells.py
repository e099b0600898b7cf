"""The lab leaderboard's cells, summed up by the database: three statements, however many runs there are.

Called by lab_leaderboard.py. A cell is one model on one split, with its best and its typical run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, func, or_
from sqlmodel import Session, col, select

from app.evaluations.leaderboard import PRIMARY
from app.lab.actor import Actor
from app.metrics import for_task
from app.runs.lock import not_locked
from app.tables import Dataset, Evaluation, Run, RunState, Score, Scoring, Split


@dataclass(frozen=True)
class RunScore:
    """One run's primary score with its 95 % interval; `parameters` are the model's, where the run says."""

    run_id: int
    experiment_id: int
    value: float
    low: float | None
    high: float | None
    seconds: float | None
    microdollars: int
    parameters: int | None


@dataclass(frozen=True)
class Cell:
    """One model on `items` items of one split. `typical` is the run in the middle of all, by score; of an even
    number the worse of the two in the middle. `microdollars` is what all runs cost together."""

    model: str
    split_id: int
    items: int
    runs: int
    best: RunScore
    typical: RunScore
    microdollars: int


@dataclass(frozen=True)
class Place:
    """A split as the leaderboard names it."""

    split_id: int
    split: str
    dataset_id: int
    dataset: str
    task: str


def counted() -> Any:
    """Which runs count: no single folds (their pooled run does), and none whose test scores are still hidden."""
    return and_(col(Run.fold).is_(None), not_locked())


def read_cells(session: Session, actor: Actor) -> list[Cell]:
    """Every cell of the actor's project that has a scored run."""
    newest, task = _newest(actor), col(Dataset.task)
    metric = case(*((task == name, metric) for name, metric in PRIMARY.items()), else_="exact_match")
    better_first = case((metric.in_(_lower()), col(Score.value)), else_=-col(Score.value))
    cell = (col(Run.model), col(Run.split_id), newest.c.answered)
    ranked = (
        select(
            Run.id,
            newest.c.answered,
            Score.value,
            Score.low,
            Score.high,
            func.row_number().over(partition_by=cell, order_by=(better_first, col(Run.id))).label("place"),
            func.count().over(partition_by=cell).label("runs"),
            func.sum(Run.cost_microdollars).over(partition_by=cell).label("cost"),
        )
        .join(newest, newest.c.run_id == Run.id)
        .join(Dataset, col(Dataset.id) == Run.dataset_id)
        .join(
            Score,
            and_(
                col(Score.scoring_id) == newest.c.scoring_id,
                col(Score.name) == metric,
                col(Score.subset) == "all",
                col(Score.value).is_not(None),
            ),
        )
        .where(Run.project_id == actor.project_id, counted())
        .subquery()
    )
    rows = session.execute(
        select(ranked, Run.model, Run.split_id, *_facts())
        .join(Run, col(Run.id) == ranked.c.id)
        .where(or_(ranked.c.place == 1, ranked.c.place == ranked.c.runs // 2 + 1))
        .order_by(col(Run.model), col(Run.split_id), ranked.c.answered, ranked.c.place)
    )
    return list(_cells(rows))


def _newest(actor: Actor) -> Any:
    """Each run's newest scoring of its test part."""
    return (
        select(
            Evaluation.run_id,
            func.max(Evaluation.items).label("answered"),
            func.max(Scoring.id).label("scoring_id"),
        )
        .join(Scoring, col(Scoring.evaluation_id) == Evaluation.id)
        .join(Run, col(Run.id) == Evaluation.run_id)
        .where(
            Evaluation.part == "test",
            Evaluation.project_id == actor.project_id,
            # A fold's score is a part of its pooled run's; locked scores are nobody's to see.
            col(Run.fold).is_(None),
            not_locked(),
        )
        .group_by(col(Evaluation.run_id))
        .subquery()
    )


def _facts() -> tuple[Any, ...]:
    parameters = col(Run.snapshot)["parameters"].as_string().label("parameters")
    return Run.experiment_id, Run.started_at, Run.ended_at, Run.cost_microdollars, parameters


def _lower() -> list[str]:
    """The metrics of which less is better."""
    return [metric.name for metric in for_task(None) if metric.direction == "lower"]


def _cells(rows: Any) -> Iterator[Cell]:
    """Pairs of rows, best before typical; one row where both are the same run."""
    best: RunScore | None = None
    for row in rows:
        found = RunScore(
            row.id,
            row.experiment_id,
            row.value,
            row.low,
            row.high,
            _seconds(row.started_at, row.ended_at),
            row.cost_microdollars,
            int(row.parameters) if row.parameters and row.parameters.isdigit() else None,
        )
        if row.place == 1:
            best = found
        if row.place == row.runs // 2 + 1:
            yield Cell(row.model, row.split_id, row.answered, row.runs, best or found, found, int(row.cost))


def _seconds(started: datetime | None, ended: datetime | None) -> float | None:
    return (ended - started).total_seconds() if started and ended else None


def read_failures(session: Session, actor: Actor) -> dict[tuple[str, int], int]:
    """{(model, split id): runs that failed}."""
    rows = session.exec(
        select(Run.model, Run.split_id, func.count())
        .where(Run.project_id == actor.project_id, Run.state == RunState.FAILED, counted())
        .group_by(col(Run.model), col(Run.split_id))
    )
    return {(model, split): count for model, split, count in rows}


def read_places(session: Session, actor: Actor) -> dict[int, Place]:
    """The splits that some run names, by id."""
    used = select(Run.split_id).where(Run.project_id == actor.project_id).distinct()
    rows = session.execute(
        select(Split.id, Split.name, Dataset.id, Dataset.name, Dataset.task)
        .join(Dataset, col(Dataset.id) == Split.dataset_id)
        .where(Split.project_id == actor.project_id, col(Split.id).in_(used))
        .order_by(Dataset.id, Split.id)  # type: ignore[arg-type]
    )
    return {
        split_id: Place(split_id, split, dataset_id, dataset, task)
        for split_id, split, dataset_id, dataset, task in rows
    }
