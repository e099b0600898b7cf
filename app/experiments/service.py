"""Launching an experiment: one transaction, once per launch key."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlmodel import Session, select

from app.clock import in_seconds, now
from app.config import settings
from app.errors import Conflict, Invalid
from app.experiments.plan import GridRow, Plan, PlannedModel, data_facts, make_plan
from app.lab.actor import Actor, find
from app.queue import ADVANCE_RUN, enqueue
from app.runs.steps import wait_seconds
from app.tables import Dataset, DatasetState, Experiment, Run, Split
from app.version import code_version


@dataclass(frozen=True)
class LaunchRequest:
    """What a person asks to launch."""

    dataset_id: int
    split_id: int
    name: str
    grid: Sequence[GridRow]
    seeds: Sequence[int]
    launch_key: str = field(default_factory=lambda: secrets.token_hex(12))


def plan_experiment(session: Session, actor: Actor, request: LaunchRequest) -> Plan:
    """The plan of a launch, without launching."""
    dataset, split = data_of(session, actor, request.dataset_id, request.split_id)
    return make_plan(data_facts(dataset, split), request.grid, request.seeds)


def launch_experiment(session: Session, actor: Actor, request: LaunchRequest) -> Experiment:
    """Makes the experiment and its runs, queued. The same launch key again returns what it made first.

    Raises Invalid with the plan's first problem, when it has any.
    """
    same = session.exec(select(Experiment).where(Experiment.launch_key == request.launch_key)).first()
    if same is not None:
        if same.project_id != actor.project_id:
            raise Conflict("This launch key is taken.", "Open the launch page again.")
        return same
    dataset, split = data_of(session, actor, request.dataset_id, request.split_id)
    plan = make_plan(data_facts(dataset, split), request.grid, request.seeds)
    if not plan.rows:
        raise Invalid("No model is chosen.", "Tick at least one model.", {"models": "tick at least one"})
    if plan.problems:
        raise Invalid(
            plan.problems[0], "Mend what the plan shows, then launch.", {"models": " ".join(plan.problems)}
        )
    experiment = Experiment(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        name=request.name.strip()[:200] or f"{dataset.name}, {split.name}",
        dataset_id=request.dataset_id,
        split_id=request.split_id,
        seeds=list(request.seeds),
        grid=[{"model": row.model.id, "hyperparameters": row.asked} for row in plan.rows],
        launch_key=request.launch_key,
    )
    session.add(experiment)
    session.flush()
    cells = [(row, seed) for row in plan.rows for seed in row.seeds]
    for place, (row, seed) in enumerate(cells):
        run = _make_run(experiment, row, seed, snapshot(dataset, split))
        # One message per free place is enough: each run that ends nudges the next one.
        run.due_at = in_seconds(wait_seconds(place)) if place >= settings().local_slots else None
        session.add(run)
        session.flush()
        if run.due_at is None:
            enqueue(session, ADVANCE_RUN, run.id or 0)
    return experiment


def _make_run(experiment: Experiment, row: PlannedModel, seed: int | None, data: dict[str, object]) -> Run:
    return Run(
        project_id=experiment.project_id,
        maker_id=experiment.maker_id,
        experiment_id=experiment.id or 0,
        dataset_id=experiment.dataset_id,
        split_id=experiment.split_id,
        model=row.model.id,
        seed=seed,
        launch_key=f"tb-{secrets.token_hex(8)}",
        ledger=row.ledger,
        estimate=row.estimate,
        snapshot={
            **data,
            "seed": seed,
            "code": code_version(),
            "launched": now().isoformat(timespec="seconds"),
        },
    )


def snapshot(dataset: Dataset, split: Split) -> dict[str, object]:
    """What a run was made from, as stored with it."""
    return {
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        "split": split.name,
        "split_sha256": split.sha256,
        "counts": split.counts,
        "task": dataset.task,
        "labels": dataset.labels,
    }


def data_of(session: Session, actor: Actor, dataset_id: int, split_id: int) -> tuple[Dataset, Split]:
    """A ready dataset and one of its splits; raises NotFound or Invalid."""
    dataset = find(session, actor, Dataset, dataset_id)
    split = find(session, actor, Split, split_id)
    if dataset.state != DatasetState.READY:
        raise Invalid(
            f"The dataset is {dataset.state}, not ready.", "Wait for its check to end, or upload it again."
        )
    if split.dataset_id != dataset.id:
        raise Invalid("This split belongs to another dataset.", "Choose one of this dataset's splits.")
    return dataset, split
