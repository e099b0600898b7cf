"""A tuning job as OpenAI's clients read it: its state is its run's. Called by tuning_api.py."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlmodel import Session, col, select

from app.clock import now
from app.door.files import run_file_id
from app.door.ids import unix
from app.door.tuning_values import NAMES, RATE, RATE_MULTIPLIER, given
from app.tables import DoorFile, DoorJob, DoorJobState, Project, RemoteJobRow, Run, RunState

VALIDATING, QUEUED, RUNNING = "validating_files", "queued", "running"
SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
ENDED = (SUCCEEDED, FAILED, CANCELLED)
# A run's states in OpenAI's words; what is not named here is running.
STATES: Mapping[str, str] = {
    RunState.QUEUED: QUEUED,
    RunState.PREPARING: QUEUED,
    RunState.DONE: SUCCEEDED,
    RunState.FAILED: FAILED,
    RunState.CANCELLED: CANCELLED,
}


@dataclass(frozen=True)
class JobView:
    """A job with what it leads to; `run` and `remote` (its job at a service) only where they are."""

    job: DoorJob
    project: str
    training_file: str
    validation_file: str | None
    run: Run | None
    remote: RemoteJobRow | None

    @property
    def status(self) -> str:
        """OpenAI's word for where it stands."""
        if self.job.state == DoorJobState.LAUNCHED and self.run is not None:
            return STATES.get(self.run.state, RUNNING)
        return self.job.state

    @property
    def tuned(self) -> str | None:
        """The tuned model's name, once its run is done."""
        if self.run is None or self.run.state != RunState.DONE:
            return None
        return tuned_name(self.job.model, self.job.suffix or self.project, self.run.id or 0)


def tuned_name(model: str, suffix: str, run_id: int) -> str:
    """ft:<model>:<suffix>::run-<id>; what stands before ::run- is for people."""
    return f"ft:{model}:{suffix.strip().replace(' ', '-').replace(':', '-') or 'lab'}::run-{run_id}"


def job_view(session: Session, job: DoorJob) -> JobView:
    """The job with its files, run and project."""
    return job_views(session, [job])[0]


def job_views(session: Session, jobs: list[DoorJob]) -> list[JobView]:
    """Several jobs of one project, in a few reads."""
    if not jobs:
        return []
    file_ids = {id for job in jobs for id in (job.training_file_id, job.validation_file_id) if id}
    run_ids = [job.run_id for job in jobs if job.run_id]
    files = session.exec(select(DoorFile.id, DoorFile.public_id).where(col(DoorFile.id).in_(file_ids)))
    names = {id or 0: public_id for id, public_id in files}
    runs = {run.id: run for run in session.exec(select(Run).where(col(Run.id).in_(run_ids)))}
    rows = session.exec(select(RemoteJobRow).where(col(RemoteJobRow.run_id).in_(run_ids)))
    remote = {row.run_id: row for row in rows}
    project = session.get_one(Project, jobs[0].project_id).name
    return [
        JobView(
            job,
            project,
            names[job.training_file_id],
            names.get(job.validation_file_id or 0),
            runs.get(job.run_id),
            remote.get(job.run_id or 0),
        )
        for job in jobs
    ]


def job_json(view: JobView) -> dict[str, Any]:
    """OpenAI's fine_tuning.job."""
    job, run, status = view.job, view.run, view.status
    used = _hyperparameters(view)
    left = run.seconds_left if run is not None and status == RUNNING else None
    return {
        "id": job.public_id,
        "object": "fine_tuning.job",
        "created_at": unix(job.created_at),
        "error": _error(view),
        "fine_tuned_model": view.tuned,
        "finished_at": _ended_at(view),
        "hyperparameters": {name: value for name, value in used.items() if name != "beta"},
        "model": job.model,
        "organization_id": f"project-{job.project_id}",
        "result_files": [run_file_id(run.id or 0)] if run is not None and status == SUCCEEDED else [],
        "status": status,
        "trained_tokens": _tokens(view),
        "training_file": view.training_file,
        "validation_file": view.validation_file,
        "integrations": [],
        "seed": job.seed,
        "estimated_finish": unix(now() + timedelta(seconds=left)) if left is not None else None,
        "method": _method(job, used),
        "metadata": job.labels or None,
    }


def _method(job: DoorJob, used: Mapping[str, Any]) -> dict[str, Any]:
    """The method with what is used; names of our own as they were asked for."""
    kind = job.method["type"]
    own = {name: value for name, value in given(job.method).items() if name not in (*NAMES, RATE_MULTIPLIER)}
    return {"type": kind, kind: {"hyperparameters": {**used, **own}}}


def _hyperparameters(view: JobView) -> dict[str, Any]:
    """By OpenAI's names: what is used once there is a run, before that what was asked for or "auto". A name that the
    model has no use for is left out."""
    asked = given(view.job.method)
    if view.run is None:
        known = ["n_epochs", "batch_size", RATE_MULTIPLIER]
        return {name: asked.get(name, "auto") for name in known} | (
            {"beta": asked.get("beta", "auto")} if view.job.method["type"] == "dpo" else {}
        )
    ledger = view.run.ledger
    values = {theirs: _used(ledger, ours) for theirs, ours in NAMES.items()}
    times = _used(ledger, RATE_MULTIPLIER)
    if times is None and RATE in ledger:
        times = asked.get(RATE_MULTIPLIER, 1.0)
    values[RATE_MULTIPLIER] = times
    if values["n_epochs"] is not None:
        values["n_epochs"] = int(values["n_epochs"])
    return {name: value for name, value in values.items() if value is not None}


def _used(ledger: Mapping[str, Any], name: str) -> Any:
    row = ledger.get(name) or {}
    return row.get("resolved") if row.get("resolved") is not None else row.get("sent")


def _error(view: JobView) -> dict[str, Any] | None:
    if view.status != FAILED:
        return None
    job, run = view.job, view.run
    if job.state == DoorJobState.FAILED or run is None:
        code = f"invalid_{job.error_param}" if job.error_param.endswith("_file") else "cannot_launch"
        return {"code": code, "message": job.error, "param": job.error_param or None}
    message = " ".join(part for part in (run.error, run.hint) if part)
    return {"code": "run_failed", "message": message, "param": None}


def _ended_at(view: JobView) -> int | None:
    if view.status not in ENDED:
        return None
    return unix(view.run.ended_at if view.run is not None else view.job.ended_at)


def _tokens(view: JobView) -> int | None:
    """The tokens that it learned from, once it is done; 0 for what counts none."""
    if view.status != SUCCEEDED or view.run is None:
        return None
    counted = (view.run.snapshot.get("usage") or {}).get("tokens_trained")
    if counted is None and view.remote is not None:
        counted = view.remote.trained_tokens
    return int(counted or 0)
