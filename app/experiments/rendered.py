"""The files that the runs of a plan would be given, without launching: anyone can check them with the toolkit's own
validator. Called by the API's dry run."""

from dataclasses import replace
from typing import Any

from sqlmodel import Session

from app.experiments.plan import Plan
from app.experiments.planned import PlannedModel, PlannedRun
from app.experiments.service import LaunchRequest, asked_data, make_run
from app.lab.actor import Actor
from app.runs.lock import VALIDATION
from app.runs.prepare import has_gpu, make_job, render
from app.tables import Dataset, Experiment, Machine, Split

# The same in every bundle, or the machine's own.
LEFT_OUT = ("run.sh", "README.md", "here.json")
# A launch may have hundreds of runs that differ by their seed alone.
MOST_RUNS = 60


def rendered_plan(
    session: Session, actor: Actor, request: LaunchRequest, plan: Plan
) -> list[list[dict[str, Any]]]:
    """For each line of the plan its runs, [{"variant", "seed", "files": {name: text}}]; none for a line that a service
    trains, whose request is its ledger, or that cannot be launched. At most the first MOST_RUNS runs in all."""
    dataset, split = asked_data(session, actor, request)
    shown: list[list[dict[str, Any]]] = []
    left = MOST_RUNS
    for row in plan.rows:
        local = not row.model.remote and not row.problems
        runs = (
            [_one(session, actor, dataset, split, row, run, plan) for run in row.runs[:left]] if local else []
        )
        left -= len(runs)
        shown.append(runs)
    return shown


def _one(
    session: Session,
    actor: Actor,
    dataset: Dataset,
    split: Split,
    row: PlannedModel,
    planned: PlannedRun,
    plan: Plan,
) -> dict[str, Any]:
    experiment = Experiment(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        dataset_id=dataset.id or 0,
        split_id=split.id or 0,
        name="",
        launch_key="",
    )
    run = make_run(experiment, row, planned, dataset, split, None)
    run.launch_key = "tb-made-at-launch"
    predict = ("validation", "test") if plan.choose_on == VALIDATION else ("test",)
    machine = session.get(Machine, row.spot.id) if row.spot and row.spot.id else None
    gpu = has_gpu(machine) if row.spot is None or machine else False
    own = planned.cell.facts
    counts = {"train": own.train_items, "validation": own.validation_items, "test": own.test_items}
    job = replace(make_job(run, dataset, split, predict), gpu=gpu, counts=counts)
    files = {name: text for name, text in render(job).files.items() if name not in LEFT_OUT}
    return {"variant": planned.variant, "seed": planned.seed, "files": files}
