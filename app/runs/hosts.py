"""Which machine looks after which run, where several machines have workers. Called by steps.py and the workers.

A run that trains here holds a place of one machine, and only that machine's workers can see its process: messages
about it go to that machine's own queue. Everything else goes by capability: cpu, gpu, remote.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, or_, update
from sqlmodel import Session, col, select

from app.clock import in_seconds, now
from app.compute import local
from app.config import settings
from app.db import session_scope
from app.log import log
from app.queue import machine_queue, my_queues
from app.runs.hosted import Place, is_local, place_of
from app.runs.lifecycle import move
from app.tables import FINAL, Run, RunState, Slot, Worker

BEAT_SECONDS = 10.0
# Messages are sent to who was alive within this time.
FRESH_SECONDS = 45.0
FORGOTTEN_SECONDS = 24 * 3600.0
# Local models that need no GPU; the others take one where some worker has it.
SMALL = ("baseline", "starter")
NOTE = "its machine was silent for too long; it goes on from its newest checkpoint elsewhere"


def beat(name: str) -> None:
    """Writes that the worker `name` of this machine is alive. After a silence that others may have taken for the end,
    processes whose runs went on elsewhere are ended first."""
    machine, at = settings().machine_name, now()
    with session_scope() as session:
        row = session.exec(select(Worker).where(Worker.name == name)).first()
        silent = row is None or row.seen_at < in_seconds(-settings().machine_lost_seconds / 2)
        row = row or Worker(name=name, queues="")
        row.machine, row.queues, row.seen_at = machine, ",".join(settings().queues), at
        row.started_at = at if silent else row.started_at
        session.add(row)
        session.execute(delete(Worker).where(col(Worker.seen_at) < in_seconds(-FORGOTTEN_SECONDS)))
    if silent and machine:
        end_strays()
        make_slots()


def end_strays() -> int:
    """Ends this machine's training processes whose runs are over or hold a place elsewhere; says how many."""
    ended = 0
    for key in local.keys_of(settings().machine_name):
        with session_scope(write=False) as session:
            run = session.exec(select(Run).where(Run.launch_key == key)).first()
            slot = session.exec(select(Slot).where(Slot.run_id == run.id)).first() if run else None
        # Without a place it waits for one: two processes would write one folder.
        if run and (slot is None or slot.machine != settings().machine_name):
            log.warning("run %s goes on elsewhere: its process here is ended", run.id)
            local.cancel({"launch_key": key}, grace_seconds=5)
            ended += 1
    return ended


def workers_alive(session: Session, seconds: float = FRESH_SECONDS) -> list[Worker]:
    """The workers that were heard of within `seconds`."""
    return list(session.exec(select(Worker).where(col(Worker.seen_at) > in_seconds(-seconds))))


def queues_taken(session: Session) -> set[str]:
    """Every capability that some live worker has."""
    return {queue for worker in workers_alive(session) for queue in worker.queues.split(",")}


def wants(run: Run, taken: set[str]) -> str:
    """The capability that a run needs that holds no place."""
    if place_of(run) != Place.LOCAL:
        return "remote"
    return "gpu" if run.model.partition("/")[0] not in SMALL and "gpu" in taken else "cpu"


def routes(session: Session, run_ids: list[int]) -> dict[int, str]:
    """The queue of each run; {} where one machine does everything and no queue needs a name."""
    if not settings().broker_url or not (taken := queues_taken(session)):
        return {}
    held = dict(session.exec(select(Slot.run_id, Slot.machine).where(col(Slot.run_id).in_(run_ids))).all())
    runs = session.exec(select(Run).where(col(Run.id).in_(run_ids)))
    return {
        run.id or 0: machine_queue(held[run.id]) if held.get(run.id) else wants(run, taken) for run in runs
    }


def elsewhere(run_id: int) -> str:
    """The queue that a message about the run should have gone to; "" when this machine's workers may take it."""
    with session_scope(write=False) as session:
        queue = routes(session, [run_id]).get(run_id, "")
    return "" if queue in my_queues() else queue


def can_run_here(session: Session) -> Any:
    """Which waiting runs this machine's workers may start, as a condition on runs."""
    small = or_(*(col(Run.model).startswith(f"{group}/") for group in SMALL))
    mine = set(settings().queues)
    taken = queues_taken(session) | mine
    if mine >= {"cpu", "gpu"} or ("cpu" in mine and "gpu" not in taken):
        return is_local()
    return and_(is_local(), small if "cpu" in mine else ~small)


def free_elsewhere(session: Session, run: Run) -> str:
    """The queue of another live machine with a free place for the waiting run; "" when there is none."""
    if not settings().machine_name:
        return ""
    want = wants(run, queues_taken(session))
    able = {w.machine for w in workers_alive(session) if want in w.queues.split(",")}
    free = select(Slot.machine).where(col(Slot.run_id).is_(None), col(Slot.machine).in_(able))
    found = session.exec(free.where(Slot.machine != settings().machine_name).limit(1)).first()
    return machine_queue(found) if found else ""


def release_lost() -> int:
    """Lets the runs of machines that are silent for too long go on elsewhere; says how many.

    A worker judges others only after it was itself there all that time: when the database was away, nobody was heard.
    """
    if not settings().machine_name:
        return 0
    since = in_seconds(-settings().machine_lost_seconds)
    with session_scope(write=False) as session:
        lost = _lost_places(session, since)
    for slot_id, run_id, machine in lost:
        with session_scope() as session:
            run = session.get_one(Run, run_id)
            if run.state not in (RunState.QUEUED, RunState.SCORING, *FINAL):
                log.warning("machine %s is silent: run %s goes on elsewhere", machine, run_id)
                move(session, run, RunState.QUEUED, progress_note=NOTE, owner=None, lease_until=None)
            session.execute(delete(Slot).where(col(Slot.id) == slot_id, col(Slot.run_id) == run_id))
    return len(lost)


def _lost_places(session: Session, since: datetime) -> list[tuple[int, int, str]]:
    mine = settings().machine_name
    alive = {w.machine: w.started_at for w in workers_alive(session, settings().machine_lost_seconds)}
    if mine not in alive or alive[mine] > since:
        return []
    held = session.exec(select(Slot.id, Slot.run_id, Slot.machine).where(col(Slot.run_id).is_not(None)))
    return [(id or 0, run or 0, machine) for id, run, machine in held if machine and machine not in alive]


def make_slots() -> None:
    """Makes as many places on this machine as the settings say; called when Tunebook or a worker starts."""
    machine = settings().machine_name
    wanted = settings().local_slots if {"cpu", "gpu"} & set(settings().queues) else 0
    with session_scope() as session:
        if machine:
            # Places from when there was one machine belong to the first that starts.
            session.execute(update(Slot).where(col(Slot.machine) == "").values(machine=machine))
        have = list(session.exec(select(Slot).where(Slot.machine == machine).order_by(col(Slot.id))))
        session.add_all(Slot(machine=machine) for _ in range(wanted - len(have)))
        spare = [slot for slot in reversed(have) if slot.run_id is None]
        for slot in spare[: max(0, len(have) - wanted)]:
            session.delete(slot)
