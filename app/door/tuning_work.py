"""From a tuning job's files to its run: a dataset, its check, an experiment with one run. Called by workers/door.py.

Each step saves in a transaction that confirms the job's lease; a killed worker's job goes on where it stood.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, select

from app.catalog.models import find_model
from app.catalog.shelf import read_shelf
from app.clock import in_seconds, now
from app.db import session_scope
from app.door.maker import maker_of
from app.door.token_money import token_left
from app.door.tuning_data import make_dataset, split_of
from app.door.tuning_values import RATE, own_values
from app.errors import Invalid, NotFound
from app.experiments.planned import GridRow
from app.experiments.service import LaunchRequest, launch_experiment, plan_experiment
from app.lab.actor import Actor
from app.lab.budgets import lock_money
from app.tables import Dataset, DatasetState, DoorFile, DoorJob, DoorJobState, Run

Save = Callable[[], AbstractContextManager[Session]]
LOOK_SECONDS = 0.5
PROBLEMS_NAMED = 3


def advance(job: DoorJob, save: Save) -> None:
    """The next step: to its dataset, or from there to its run. What cannot be done ends the job with a sentence."""
    try:
        if job.cancel_asked:
            with save() as session:
                end(session, job, DoorJobState.CANCELLED)
        elif job.dataset_id is None:
            _make_dataset(job, save)
        else:
            _launch_if_ready(job, save)
    except (Invalid, NotFound) as error:
        param = next((name for name in error.fields if name.endswith("_file")), next(iter(error.fields), ""))
        fail(job, save, error.message, error.hint, param)


def fail(job: DoorJob, save: Save, message: str, hint: str, param: str = "") -> None:
    """Ends the job with what was wrong, and the parameter that it concerns."""
    with save() as session:
        said = " ".join(part for part in (message, hint) if part)
        end(session, job, DoorJobState.FAILED, error=said[:2000], error_param=param[:60])


def end(session: Session, job: DoorJob, state: DoorJobState, **values: Any) -> None:
    """The job's last state; with a run the rest is read off that."""
    _update(session, job, state=state, due_at=None, ended_at=now(), **values)


def _update(session: Session, job: DoorJob, **values: Any) -> None:
    session.execute(update(DoorJob).where(col(DoorJob.id) == job.id).values(**values))


def _make_dataset(job: DoorJob, save: Save) -> None:
    with session_scope(write=False) as session:
        actor = maker_of(session, job)
        training = session.get_one(DoorFile, job.training_file_id)
        validation = session.get_one(DoorFile, job.validation_file_id) if job.validation_file_id else None

    def keep(session: Session, dataset_id: int) -> None:
        _update(session, job, dataset_id=dataset_id, due_at=in_seconds(LOOK_SECONDS))
        session.execute(update(DoorFile).where(col(DoorFile.id) == training.id).values(dataset_id=dataset_id))

    make_dataset(actor, training, validation, keep, save)


def _launch_if_ready(job: DoorJob, save: Save) -> None:
    with session_scope(write=False) as session:
        dataset = session.get_one(Dataset, job.dataset_id)
    if dataset.state == DatasetState.REFUSED:
        fail(job, save, _why_refused(dataset), "", "training_file")
    elif dataset.state == DatasetState.READY:
        with save() as session:
            _launch(session, job, dataset)
    else:
        with save() as session:
            _update(session, job, due_at=in_seconds(LOOK_SECONDS))


def _why_refused(dataset: Dataset) -> str:
    found = []
    for problem in dataset.problems[:PROBLEMS_NAMED]:
        line = f"Line {problem['line']}: " if problem["line"] else ""
        found.append(f"{line}{problem['message']} {problem['hint']}".strip())
    more = dataset.problem_count - len(found)
    return (
        "The data cannot be used. "
        + " ".join(found)
        + (f" There are {more:,} more such lines." if more > 0 else "")
    )


def _launch(session: Session, job: DoorJob, dataset: Dataset) -> None:
    """One transaction: the split, the experiment with its run, and the job that names them."""
    asked = session.exec(select(DoorJob.cancel_asked).where(DoorJob.id == job.id)).one()
    if asked:
        end(session, job, DoorJobState.CANCELLED)
        return
    actor = maker_of(session, job)
    split = split_of(session, actor, dataset, job.validation_file_id is not None)
    request = LaunchRequest(
        dataset.id or 0,
        split.id or 0,
        _name(session, job),
        [GridRow(job.model, _values(session, actor, job, dataset.id or 0, split.id or 0))],
        [job.seed],
        launch_key=f"door-{job.public_id}",
        cap_dollars=_cap(session, actor, job),
    )
    experiment = launch_experiment(session, actor, request)
    runs = session.exec(select(Run.id).where(Run.experiment_id == experiment.id)).all()
    if len(runs) != 1:
        raise Invalid(
            f"These values make {len(runs)} runs, and a tuning job is one.",
            "Give one value for each.",
            {"hyperparameters": "one value each"},
        )
    _update(
        session, job, state=DoorJobState.LAUNCHED, experiment_id=experiment.id, run_id=runs[0], due_at=None
    )


def _cap(session: Session, actor: Actor, job: DoorJob) -> float | None:
    """What the run may cost by the budget of the token that asked for it; a model that costs nothing needs none."""
    if not find_model(job.model, read_shelf(session, actor)).remote:
        return None
    lock_money(session, actor.project_id)
    left = token_left(session, job.token_id)
    if left == 0:
        raise Invalid(
            "The budget of the token that asked for this is used up.", "Ask an admin for a larger one."
        )
    return None if left is None else left / 1e6


def _name(session: Session, job: DoorJob) -> str:
    return job.suffix or f"{session.get_one(DoorFile, job.training_file_id).name}, {job.model}"


def _values(session: Session, actor: Actor, job: DoorJob, dataset_id: int, split_id: int) -> dict[str, Any]:
    """The hyperparameters in our names; a multiplier of the learning rate becomes the rate itself."""
    model = find_model(job.model, read_shelf(session, actor))
    values = own_values(model, job.method)
    if values.rate_times == 1.0:
        return values.asked
    request = LaunchRequest(dataset_id, split_id, "", [GridRow(job.model, values.asked)], [job.seed])
    suggested = plan_experiment(session, actor, request).rows[0].values[RATE]
    return {**values.asked, RATE: suggested * values.rate_times}
