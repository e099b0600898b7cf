"""Launching an experiment: one transaction, once per launch key."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import Session, select

from app.catalog.shelf import Shelf, read_shelf
from app.clock import in_seconds, now
from app.config import settings
from app.datasets.make_folds import Drawing, keep_splits
from app.datasets.validation import FromTrain, with_validation
from app.errors import Conflict, Invalid
from app.experiments.designs import Design, make_cells
from app.experiments.money import check_cap, keep_cap, reserve_run, service_facts, with_money
from app.experiments.plan import Plan, make_plan
from app.experiments.planned import GridRow, PlannedModel, PlannedRun
from app.lab.actor import Actor, find, require_member
from app.lab.audit import record
from app.lab.budgets import lock_money
from app.lab.money_notes import tell_low
from app.queue import ADVANCE_RUN, enqueue
from app.runs.augment import check_augment
from app.runs.lock import VALIDATION
from app.runs.steps import wait_seconds
from app.settings.machines import by_hand, spots
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
    design: Design = field(default_factory=Design)
    # {"name", "parameters", "rewrites", "seed"}, what is left out has its default; {} for none.
    augment: Mapping[str, Any] = field(default_factory=dict)
    # "validation" locks the test set until a person unlocks it.
    choose_on: str = ""
    # A validation part drawn from the train part of a file that names none.
    validation: FromTrain = field(default_factory=FromTrain)
    # What the whole experiment may cost, in dollars; None: as the budgets say.
    cap_dollars: float | None = None


def plan_experiment(session: Session, actor: Actor, request: LaunchRequest) -> Plan:
    """The plan of a launch, without launching."""
    data = asked_data(session, actor, request)
    return plan_data(session, actor, *data, request, read_shelf(session, actor))


def plan_data(
    session: Session, actor: Actor, dataset: Dataset, split: Split, request: LaunchRequest, shelf: Shelf
) -> Plan:
    """The plan over data that were found already; raises Invalid for what cannot be planned."""
    if request.choose_on not in ("", VALIDATION):
        raise Invalid(
            f"Models cannot be chosen on {request.choose_on[:50]!r}.",
            'Write "validation", or leave it out.',
            {"choose_on": "validation or nothing"},
        )
    augment = check_augment(request.augment)
    cells = make_cells(session, dataset, split, request.design)
    places = spots(session, actor) if any(row.compute for row in request.grid) else {}
    plan = make_plan(
        cells, request.grid, request.seeds, request.design, augment, request.choose_on, shelf, places
    )
    return with_money(session, actor, plan, check_cap(request.cap_dollars))


def launch_experiment(session: Session, actor: Actor, request: LaunchRequest) -> Experiment:
    """Makes the experiment and its runs, queued. The same launch key again returns what it made first.

    Raises Invalid with the plan's first problem, when it has any.
    """
    require_member(actor, "launch runs")
    if (same := _launched(session, actor, request.launch_key)) is not None:
        return same
    dataset, split = asked_data(session, actor, request)
    if split.id is None:
        split.maker_id = actor.member_id
        session.add(split)
        session.flush()
    # From here to the commit nobody else spends in the project.
    lock_money(session, actor.project_id)
    # Sent twice at once, the second had to wait for the first.
    if (same := _launched(session, actor, request.launch_key)) is not None:
        return same
    plan = plan_data(session, actor, dataset, split, request, read_shelf(session, actor))
    if not plan.rows:
        raise Invalid("No model is chosen.", "Tick at least one model.", {"models": "tick at least one"})
    if plan.problems:
        raise Invalid(
            plan.problems[0], "Mend what the plan shows, then launch.", {"models": " ".join(plan.problems)}
        )
    base, splits = _keep_splits(session, actor, dataset, split, plan)
    experiment = Experiment(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        name=request.name.strip()[:200] or f"{dataset.name}, {base.name}"[:200],
        dataset_id=request.dataset_id,
        split_id=base.id or 0,
        seeds=list(request.seeds),
        grid=[_kept(row) for row in plan.rows],
        design=plan.design.to_json(),
        augment=dict(plan.augment),
        choose_on=plan.choose_on,
        launch_key=request.launch_key,
    )
    session.add(experiment)
    session.flush()
    keep_cap(session, actor, experiment, check_cap(request.cap_dollars))
    _make_runs(session, actor, experiment, plan, dataset, splits)
    runs = sum(len(row.runs) for row in plan.rows)
    tell_low(session, actor)
    record(session, actor, "launched", "experiment", experiment.id, name=experiment.name, runs=runs)
    return experiment


def _launched(session: Session, actor: Actor, key: str) -> Experiment | None:
    """What was launched under this key before. Raises Conflict where that was in another project."""
    same = session.exec(select(Experiment).where(Experiment.launch_key == key)).first()
    if same is not None and same.project_id != actor.project_id:
        raise Conflict("This launch key is taken.", "Open the launch page again.")
    return same


def _make_runs(
    session: Session,
    actor: Actor,
    experiment: Experiment,
    plan: Plan,
    dataset: Dataset,
    splits: Mapping[int, Split],
) -> None:
    """Each with its money reserved; those that have room are nudged."""
    local = 0
    for row in plan.rows:
        machine_id = (row.spot.id or by_hand(session, actor).id) if row.spot else None
        for one in row.runs:
            run = make_run(experiment, row, one, dataset, splits[id(one.cell)], machine_id)
            # One message per free place is enough: each run that ends nudges the next one. Services have room.
            waits = row.here and local >= settings().local_slots
            run.due_at = in_seconds(wait_seconds(local)) if waits else None
            local += row.here
            session.add(run)
            session.flush()
            reserve_run(session, actor, row, run)
            if run.due_at is None:
                enqueue(session, ADVANCE_RUN, run.id or 0)


def _kept(row: PlannedModel) -> dict[str, Any]:
    """One line of the plan as the experiment keeps it."""
    kept = {"model": row.model.id, "hyperparameters": row.asked}
    return kept | ({"compute": row.spot.name} if row.spot else {})


def _keep_splits(
    session: Session, actor: Actor, dataset: Dataset, split: Split, plan: Plan
) -> tuple[Split, dict[int, Split]]:
    """The experiment's own split (where folds are pooled: the pooled one), and each cell's by the cell's id()."""
    drawings: list[Drawing] = [cell.drawing for cell in plan.cells.cells if cell.drawing]
    pooled = [plan.cells.pooled] if plan.cells.pooled else []
    rows = keep_splits(session, dataset, actor.member_id, [*pooled, *drawings]) if pooled or drawings else []
    base = rows[0] if pooled else split
    of_drawing = {id(drawing): row for drawing, row in zip([*pooled, *drawings], rows, strict=True)}
    return base, {id(cell): of_drawing.get(id(cell.drawing), split) for cell in plan.cells.cells}


def make_run(
    experiment: Experiment,
    row: PlannedModel,
    planned: PlannedRun,
    dataset: Dataset,
    split: Split,
    machine_id: int | None,
) -> Run:
    """One run of the launch, not stored yet."""
    return Run(
        project_id=experiment.project_id,
        maker_id=experiment.maker_id,
        experiment_id=experiment.id or 0,
        dataset_id=experiment.dataset_id,
        split_id=split.id or 0,
        model=row.model.id,
        seed=planned.seed,
        variant=planned.variant,
        fold=planned.cell.fold,
        launch_key=f"tb-{secrets.token_hex(8)}",
        machine_id=machine_id,
        ledger=planned.ledger,
        estimate=planned.estimate,
        snapshot={
            **snapshot(dataset, split),
            "seed": planned.seed,
            "code": code_version(),
            "launched": now().isoformat(timespec="seconds"),
            **service_facts(row),
            **({"compute": {"name": row.spot.name, "kind": row.spot.label}} if row.spot else {}),
            **({"design": dict(planned.cell.about)} if planned.cell.about else {}),
            **({"augment": experiment.augment} if experiment.augment else {}),
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


def asked_data(session: Session, actor: Actor, request: LaunchRequest) -> tuple[Dataset, Split]:
    """The dataset, and the split with the validation part that was asked for: then it may not be stored yet."""
    dataset, split = data_of(session, actor, request.dataset_id, request.split_id)
    if not request.validation.share:
        return dataset, split
    if request.design.pooled:
        raise Invalid(
            "Folds have no validation part, so none is drawn from train.",
            "Leave the share of train empty, or choose one split.",
            {"validation": "not with folds"},
        )
    return dataset, with_validation(session, dataset, split, request.validation)


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
