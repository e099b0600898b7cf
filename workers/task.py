"""What every task is made of: a lease on a row, kept alive while the work lasts, and the commit at its end.

A row is worked on by one process at a time. A process that dies loses its lease when the time is over, or
at once when the sweep of the same machine sees that the owner is gone.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import psutil
from sqlalchemy import or_, update
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel import Session

from app.bucket import Away
from app.clock import in_seconds, now
from app.db import session_scope
from app.errors import TunebookError
from app.log import hidden, log

LEASE_SECONDS = 20
RENEW_SECONDS = 5
# How far the clocks of two machines may lie apart before one takes the other's leases for written by mistake.
SKEW_SECONDS = 60


class LeaseLost(Exception):
    """Somebody else owns the row now: stop without writing anything."""


@lru_cache
def _me(pid: int) -> str:
    return f"{socket.gethostname()}/{pid}/{psutil.Process(pid).create_time():.2f}"


def owner_name() -> str:
    """This process, unmistakably: machine, pid and start time."""
    return _me(os.getpid())


def owner_is_dead(owner: str) -> bool:
    """Whether `owner` was a process of this machine that has ended. False when that cannot be known."""
    host, pid, created = owner.partition("#")[0].rsplit("/", 2)
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(pid))
        return f"{process.create_time():.2f}" != created or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@dataclass
class Lease:
    """The right to advance one row, renewed by a thread until the block ends."""

    table: Any
    row_id: int
    name: str
    lost: threading.Event = field(default_factory=threading.Event)

    def confirm(self, session: Session, **values: Any) -> None:
        """Writes `values` to the row in `session` if the lease still holds; else raises LeaseLost."""
        values.setdefault("lease_until", in_seconds(LEASE_SECONDS))
        done = session.execute(
            update(self.table)
            .where(self.table.id == self.row_id, self.table.owner == self.name)
            .values(**values)
        )
        if done.rowcount != 1:  # type: ignore[attr-defined]
            self.lost.set()
            raise LeaseLost(f"{self.table.__tablename__} {self.row_id}")

    def save(self, **values: Any) -> None:
        """confirm() in a transaction of its own."""
        with session_scope() as session:
            self.confirm(session, **values)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that commits at its end, and only while the lease holds: what a step saves with."""
        with session_scope() as session:
            self.confirm(session)
            yield session

    def read(self) -> Any:
        """The row as it is now, detached."""
        with session_scope(write=False) as session:
            return session.get_one(self.table, self.row_id)


def nobody_holds(table: Any) -> Any:
    """The condition that a row is free. An end that is farther away than any lease can be was written by a clock that
    has since been put back."""
    return or_(
        table.lease_until.is_(None),
        table.lease_until < now(),
        table.lease_until > in_seconds(LEASE_SECONDS + SKEW_SECONDS),
    )


@contextmanager
def lease(table: Any, row_id: int, states: tuple[str, ...]) -> Iterator[Lease | None]:
    """Takes the row's lease; yields None when it is held by another, gone, or in another state."""
    name = f"{owner_name()}#{threading.get_ident()}"
    with session_scope() as session:
        claimed = session.execute(
            update(table)
            .where(
                table.id == row_id,
                table.state.in_(states),
                nobody_holds(table),
            )
            .values(owner=name, lease_until=in_seconds(LEASE_SECONDS), attempt=table.attempt + 1)
        )
    if claimed.rowcount != 1:  # type: ignore[attr-defined]
        yield None
        return
    held = Lease(table, row_id, name)
    stop = threading.Event()
    thread = threading.Thread(target=_renew, args=(held, stop), daemon=True)
    thread.start()
    try:
        yield held
    except LeaseLost:
        pass
    finally:
        stop.set()
        thread.join()
        _release(held)


def guarded(step: Callable[[], None], on_failure: Callable[[str, str], None], doing: str) -> None:
    """Runs one step; an error becomes the row's own sentence through `on_failure(message, hint)`.

    A lost lease, a database and a bucket that do not answer are not the row's fault: they end the task, and
    the sweep comes back to the row.
    """
    try:
        step()
    except (LeaseLost, OperationalError, InterfaceError):
        raise
    except Away as error:
        log.info("%s waits for a file: %s", doing, hidden(error.message))
    except TunebookError as error:
        on_failure(hidden(error.message), hidden(error.hint))
    except Exception as error:  # noqa: BLE001  the one place for workers, as the house says
        log.exception("a step failed while %s", doing)
        said = f"Tunebook met a fault of its own while {doing}: {hidden(str(error))}"
        on_failure(said, "The server's log has the details.")


def _renew(held: Lease, stop: threading.Event) -> None:
    while not stop.wait(RENEW_SECONDS):
        try:
            held.save()
        except LeaseLost:
            return
        except (OperationalError, InterfaceError) as error:
            log.warning(
                "the lease on %s %s was not renewed: %s", held.table.__tablename__, held.row_id, error
            )


def _release(held: Lease) -> None:
    with session_scope() as session:
        session.execute(
            update(held.table)
            .where(held.table.id == held.row_id, held.table.owner == held.name)
            .values(owner=None, lease_until=None)
        )
