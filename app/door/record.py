"""Rows of calls that cost nothing, written after the answer: many in one short transaction, by a thread of its own.

A call is put down here when its answer has ended; `flush` waits until everything is written. Called by answer.py and at
the end of the web's and a worker's process.
"""

import atexit
import threading
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert
from sqlalchemy.exc import SQLAlchemyError

from app.db import session_scope
from app.log import log
from app.tables import DoorCall

# Calls of so long a time go into one transaction.
GATHER_SECONDS = 0.25
MOST_ROWS = 500
# With no database for this long the oldest are given up, and the log says how many.
MOST_WAITING = 50_000
FLUSH_SECONDS = 30.0
PAUSE_SECONDS = 1.0


class Recorder:
    """What waits to be written, and the thread that writes it; the thread lives while there is something."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[dict[str, Any]] = []
        self._writing = False
        self._hurry = False
        self._thread: threading.Thread | None = None

    def add(self, row: dict[str, Any]) -> None:
        """Has a row written soon. Returns at once."""
        with self._changed:
            self._waiting.append(row)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="door-recorder", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Waits until all that was added is written."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._waiting and not self._writing, FLUSH_SECONDS)
            self._hurry = False

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._hurry, GATHER_SECONDS)
                rows, self._waiting = self._waiting[:MOST_ROWS], self._waiting[MOST_ROWS:]
                self._writing = bool(rows)
                if not rows:
                    self._thread = None
                    self._changed.notify_all()
                    return
            written = _write(rows)
            with self._changed:
                if not written:
                    self._waiting = rows + self._waiting
                    self._drop_oldest()
                self._writing = False
                self._changed.notify_all()
            if not written:
                time.sleep(PAUSE_SECONDS)

    def _drop_oldest(self) -> None:
        lost = len(self._waiting) - MOST_WAITING
        if lost > 0:
            del self._waiting[:lost]
            log.error("%d calls at the door have no record: the database could not be written", lost)


def _write(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether the rows are in the database now; where one of them is what it refuses, all others are."""
    try:
        with session_scope() as session:
            session.execute(insert(DoorCall), list(rows))
        return True
    except SQLAlchemyError as error:
        log.warning("calls at the door could not be recorded yet: %s", error)
        return False


RECORDER = Recorder()
atexit.register(RECORDER.flush)
