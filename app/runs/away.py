"""A run's job on another machine: its row, the machine and its compute. Used by all steps of such runs."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, select

from app.clock import in_seconds, now
from app.compute._base import Compute, Order, Site
from app.config import settings
from app.db import session_scope
from app.errors import ProviderError
from app.runs.bundle import HERE
from app.runs.hosted import LONGEST_PAUSE, Save, set_run
from app.settings.machines import compute_of, site_of, spot_of
from app.storage import run_folder
from app.tables import JobState, Machine, MachineJob, Run

# How long a machine whose process is gone may take to say so, beyond the deadline that it keeps itself.
GRACE_SECONDS = 900.0


@dataclass(frozen=True)
class Ground:
    """Where a run is done: the job's row, the machine and how it is reached."""

    job: MachineJob
    machine: Machine
    compute: Compute
    site: Site


def ground(run: Run) -> Ground:
    """Read anew, detached. The job's row is made on first use."""
    with session_scope(write=False) as session:
        machine = session.get_one(Machine, run.machine_id)
        job = job_of(session, run.id)
    if job is None:
        with session_scope() as session:
            job = MachineJob(run_id=run.id or 0, machine_id=machine.id or 0)
            session.add(job)
            session.flush()
            session.refresh(job)
            session.expunge(job)
    return Ground(job, machine, compute_of(machine), site_of(machine))


def put(session: Session, job: MachineJob, **values: Any) -> None:
    """Writes values to the job's row."""
    session.execute(update(MachineJob).where(col(MachineJob.id) == job.id).values(**values))


def job_of(session: Session, run_id: int | None) -> MachineJob | None:
    """The run's job, None before its first step."""
    return session.exec(select(MachineJob).where(MachineJob.run_id == run_id)).first()


def leave(session: Session, job: MachineJob) -> None:
    """From here on what the run left there is to be removed; a job that was never sent has nothing there."""
    over = job.state == JobState.NEW
    put(session, job, state=JobState.OVER if over else JobState.LEAVING, due_at=None)


def order_of(run: Run, place: Ground) -> Order:
    """What the compute is asked to start."""
    folder = run_folder(run.id or 0)
    return Order(
        run.launch_key,
        folder,
        deadline_seconds(place),
        base=base_folder(folder),
        gpus=gpus_asked_for(folder),
        label=f"run {run.id}, {run.model}"[:100],
        hub_token=settings().hf_token,
    )


def base_folder(folder: Path) -> Path | None:
    """The base model's folder on this machine, where the bundle's model comes from one."""
    try:
        return Path(json.loads((folder / HERE).read_text(encoding="utf-8"))["model_path"])
    except (OSError, ValueError, KeyError):
        return None


def gpus_asked_for(folder: Path) -> int:
    """Devices that the run names; 0 where it takes what it finds."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        devices = config["hyperparameters"]["devices"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return devices if isinstance(devices, int) and devices > 1 else 0


def deadline_seconds(place: Ground) -> float:
    """After this time the machine frees itself, whoever still lives."""
    return place.machine.deadline_hours * 3600


def is_silent(place: Ground) -> bool:
    """Whether the machine has said nothing for so long that it must have freed itself."""
    heard = place.job.heard_at or place.job.sent_at
    return heard is not None and (now() - heard).total_seconds() > deadline_seconds(place) + GRACE_SECONDS


def put_off(run: Run, save: Save, place: Ground, error: ProviderError) -> None:
    """Asks again later, the later the more calls have failed; the run's page says what the last one met."""
    failures = place.job.failures + 1
    pause = min(place.compute.poll_seconds * 2 ** min(failures, 12), LONGEST_PAUSE)
    seconds = max(error.wait or 0.0, pause)
    with save() as session:
        put(session, place.job, failures=failures, trouble=error.message[:1000])
        set_run(session, run, due_at=in_seconds(seconds), progress_note=f"{error.message} Tried again."[:300])


def hourly(machine: Machine) -> int | None:
    """Micro-dollars for an hour; 0 for a place that costs nothing, None where it is not known."""
    spot = spot_of(machine)
    return spot.hourly_microdollars if spot.paid else 0


def cost(run: Run, place: Ground, told: int | None = None) -> int:
    """Micro-dollars so far: what the place tells, else its hourly price since the process was first seen."""
    if told is not None:
        return told
    since, price = place.job.running_since, hourly(place.machine)
    if since is None or not price:
        return run.cost_microdollars
    return max(run.cost_microdollars, math.ceil((now() - since).total_seconds() / 3600 * price))
