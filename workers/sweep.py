"""The periodic look: nudges every row that is due, so that a lost message or a dead worker loses nothing."""

import time
from datetime import datetime
from typing import Any

from sqlalchemy import or_, update
from sqlmodel import Session, col, select

from app.clock import in_seconds, now
from app.db import session_scope
from app.door.files import BATCH_GOES_ON
from app.door.money import settle_lost
from app.log import log
from app.queue import (
    ADVANCE_JUDGING,
    ADVANCE_RUN,
    CHECK_CREDENTIAL,
    CHECK_DATASET,
    CHECK_ENDPOINT,
    CHECK_MACHINE,
    DELIVER,
    FETCH_WEIGHTS,
    LAUNCH_JOB,
    MAKE_EXPORT,
    PUSH_FILE,
    SWEEP,
    TEST_PAIR,
    TIDY_MACHINE,
    WATCH_DEPLOYMENT,
    WORK_BATCH,
    send,
    send_to,
)
from app.runs.deployments import LOOKED
from app.runs.hosts import release_lost, routes
from app.settings.environment_keys import note_environment
from app.tables import (
    LOOKED_AT,
    Credential,
    CredentialState,
    Dataset,
    DatasetState,
    Delivery,
    DeliveryState,
    DeploymentRow,
    DoorBatch,
    DoorJob,
    DoorJobState,
    Endpoint,
    EndpointState,
    Export,
    ExportState,
    JobState,
    Judging,
    JudgingState,
    Machine,
    MachineJob,
    MachineState,
    PairTest,
    PairTestState,
    RescueRow,
    RescueState,
    Run,
    StoredFile,
    StoredState,
)
from workers.celery_app import celery
from workers.task import nobody_holds, owner_is_dead

# A nudge that was lost is repeated after this time.
REPEAT_SECONDS = 5
# Smaller steps are what time servers do every day.
PUT_BACK_SECONDS = 5.0
WATCHED: tuple[tuple[Any, tuple[str, ...], str], ...] = (
    (Dataset, (DatasetState.QUEUED, DatasetState.CHECKING), CHECK_DATASET),
    (Run, LOOKED_AT, ADVANCE_RUN),
    (Export, (ExportState.QUEUED, ExportState.WORKING), MAKE_EXPORT),
    (Endpoint, (EndpointState.CHECKING,), CHECK_ENDPOINT),
    # Keys that work are checked now and then too: the list of models is read again.
    (
        Credential,
        (CredentialState.CHECKING, CredentialState.READY, CredentialState.FAILED),
        CHECK_CREDENTIAL,
    ),
    (Judging, (JudgingState.QUEUED, JudgingState.WORKING), ADVANCE_JUDGING),
    (PairTest, (PairTestState.QUEUED,), TEST_PAIR),
    (DeploymentRow, LOOKED, WATCH_DEPLOYMENT),
    (RescueRow, (RescueState.ASKED,), FETCH_WEIGHTS),
    (Machine, (MachineState.CHECKING, MachineState.READY, MachineState.FAILED), CHECK_MACHINE),
    (MachineJob, (JobState.LEAVING,), TIDY_MACHINE),
    (Delivery, (DeliveryState.QUEUED,), DELIVER),
    (DoorJob, (DoorJobState.VALIDATING,), LAUNCH_JOB),
    (DoorBatch, BATCH_GOES_ON, WORK_BATCH),
    (StoredFile, (StoredState.WAITING, StoredState.LEAVING), PUSH_FILE),
)


@celery.task(name=SWEEP)
def look() -> None:
    """Frees leases of dead owners, then sends a message for each row that is due."""
    note_environment()
    release_lost()
    if _put_back():
        _all_due()
    settle_lost()
    for table, states, task in WATCHED:
        with session_scope(write=False) as session:
            dead = [owner for owner in _owners(session, table, states) if owner_is_dead(owner)]
        if dead:
            with session_scope() as session:
                session.execute(
                    update(table).where(table.owner.in_(dead)).values(owner=None, lease_until=None)
                )
        _nudge(task, _due(table, states))


# The wall clock and the one that is never put back, at this process's last look.
_looked: list[tuple[datetime, float]] = []


def _put_back() -> bool:
    """Whether the machine's clock was put back since this process last looked: due times would lie too far ahead."""
    before, _looked[:] = _looked[:], [(now(), time.monotonic())]
    if not before:
        return False
    wall, steady = _looked[0]
    return (wall - before[0][0]).total_seconds() < steady - before[0][1] - PUT_BACK_SECONDS


def _all_due() -> None:
    """Everything that waits is looked at once, early rather than late by as much as the clock went back."""
    log.warning("the clock of this machine was put back: everything that waits is looked at now")
    for table, states, _ in WATCHED:
        with session_scope() as session:
            waiting = table.state.in_(states), col(table.due_at) > now()
            session.execute(update(table).where(*waiting).values(due_at=None))


def _nudge(task: str, rows: list[int]) -> None:
    """Sends a message for each row; a run's to the queue of the machine that can see its process."""
    queues: dict[int, str] = {}
    if task == ADVANCE_RUN and rows:
        with session_scope(write=False) as session:
            queues = routes(session, rows)
    for row_id in rows:
        if queue := queues.get(row_id):
            send_to(queue, task, row_id)
        else:
            send(task, row_id)


def _owners(session: Session, table: Any, states: tuple[str, ...]) -> list[str]:
    return list(
        session.exec(select(table.owner).where(table.state.in_(states), col(table.owner).is_not(None)))
    )


def _due(table: Any, states: tuple[str, ...]) -> list[int]:
    where = (
        table.state.in_(states),
        or_(table.due_at.is_(None), table.due_at <= now()),
        nobody_holds(table),
    )
    with session_scope(write=False) as session:
        if session.exec(select(table.id).where(*where).limit(1)).first() is None:
            return []
    with session_scope() as session:
        rows = list(session.exec(select(table.id).where(*where).order_by(table.id).limit(100)))
        session.execute(update(table).where(table.id.in_(rows)).values(due_at=in_seconds(REPEAT_SECONDS)))
    return rows
