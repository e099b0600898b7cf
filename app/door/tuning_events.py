"""What happened to a tuning job, as OpenAI's events, and its one checkpoint. Called by tuning_api.py.

Events are only ever added at the end, so that a reader who keeps the newest one's id misses none: the steps of the
curve while it runs, the log behind them once it is over.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlmodel import Session, col, select

from app.clock import now
from app.door.ids import unix
from app.door.tuning_view import ENDED, FAILED, SUCCEEDED, JobView
from app.runs.outputs import read_log, read_progress
from app.storage import run_folder
from app.tables import FINAL, Dataset, RunMetric, Split

# A curve's name: OpenAI's, and how a message calls it.
CURVES = {
    "loss": ("train_loss", "training loss"),
    "validation_loss": ("valid_loss", "validation loss"),
    "preference_accuracy": ("train_preference_accuracy", "preference accuracy"),
}
LOG_LINES = 200
CLOCK = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (.*)")


def job_events(session: Session, view: JobView) -> list[dict[str, Any]]:
    """Every event, the newest first."""
    return list(_events(session, view))[::-1]


def _events(session: Session, view: JobView) -> Iterator[dict[str, Any]]:
    job, run = view.job, view.run
    yield _event(view, "created", job.created_at, f"Created fine-tuning job: {job.public_id}")
    files = " and validation file: ".join(each for each in (view.training_file, view.validation_file) if each)
    yield _event(view, "files", job.created_at, f"Validating training file: {files}")
    for number, remark in enumerate(job.remarks):
        yield _event(view, f"remark{number}", job.created_at, remark, level="warn")
    if run is not None:
        yield from _data(session, view)
        if run.started_at:
            yield _event(view, "started", run.started_at, "Fine-tuning job started")
        yield from _steps(session, view)
        if run.state in FINAL:
            yield from _log(view)
    if view.status in ENDED:
        yield from _end(view)


def _data(session: Session, view: JobView) -> Iterator[dict[str, Any]]:
    """What it trains on and is tested on, in words."""
    run = view.run
    assert run is not None
    dataset, split = session.get_one(Dataset, run.dataset_id), session.get_one(Split, run.split_id)
    counts = ", ".join(f"{split.counts.get(part, 0):,} {part}" for part in ("train", "validation", "test"))
    said = f"Files validated: dataset {dataset.id} with {counts} items. {' '.join(split.remarks)}"
    data = {"dataset": dataset.id, "split": split.name, "counts": split.counts}
    yield _event(view, "data", run.created_at, said.strip(), data=data)
    made = {"experiment": run.experiment_id, "run": run.id, "page": f"/runs/{run.id}"}
    said = f"Experiment {run.experiment_id} with run {run.id} is queued; its page is /runs/{run.id}."
    yield _event(view, "queued", run.created_at, said, data=made)


def curve_steps(session: Session, run_id: int) -> dict[int, dict[str, float]]:
    """{step: {a curve's name here: value}}, in order."""
    rows = session.exec(
        select(RunMetric.step, RunMetric.name, RunMetric.value)
        .where(RunMetric.run_id == run_id, col(RunMetric.name).in_(CURVES))
        .order_by(col(RunMetric.step))
    )
    steps: dict[int, dict[str, float]] = {}
    for step, name, value in rows:
        steps.setdefault(step, {})[name] = value
    return steps


def _steps(session: Session, view: JobView) -> Iterator[dict[str, Any]]:
    """One event for each step of the curve. When a step was taken is not stored: the steps are dealt evenly."""
    run = view.run
    assert run is not None
    steps = curve_steps(session, run.id or 0)
    if not steps:
        return
    total = read_progress(run_folder(run.id or 0)).steps or max(steps)
    begin = run.started_at or run.created_at
    whole = (run.ended_at or now()) - begin
    for number, (step, values) in enumerate(steps.items(), 1):
        data = {"step": step, "total_steps": total} | {CURVES[name][0]: each for name, each in values.items()}
        said = ", ".join(f"{CURVES[name][1]}={each:.4g}" for name, each in values.items())
        at = begin + whole * (number / (len(steps) + 1))
        yield _event(view, f"step{step}", at, f"Step {step}/{total}: {said}", kind="metrics", data=data)


def _log(view: JobView) -> Iterator[dict[str, Any]]:
    run = view.run
    assert run is not None
    for number, line in enumerate(read_log(run_folder(run.id or 0), LOG_LINES).splitlines()):
        found = CLOCK.fullmatch(line)
        at = datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found else run.ended_at or now()
        if said := (found[2] if found else line).strip():
            yield _event(view, f"log{number}", at, said)


def _end(view: JobView) -> Iterator[dict[str, Any]]:
    run, job = view.run, view.job
    at = (run.ended_at if run is not None else job.ended_at) or now()
    if view.status == SUCCEEDED:
        yield _event(view, "model", at, f"New fine-tuned model created: {view.tuned}")
        yield _event(view, "end", at, "The job has successfully completed")
    elif view.status == FAILED:
        error = job.error if run is None else " ".join(part for part in (run.error, run.hint) if part)
        yield _event(view, "end", at, f"The job failed: {error}", level="error")
    else:
        yield _event(view, "end", at, "The job was cancelled")


def _event(
    view: JobView,
    key: str,
    at: datetime,
    message: str,
    level: str = "info",
    kind: str = "message",
    data: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "object": "fine_tuning.job.event",
        "id": f"ftevent-{view.job.public_id.removeprefix('ftjob-')}-{key}",
        "created_at": unix(at),
        "level": level,
        "message": message,
        "data": data or {},
        "type": kind,
    }


def checkpoints(session: Session, view: JobView) -> list[dict[str, Any]]:
    """The model that the run keeps, with its last step and values; earlier states are not kept to be asked."""
    run = view.run
    if run is None or view.tuned is None:
        return []
    steps = curve_steps(session, run.id or 0)
    newest: dict[str, float] = {}
    for values in steps.values():
        newest |= values
    last = max(steps, default=0)
    names = {"loss": ("train_loss",), "validation_loss": ("valid_loss", "full_valid_loss")}
    metrics = {theirs: newest[ours] for ours, all_ in names.items() for theirs in all_ if ours in newest}
    return [
        {
            "object": "fine_tuning.job.checkpoint",
            "id": f"ftckpt-{view.job.public_id.removeprefix('ftjob-')}-{last}",
            "created_at": unix(run.ended_at or now()),
            "fine_tuned_model_checkpoint": view.tuned,
            "fine_tuning_job_id": view.job.public_id,
            "metrics": {"step": last, **metrics},
            "step_number": last,
        }
    ]
