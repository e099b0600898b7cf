"""The task that makes an export: a conversion, a package, a push."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlmodel import Session

from app.db import session_scope
from app.exports.make import fail_export, make_export
from app.exports.push_now import gone_with_its_token
from app.queue import MAKE_EXPORT
from app.tables import Export, ExportState
from workers.celery_app import celery
from workers.task import guarded, lease

STATES = (ExportState.QUEUED, ExportState.WORKING)
# A conversion that dies this often (too little memory) is given up.
MOST_ATTEMPTS = 5


@celery.task(name=MAKE_EXPORT)
def make(export_id: int) -> None:
    """Safe to run twice at once: the second finds the lease taken. Killed, it begins again from the start."""
    with lease(Export, export_id, STATES) as held:
        if held is None:
            return

        @contextmanager
        def save() -> Iterator[Session]:
            with session_scope() as session:
                held.confirm(session)
                yield session

        with session_scope(write=False) as session:
            export = session.get_one(Export, export_id)

        def fail(message: str, hint: str) -> None:
            fail_export(export, save, message, hint)

        if gone_with_its_token(export):
            fail(
                "Tunebook stopped before the push was over, and the token was not kept.",
                "Look at the repository, then push again: what is there already is not sent twice.",
            )
        elif export.attempt > MOST_ATTEMPTS:
            fail(
                f"The export was ended {MOST_ATTEMPTS} times before it was whole.",
                "The machine may be short of memory.",
            )
        else:
            guarded(lambda: make_export(export, save), fail, f"making {export.kind}")
