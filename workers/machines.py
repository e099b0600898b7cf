"""The tasks that look at compute and clear it up."""

from dataclasses import replace

from sqlmodel import col, select

from app.clock import in_seconds
from app.compute._base import Site
from app.db import session_scope
from app.errors import TunebookError
from app.log import log
from app.queue import CHECK_MACHINE, TIDY_MACHINE
from app.runs.away_tidy import tidy
from app.settings.machines import compute_of, keep_check, site_of
from app.tables import FINAL, JobState, Machine, MachineJob, MachineState, Run
from workers.celery_app import celery
from workers.task import guarded, lease

AGAIN_SECONDS = 600.0


@celery.task(name=CHECK_MACHINE)
def check(machine_id: int) -> None:
    """A look at one machine, which costs nothing there: whether it can be used, and what lies there that is nobody's."""
    with lease(Machine, machine_id, (MachineState.CHECKING, MachineState.READY, MachineState.FAILED)) as held:
        if held is None:
            return
        with session_scope(write=False) as session:
            machine = session.get_one(Machine, machine_id)

        def fail(message: str, hint: str) -> None:
            with held.write() as session:
                keep_check(session.get_one(Machine, machine_id), None, f"{message} {hint}".strip())

        def look() -> None:
            site = site_of(machine)
            found = compute_of(machine).check(site)
            # What the look learned, such as a host's key, holds from here on.
            orphans = _orphans(machine, replace(site, fields={**site.fields, **found.learned}))
            with held.write() as session:
                row = session.get_one(Machine, machine_id)
                keep_check(row, found, "")
                row.orphans = orphans
                row.stopping = [key for key in row.stopping if key not in machine.stopping]

        guarded(look, fail, "looking at compute")


def _orphans(machine: Machine, site: Site) -> list[dict[str, object]]:
    """Ends those that a person wants ended; gives the others that belong to no run under way."""
    compute = compute_of(machine)
    listed = list(compute.jobs(site))
    for job in listed:
        if job.launch_key in machine.stopping:
            compute.cancel(site, job.handle)
            compute.release(site, job.handle)
    left = [job for job in listed if job.launch_key not in machine.stopping]
    with session_scope(write=False) as session:
        known = {
            run.launch_key: run
            for run in session.exec(
                select(Run).where(col(Run.launch_key).in_([job.launch_key for job in left]))
            )
        }
        ids = [run.id for run in known.values()]
        leaving = set(
            session.exec(
                select(MachineJob.run_id).where(
                    col(MachineJob.run_id).in_(ids), MachineJob.state == JobState.LEAVING
                )
            )
        )
    return [
        {
            "launch_key": job.launch_key,
            "run_id": run.id if run else None,
            "state": job.status.state or str(job.status.phase),
            "note": job.status.note,
        }
        for job in left
        for run in [known.get(job.launch_key)]
        if run is None or (run.state in FINAL and run.id not in leaving)
    ]


@celery.task(name=TIDY_MACHINE)
def tidy_job(job_id: int) -> None:
    """Safe to run twice at once and to repeat."""
    with lease(MachineJob, job_id, (JobState.LEAVING,)) as held:
        if held is not None:
            try:
                tidy(job_id)
            except TunebookError as error:
                log.warning("job %s could not be cleared up: %s", job_id, error.message)
                held.save(due_at=in_seconds(AGAIN_SECONDS))
