"""How a server is doing, as numbers for a collector (Prometheus' text format): called by the web's /metrics."""

from collections import Counter
from collections.abc import Iterable, Mapping

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.clock import now
from app.config import CAPABILITIES
from app.lab.audit import last_backup
from app.runs.hosts import FRESH_SECONDS, queues_taken, wants, workers_alive
from app.tables import Reservation, Run, RunState, Slot

WAITING = (RunState.QUEUED, RunState.PREPARING)


def measures(session: Session) -> str:
    """Runs, queues, places, workers and money as they are now; a few short queries."""
    parts = (_runs, _queues, _slots, _workers, _money, _backup)
    return "".join(part(session) for part in parts)


def family(name: str, help: str, rows: Iterable[tuple[Mapping[str, str], float]], kind: str = "gauge") -> str:
    """One metric with its samples: (labels, value)."""
    lines = [f"# HELP {name} {help}", f"# TYPE {name} {kind}"]
    return "\n".join([*lines, *(sample(name, labels, value) for labels, value in rows)]) + "\n"


def sample(name: str, labels: Mapping[str, str], value: float) -> str:
    """One line; labels are escaped as the format asks."""
    told = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{told}}} {value:.10g}" if told else f"{name} {value:.10g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _runs(session: Session) -> str:
    counted = dict(session.exec(select(Run.state, func.count()).group_by(col(Run.state))).all())
    rows = [({"state": state.value}, counted.get(state, 0)) for state in RunState]
    return family("tunebook_runs", "Runs by state.", rows)


def _queues(session: Session) -> str:
    taken, at = queues_taken(session), now()
    waiting, oldest = Counter[str](), dict.fromkeys(CAPABILITIES, 0.0)
    for run in session.exec(select(Run).where(col(Run.state).in_(WAITING))):
        want = wants(run, {"gpu"})
        waiting[want] += 1
        oldest[want] = max(oldest[want], (at - run.created_at).total_seconds())
    return (
        family("tunebook_waiting_runs", "Runs that wait, by what they need: a hint for scaling.",
               [({"queue": each}, waiting[each]) for each in CAPABILITIES])
        + family("tunebook_oldest_waiting_seconds", "Age of the oldest run that waits.",
                 [({"queue": each}, oldest[each]) for each in CAPABILITIES])
        + family("tunebook_queue_taken", "1 where a live worker takes the queue.",
                 [({"queue": each}, float(each in taken)) for each in CAPABILITIES])
    )  # fmt: skip


def _slots(session: Session) -> str:
    found = session.exec(
        select(Slot.machine, func.count(), func.count(col(Slot.run_id))).group_by(Slot.machine)
    ).all()
    rows = []
    for machine, places, used in found:
        rows += [
            ({"machine": machine, "state": "used"}, used),
            ({"machine": machine, "state": "free"}, places - used),
        ]
    return family("tunebook_slots", "Places to train on the workers' machines.", rows)


def _workers(session: Session) -> str:
    at = now()
    silent: dict[str, float] = {}
    for worker in workers_alive(session, seconds=3600):
        age = (at - worker.seen_at).total_seconds()
        silent[worker.machine] = min(age, silent.get(worker.machine, age))
    rows = [({"machine": machine}, age) for machine, age in silent.items()]
    alive = len(workers_alive(session))
    return family(
        "tunebook_worker_silent_seconds", "Time since a machine's workers were heard of.", rows
    ) + family("tunebook_workers", f"Workers that were heard of within {FRESH_SECONDS:g} s.", [({}, alive)])


def _money(session: Session) -> str:
    open_ones = select(func.coalesce(func.sum(Reservation.reserved_microdollars), 0)).where(
        col(Reservation.settled_at).is_(None)
    )
    # A sum of big integers is a decimal on PostgreSQL.
    reserved = int(session.exec(open_ones).one())
    return family("tunebook_reserved_dollars", "Money reserved for runs under way.", [({}, reserved / 1e6)])


def _backup(session: Session) -> str:
    made = last_backup(session)
    rows: list[tuple[Mapping[str, str], float]] = [({}, made.timestamp())] if made else []
    return family("tunebook_last_backup_timestamp_seconds", "When `tunebook backup` was last done.", rows)
