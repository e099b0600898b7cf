"""Reads the first page: a fixed number of SQL queries, however much there is."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.catalog.models import model_label
from app.clock import now
from app.datasets.service import can_map
from app.evaluations.leaderboard import model_colours
from app.format import duration
from app.home.alerts import Alerts, alerts
from app.home.ending import Ending, ending_models
from app.home.newest import ExperimentRow, newest_experiments
from app.lab.actor import Actor, owned
from app.runs.orphans import OrphanLine, orphan_lines
from app.shapes import Axis
from app.tables import ACTIVE, Dataset, DatasetState, Experiment, Run, RunState

DATASETS, RUNNING, WAITING, TROUBLES = 6, 8, 3, 5
TROUBLE_AGE = timedelta(days=14)
NEEDS_A_PERSON = (RunState.FAILED, RunState.PAUSED, RunState.UNKNOWN)


@dataclass(frozen=True)
class RunningRow:
    """One run under way."""

    id: int
    label: str
    seed: int | None
    experiment: str
    colour: int
    state: str
    progress: float | None
    note: str
    left: str


@dataclass(frozen=True)
class UnderWay:
    """What runs now: at most RUNNING rows, of those that wait at most WAITING; `total` and `queued` count all."""

    rows: list[RunningRow]
    total: int
    queued: int


@dataclass(frozen=True)
class Trouble:
    """Something that needs a person."""

    title: str
    href: str
    what: str
    mend: str
    when: datetime


@dataclass(frozen=True)
class DatasetRow:
    """One of the newest datasets."""

    id: int
    name: str
    state: str
    items: int
    task: str
    classes: int
    created_at: datetime


@dataclass(frozen=True)
class HomeView:
    """The whole page; `new` when nothing was ever uploaded or launched."""

    under_way: UnderWay
    troubles: list[Trouble]
    experiments: list[ExperimentRow]
    datasets: list[DatasetRow]
    ending: Ending
    orphans: list[OrphanLine]
    alerts: Alerts

    @property
    def new(self) -> bool:
        """Whether to explain the three steps."""
        return not self.experiments

    @property
    def axis(self) -> Axis | None:
        """The axis that all experiments share, for the head of the table."""
        return next((row.axis for row in self.experiments if row.axis), None)

    @property
    def launchable(self) -> DatasetRow | None:
        """The newest dataset that is ready."""
        return next((row for row in self.datasets if row.state == DatasetState.READY), None)


def home_view(session: Session, actor: Actor) -> HomeView:
    """Everything the first page shows."""
    return HomeView(
        under_way(session, actor),
        _troubles(session, actor),
        newest_experiments(session, actor),
        _datasets(session, actor),
        ending_models(session, actor),
        orphan_lines(session, actor),
        alerts(session, actor),
    )


def under_way(session: Session, actor: Actor) -> UnderWay:
    """What runs now, then what runs next."""
    counts = dict(
        session.exec(
            select(Run.state, func.count())
            .where(Run.project_id == actor.project_id, col(Run.state).in_(ACTIVE))
            .group_by(col(Run.state))
        ).all()
    )
    if not counts:
        return UnderWay([], 0, 0)
    waits = col(Run.state) == RunState.QUEUED
    query = owned(actor, Run).where(col(Run.state).in_(ACTIVE)).order_by(waits, col(Run.id)).limit(RUNNING)
    found = list(session.exec(query))
    waiting = [run for run in found if run.state == RunState.QUEUED][:WAITING]
    runs = [run for run in found if run.state != RunState.QUEUED] + waiting
    names = _names(session, Experiment, {run.experiment_id for run in runs})
    colours = model_colours(session, {run.experiment_id for run in runs})
    rows = [_running(run, names[run.experiment_id], colours[run.experiment_id, run.model]) for run in runs]
    return UnderWay(rows, sum(counts.values()), counts.get(RunState.QUEUED, 0))


def _running(run: Run, experiment: str, colour: int) -> RunningRow:
    measured = run.state not in (RunState.QUEUED, RunState.PREPARING, RunState.SUBMITTING)
    return RunningRow(
        run.id or 0,
        model_label(run.model),
        run.seed,
        experiment,
        colour,
        "cancelling" if run.cancel_asked else run.state,
        run.progress if measured else None,
        run.progress_note,
        f"{duration(run.seconds_left)} left" if run.seconds_left is not None else "",
    )


def _names(session: Session, table: type[Any], ids: set[int]) -> dict[int, str]:
    return dict(session.exec(select(table.id, table.name).where(table.id.in_(ids))).all())


def _troubles(session: Session, actor: Actor) -> list[Trouble]:
    """The newest refused datasets, and runs that failed or stopped and wait for a person, of the last
    two weeks, newest first."""
    since = now() - TROUBLE_AGE
    refused = owned(actor, Dataset).where(Dataset.state == DatasetState.REFUSED, Dataset.created_at > since)
    failed = owned(actor, Run).where(col(Run.state).in_(NEEDS_A_PERSON), Run.created_at > since)
    troubles = [
        Trouble(
            row.name,
            f"/datasets/{row.id}",
            f"Refused: {_first_problem(row)}",
            "Say which column is which." if can_map(row) else "Mend the file and upload it again.",
            row.created_at,
        )
        for row in session.exec(refused.order_by(col(Dataset.id).desc()).limit(TROUBLES))
    ]
    troubles += [
        Trouble(
            model_label(run.model) + (f", seed {run.seed}" if run.seed is not None else ""),
            f"/runs/{run.id}",
            run.error or f"It is {run.state}.",
            run.hint,
            run.ended_at or run.created_at,
        )
        for run in session.exec(failed.order_by(col(Run.id).desc()).limit(TROUBLES))
    ]
    return sorted(troubles, key=lambda trouble: trouble.when, reverse=True)[:TROUBLES]


def _first_problem(dataset: Dataset) -> str:
    first = dataset.problems[0]["message"] if dataset.problems else "it cannot be read."
    more = dataset.problem_count - 1
    return f"{first} ({more:,} more)" if more > 0 else first


def _datasets(session: Session, actor: Actor) -> list[DatasetRow]:
    rows = session.exec(owned(actor, Dataset).order_by(col(Dataset.id).desc()).limit(DATASETS))
    return [
        DatasetRow(row.id or 0, row.name, row.state, row.items, row.task, len(row.labels), row.created_at)
        for row in rows
    ]
