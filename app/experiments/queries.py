"""Reads experiments for pages and the API."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.datasets.leaks import ceiling_of, ceiling_sentence
from app.evaluations.leaderboard import MOST_COMPARED, LeaderboardRow, leaderboard
from app.evaluations.looks import Looks, count_looks
from app.experiments.designs import describe
from app.experiments.folds import FoldLine, by_fold
from app.experiments.lock import LockView, lock_view
from app.harnesses import Harness, harnesses
from app.lab.actor import Actor, find, owned
from app.lab.reservations import MoneyLine, experiment_money
from app.runs.augment import describe_augment
from app.tables import ACTIVE, Dataset, Experiment, Run, RunState, Split

PAGE = 50


@dataclass(frozen=True)
class ExperimentLine:
    """One line of the list."""

    id: int
    name: str
    dataset: str
    runs: int
    done: int
    failed: int
    active: int
    state: str
    created_at: datetime


@dataclass(frozen=True)
class ExperimentView:
    """An experiment with its leaderboard."""

    id: int
    name: str
    dataset: Dataset
    split: Split
    state: str
    seeds: list[int]
    grid: list[dict[str, Any]]
    rows: list[LeaderboardRow]
    created_at: datetime
    # "all" or "unseen": which test items the scores of the rows are on.
    subset: str
    ceiling: str
    # How it is tested and how train items were multiplied, as stored and in sentences.
    design: dict[str, Any]
    augment: dict[str, Any]
    said: tuple[str, ...]
    lock: LockView
    looks: Looks
    # All runs, with those of folds whose pooled run stands in `rows`; and these folds by model.
    everything: list[LeaderboardRow]
    folds: list[FoldLine]
    # What its runs have reserved and cost; None where nothing is paid for.
    money: MoneyLine | None

    @property
    def harnesses(self) -> list[Harness]:
        """What the test items can be written for as a task."""
        return list(harnesses().values())

    @property
    def unseen(self) -> int:
        """How many test items do not stand in train too; 0 when that is all of them."""
        return max((row.unseen or 0 for row in self.rows), default=0)

    @property
    def active(self) -> bool:
        """Whether any run is still under way."""
        return any(row.active for row in self.everything)

    @property
    def scored(self) -> list[LeaderboardRow]:
        """The runs that have scores."""
        return [row for row in self.rows if row.scoring_id is not None]

    @property
    def ticked(self) -> set[int]:
        """The runs that are chosen for a comparison at first: the best ones, as many as it takes."""
        return {row.run_id for row in self.scored[:MOST_COMPARED]}

    @property
    def curve(self) -> str:
        """The address of the learning curve over all runs; empty where the design has none to show."""
        if self.design.get("kind") != "sizes" or self.lock.locked or len(self.scored) < 2:
            return ""
        return f"/compare/plots/learning_curve?runs={','.join(str(row.run_id) for row in self.scored)}"


def state_of(states: list[str]) -> str:
    """An experiment's state, read off its runs: running, queued, done, failed (none succeeded) or cancelled."""
    if any(state in ACTIVE for state in states):
        return "queued" if all(state == RunState.QUEUED for state in states) else "running"
    for state in (RunState.DONE, RunState.PAUSED, RunState.FAILED):
        if state in states:
            return str(state)
    return "cancelled" if states else "queued"


def list_experiments(session: Session, actor: Actor, before: int | None = None) -> list[ExperimentLine]:
    """The newest experiments, at most PAGE, older than `before`."""
    query = owned(actor, Experiment).order_by(col(Experiment.id).desc()).limit(PAGE)
    if before is not None:
        query = query.where(col(Experiment.id) < before)
    experiments = list(session.exec(query))
    names = dict(
        session.exec(
            select(Dataset.id, Dataset.name).where(
                col(Dataset.id).in_({row.dataset_id for row in experiments})
            )
        ).all()
    )
    states: dict[int, list[str]] = {}
    for experiment_id, state, n in session.exec(
        select(Run.experiment_id, Run.state, func.count())
        .where(col(Run.experiment_id).in_([row.id for row in experiments]))
        .group_by(col(Run.experiment_id), col(Run.state))
    ):
        states.setdefault(experiment_id, []).extend([state] * n)
    return [_line(row, names[row.dataset_id], states.get(row.id, [])) for row in experiments]


def _line(experiment: Experiment, dataset: str, states: list[str]) -> ExperimentLine:
    return ExperimentLine(
        experiment.id or 0,
        experiment.name,
        dataset,
        len(states),
        states.count(RunState.DONE),
        states.count(RunState.FAILED),
        sum(state in ACTIVE for state in states),
        state_of(states),
        experiment.created_at,
    )


def experiment_view(
    session: Session, actor: Actor, experiment_id: int, subset: str = "all"
) -> ExperimentView:
    """One experiment with all its runs, scored on "all" test items or on the "unseen" ones."""
    experiment: Experiment = find(session, actor, Experiment, experiment_id)
    rows = leaderboard(session, actor, [col(Run.experiment_id) == experiment_id], subset)
    dataset, split = (
        session.get_one(Dataset, experiment.dataset_id),
        session.get_one(Split, experiment.split_id),
    )
    shown, folds = by_fold(rows, split)
    said = (describe(experiment.design, len(split.groups)), describe_augment(experiment.augment))
    return ExperimentView(
        experiment_id,
        experiment.name,
        dataset,
        split,
        state_of([row.state for row in rows]),
        experiment.seeds,
        experiment.grid,
        shown,
        experiment.created_at,
        subset,
        ceiling_sentence(ceiling_of(dataset, split)),
        experiment.design,
        experiment.augment,
        tuple(text for text in said if text),
        lock_view(session, experiment),
        count_looks(session, experiment),
        rows,
        folds,
        experiment_money(session, experiment_id),
    )
