"""Tuning jobs of the door: made, listed, cancelled. Called by tuning_api.py; the work is in tuning_work.py."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import update
from sqlmodel import Session, col

from app.catalog.model import Model
from app.catalog.models import find_model
from app.catalog.shelf import read_shelf
from app.door.files import FINE_TUNE, find_file
from app.door.ids import asked_key, check_labels, check_letters, find_public, new_id, rows_after
from app.door.tuning_values import METHODS, SUPERVISED, own_values
from app.errors import Conflict, Invalid, NotFound
from app.lab.actor import Actor, owned, require_member
from app.lab.budgets import lock_money
from app.queue import LAUNCH_JOB, enqueue
from app.runs.service import cancel_run
from app.tables import DoorFile, DoorJob, DoorJobState

JOB = "fine-tuning job"


class Part(BaseModel):
    """The hyperparameters of one method: OpenAI's names, and our own."""

    model_config = ConfigDict(extra="forbid")

    hyperparameters: dict[str, Any] | None = None


class Method(BaseModel):
    """How it learns."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["supervised", "dpo", "reinforcement"]
    supervised: Part | None = None
    dpo: Part | None = None
    reinforcement: dict[str, Any] | None = None


class JobAsked(BaseModel):
    """POST /v1/fine_tuning/jobs, as OpenAI has it."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(min_length=1, max_length=300)
    training_file: str = Field(min_length=1, max_length=60)
    validation_file: str | None = Field(None, max_length=60)
    suffix: str | None = Field(None, max_length=64)
    seed: int | None = Field(None, ge=0, lt=2**31)
    hyperparameters: dict[str, Any] | None = None
    method: Method | None = None
    metadata: dict[str, str] | None = None
    integrations: list[Any] | None = None


def create_job(session: Session, actor: Actor, asked: JobAsked, key: str | None = None) -> DoorJob:
    """Makes the job, whose files are looked at next. The same Idempotency-Key again gives the same job.

    Raises Invalid with the parameter that cannot be used.
    """
    require_member(actor, "launch runs")
    if asked.integrations:
        raise Invalid(
            "Integrations are not offered: curves and events are on the run's page.",
            "Leave `integrations` out.",
            {"integrations": "none are offered"},
        )
    method, model = read_method(asked), base_model(session, actor, asked.model)
    job = DoorJob(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        token_id=actor.token_id or None,
        public_id=new_id("ftjob-"),
        training_file_id=_file(session, actor, "training_file", asked.training_file).id or 0,
        validation_file_id=_file(session, actor, "validation_file", asked.validation_file).id
        if asked.validation_file
        else None,
        model=model.id,
        suffix=check_suffix(asked.suffix or ""),
        seed=1 if asked.seed is None else asked.seed,
        method=method,
        labels=check_labels(asked.metadata),
        asked_key=asked_key(key),
        remarks=own_values(model, method).remarks,
    )
    if same := _made_before(session, actor, job):
        return same
    session.add(job)
    session.flush()
    enqueue(session, LAUNCH_JOB, job.id or 0)
    return job


def read_method(asked: JobAsked) -> dict[str, Any]:
    """The method as it is kept: {"type": "supervised", "supervised": {"hyperparameters": {...}}}; the older place of
    hyperparameters beside it counts too. Raises Invalid for reinforcement, and for values of another method."""
    method = asked.method or Method(type=SUPERVISED)
    if method.type not in METHODS or method.reinforcement:
        raise Invalid(
            "Reinforcement tuning is not offered.",
            'Write {"type": "supervised"} or {"type": "dpo"}.',
            {"method": "supervised or dpo"},
        )
    other = method.dpo if method.type == SUPERVISED else method.supervised
    own = method.supervised if method.type == SUPERVISED else method.dpo
    if other is not None and other.hyperparameters:
        raise Invalid(
            f"The method is {method.type}, but hyperparameters of the other one are given.",
            "Give those of the method alone.",
            {"method": f"only {method.type}"},
        )
    check_letters([own and own.hyperparameters, asked.hyperparameters], "hyperparameters")
    values = {**(asked.hyperparameters or {}), **((own and own.hyperparameters) or {})}
    return {"type": method.type, method.type: {"hyperparameters": values}}


def check_suffix(suffix: str) -> str:
    """A part of the model's name; colons part its pieces, so none stands in it."""
    if ":" in suffix or not suffix.isprintable():
        raise Invalid(
            f"The suffix {suffix!r} cannot stand in a model's name.",
            "Use letters, digits, dots and dashes.",
            {"suffix": "no colon"},
        )
    return suffix.strip()


def base_model(session: Session, actor: Actor, name: str) -> Model:
    """A model that can be tuned, or a baseline. Raises Invalid where it cannot."""
    model = find_model(name, read_shelf(session, actor))
    if model.kind == "prompt":
        raise Invalid(
            f"{model.label} answers, but cannot be tuned.", "See /models.", {"model": "cannot be tuned"}
        )
    if model.unavailable:
        raise Invalid(
            f"{model.label} cannot run here: {model.unavailable.rstrip('.')}.",
            "See /models.",
            {"model": "cannot run here"},
        )
    return model


def _file(session: Session, actor: Actor, param: str, public_id: str) -> DoorFile:
    """A file for tuning; an error names the parameter."""
    try:
        file = find_file(session, actor, public_id)
    except NotFound as error:
        raise Invalid(error.message, error.hint, {param: "no such file"}) from error
    if file.purpose != FINE_TUNE:
        raise Invalid(
            f"The file {public_id} was sent for the purpose {file.purpose!r}.",
            f'Send it again with the purpose "{FINE_TUNE}".',
            {param: f"not for {FINE_TUNE}"},
        )
    return file


def _made_before(session: Session, actor: Actor, job: DoorJob) -> DoorJob | None:
    """What the same key made; Conflict where it asked for something else."""
    if job.asked_key is None:
        return None
    # Two requests with one key at once: the second waits here for the first.
    lock_money(session, actor.project_id)
    same: DoorJob | None = session.exec(
        owned(actor, DoorJob).where(DoorJob.asked_key == job.asked_key)
    ).first()
    names = ("model", "training_file_id", "validation_file_id", "suffix", "method", "labels", "seed")
    if same and any(getattr(same, name) != getattr(job, name) for name in names):
        raise Conflict(
            f"This Idempotency-Key made {same.public_id} from other values.", "Send a new key with a new job."
        )
    return same


def find_job(session: Session, actor: Actor, public_id: str) -> DoorJob:
    """A job of the actor's project; else NotFound."""
    found: DoorJob = find_public(session, actor, DoorJob, public_id, JOB)
    return found


def jobs(
    session: Session, actor: Actor, after: str | None, labels: Mapping[str, str] | None
) -> Iterable[DoorJob]:
    """The project's jobs, newest first, whose metadata has all of `labels`; with {} those without any."""
    rows = rows_after(session, actor, DoorJob, after, JOB)
    if labels is None:
        return rows
    if not labels:
        return (row for row in rows if not row.labels)
    return (row for row in rows if labels.items() <= row.labels.items())


def cancel_job(session: Session, actor: Actor, public_id: str) -> DoorJob:
    """Asks for the end of a job, like cancelling its run. Raises Conflict for one that has ended."""
    require_member(actor, "cancel runs")
    job = find_job(session, actor, public_id)
    asked = session.execute(
        update(DoorJob)
        .where(col(DoorJob.id) == job.id, col(DoorJob.state) == DoorJobState.VALIDATING)
        .values(cancel_asked=True, due_at=None)
    )
    session.refresh(job)
    if asked.rowcount == 1:  # type: ignore[attr-defined]
        enqueue(session, LAUNCH_JOB, job.id or 0)
    elif job.run_id is not None:
        cancel_run(session, actor, job.run_id)
    else:
        raise Conflict(f"{public_id} is {job.state} already.", "There is nothing to cancel.")
    return job
