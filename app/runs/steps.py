"""The steps of a local run, one function per state. workers/runs.py claims the run and calls these.

Each takes the run as read and a `save` that opens a confirmed transaction; none keeps a transaction open
while files are written or a process is started.
"""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from app.catalog.models import toolkits
from app.clock import in_seconds, now
from app.compute import local
from app.config import settings
from app.model_server import give_device, take_device
from app.queue import ADVANCE_RUN, enqueue, send_to
from app.runs import outputs
from app.runs.curves import store_points
from app.runs.hosted import is_local
from app.runs.hosts import can_run_here, free_elsewhere
from app.runs.ledger import resolve
from app.runs.lifecycle import move
from app.runs.prepare import prepare_bundle
from app.storage import run_folder
from app.tables import Run, RunState, Slot

Save = Callable[[], AbstractContextManager[Session]]
# A process that is killed this often in a row without getting any further is given up.
MAX_KILLS = 8
STAGES = {"preparing": 0, "training": 1, "predicting": 2}
POLL_SECONDS = 0.7


def queued(run: Run, save: Save) -> None:
    """Takes a place on this machine if one is free; else waits."""
    with save() as session:
        if _take_slot(session, run):
            move(session, run, RunState.PREPARING, started_at=run.started_at or now())
            return
        before = session.exec(
            select(func.count())
            .select_from(Run)
            .where(Run.state == RunState.QUEUED, col(Run.id) < run.id, is_local())
        ).one()
        note = f"waits for this machine, {before} before it" if before else "next on this machine"
        _update(session, run, progress_note=note, due_at=in_seconds(wait_seconds(before)))
        other = free_elsewhere(session, run)
    if other:
        send_to(other, ADVANCE_RUN, run.id or 0)


def wait_seconds(before: int) -> float:
    """When a run that waits is looked at again: the later, the more runs are before it, so that a long queue
    makes few messages. The first is nudged as soon as a place is free."""
    return min(1.5 + before, 600)


def preparing(run: Run, save: Save) -> None:
    """Writes the bundle."""
    snapshot = prepare_bundle(run)
    with save() as session:
        move(session, run, RunState.SUBMITTING, snapshot=snapshot)


def submitting(run: Run, save: Save) -> None:
    """Starts the process, or adopts the one that a crash left behind."""
    folder = run_folder(run.id or 0)
    if outputs.read_exit_code(folder) is not None:
        with save() as session:
            move(session, run, RunState.TRAINING, due_at=now())
        return
    handle = local.find(folder, run.launch_key)
    if handle is None:
        if not run.model.startswith("baseline/"):
            # Models behind the API make room on the GPU.
            take_device(run.launch_key)
        handle = local.submit(
            folder,
            deadline_seconds=settings().run_deadline_hours * 3600,
            launch_key=run.launch_key,
            **_interpreter(run),
        )
    with save() as session:
        move(session, run, RunState.TRAINING, handle=handle, due_at=in_seconds(POLL_SECONDS))


def _interpreter(run: Run) -> dict[str, Any]:
    """Which Python runs it: a toolkit's own where the settings name one, else in the environment that it makes."""
    trainer = run.model.partition("/")[0]
    if trainer in toolkits():
        own = settings().toolkit_pythons.get(trainer)
        environments = settings().folder / "environments"
        return {"python": own} if own else {"python": sys.executable, "environments": environments}
    return {"python": settings().trainer_python}


def training(run: Run, save: Save) -> None:
    """Reads how far the process is; ends the state when the process has ended."""
    folder = run_folder(run.id or 0)
    # The status first: what was written before an end that we saw is then read in full.
    status = local.status(run.handle, folder)
    if status != "running":
        # Children that it left behind would keep its memory.
        local.cancel(run.handle, grace_seconds=0)
        give_device(run.launch_key)
    store_curves(run, save, folder, to_the_end=status != "running")
    progress = outputs.read_progress(folder)
    reached = STAGES.get(progress.stage, 0) + progress.fraction
    further = reached > run.furthest
    values: dict[str, Any] = {"furthest": max(reached, run.furthest), "kills": 0 if further else run.kills}
    with save() as session:
        if status == "ended":
            _ended(session, run, folder, values)
        elif status == "killed":
            _killed(session, run, values)
        else:
            _goes_on(session, run, progress, values)


def _goes_on(session: Session, run: Run, progress: outputs.Progress, values: dict[str, Any]) -> None:
    values |= {
        "progress": progress.fraction,
        "progress_note": progress.message,
        "seconds_left": progress.seconds_left,
        "due_at": in_seconds(POLL_SECONDS),
    }
    if progress.stage == "predicting" and run.state == RunState.TRAINING:
        move(session, run, RunState.PREDICTING, **values)
    else:
        _update(session, run, **values)


def _ended(session: Session, run: Run, folder: Path, values: dict[str, Any]) -> None:
    free_slot(session, run)
    values |= closing_record(run, folder)
    if outputs.read_exit_code(folder) == 0:
        move(session, run, RunState.SCORING, **values)
        return
    error = outputs.read_json(folder, "error.json")
    message = error.get("message") or f"The process ended with code {outputs.read_exit_code(folder)}."
    hint = error.get("hint") or "The log below says what it was doing."
    move(session, run, RunState.FAILED, error=str(message)[:2000], hint=str(hint)[:2000], **values)


def _killed(session: Session, run: Run, values: dict[str, Any]) -> None:
    values["kills"] += 1
    if values["kills"] < MAX_KILLS:
        move(session, run, RunState.SUBMITTING, **values, progress_note="the process was killed; it goes on")
        return
    free_slot(session, run)
    message = f"The process was killed {MAX_KILLS} times in a row before it got any further."
    hint = "Most often the machine ran out of memory: take a smaller batch or a smaller model, then retry."
    move(session, run, RunState.FAILED, error=message, hint=hint, **values)


def cancel(run: Run, save: Save) -> None:
    """Ends the process with all its children, then the run."""
    _end_process(run)
    with save() as session:
        free_slot(session, run)
        move(session, run, RunState.CANCELLED, **closing_record(run, run_folder(run.id or 0)))


def fail(run: Run, save: Save, message: str, hint: str) -> None:
    """Ends the run with a sentence, and its process if it has one."""
    _end_process(run)
    with save() as session:
        free_slot(session, run)
        move(session, run, RunState.FAILED, error=message[:2000], hint=hint[:2000])


def _end_process(run: Run) -> None:
    handle = local.find(run_folder(run.id or 0), run.launch_key) or run.handle
    if handle:
        local.cancel(handle, grace_seconds=5)
    give_device(run.launch_key)


def closing_record(run: Run, folder: Path) -> dict[str, Any]:
    """Ledger and snapshot completed by what the process wrote about itself."""
    resolved = outputs.read_json(folder, "resolved.json")
    base = resolved.get("base")
    snapshot = {
        **run.snapshot,
        # Which base weights exactly: {"name", "revision" or "sha256"}.
        **({"base": base} if base else {}),
        "environment": outputs.read_json(folder, "environment.json"),
        "usage": outputs.read_json(folder, "usage.json"),
        "parameters": resolved.get("parameters"),
        "trained_parameters": resolved.get("trained_parameters"),
    }
    return {"ledger": resolve(run.ledger, resolved.get("hyperparameters") or {}), "snapshot": snapshot}


def store_curves(run: Run, save: Save, folder: Path, to_the_end: bool) -> None:
    """Stores what was written since the last look, a piece at a time; while the process runs one piece."""
    offset = run.metrics_read
    while True:
        points, after = outputs.read_curves(folder, offset)
        if after == offset:
            return
        with save() as session:
            store_points(session, run, points)
            _update(session, run, metrics_read=after)
        offset = after
        if not to_the_end:
            return


def _update(session: Session, run: Run, **values: Any) -> None:
    session.execute(update(Run).where(col(Run.id) == run.id, col(Run.state) == run.state).values(**values))


def _take_slot(session: Session, run: Run) -> bool:
    if session.exec(select(Slot).where(Slot.run_id == run.id)).first():
        return True
    here = col(Slot.machine) == settings().machine_name
    free = session.exec(
        select(Slot.id).where(here, col(Slot.run_id).is_(None)).order_by(col(Slot.id)).limit(1)
    ).first()
    first = session.exec(
        select(Run.id).where(Run.state == RunState.QUEUED, can_run_here(session)).order_by(Run.id).limit(1)  # type: ignore[arg-type]
    ).first()
    if free is None or first != run.id:
        return False
    taken = session.execute(
        update(Slot).where(col(Slot.id) == free, col(Slot.run_id).is_(None)).values(run_id=run.id)
    )
    return bool(taken.rowcount == 1)  # type: ignore[attr-defined]


def free_slot(session: Session, run: Run) -> None:
    """Gives the run's place on this machine back, and nudges the run that is next."""
    freed = session.execute(update(Slot).where(col(Slot.run_id) == run.id).values(run_id=None))
    if freed.rowcount == 0:  # type: ignore[attr-defined]
        return
    following = session.exec(
        select(Run.id)
        .where(Run.state == RunState.QUEUED, Run.id != run.id, can_run_here(session))
        .order_by(Run.id)  # type: ignore[arg-type]
        .limit(1)
    ).first()
    if following is not None:
        session.execute(update(Run).where(col(Run.id) == following).values(due_at=None))
        enqueue(session, ADVANCE_RUN, following)
