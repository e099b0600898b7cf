"""The task that makes an export: a conversion, a package, a push."""

from app.db import session_scope
from app.exports.make import fail_export, make_export
from app.exports.push_now import gone_with_its_token
from app.queue import MAKE_EXPORT, send_to
from app.storage import run_path
from app.stored_files import elsewhere
from app.tables import Export, ExportState
from workers.celery_app import celery
from workers.task import guarded, lease

STATES = (ExportState.QUEUED, ExportState.WORKING)
# A conversion that dies this often (too little memory) is given up.
MOST_ATTEMPTS = 5


@celery.task(name=MAKE_EXPORT)
def make(export_id: int) -> None:
    """Safe to run twice at once: the second finds the lease taken. Killed, it begins again from the start."""
    if queue := _waits_for_files(export_id):
        send_to(queue, MAKE_EXPORT, export_id)
        return
    with lease(Export, export_id, STATES) as held:
        if held is None:
            return
        export = held.read()

        def fail(message: str, hint: str) -> None:
            fail_export(export, held.write, message, hint)

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
            guarded(lambda: make_export(export, held.write), fail, f"making {export.kind}")


def _waits_for_files(export_id: int) -> str:
    """The queue of the machine that alone has the run's files so far; "" where the export can be made here."""
    with session_scope(write=False) as session:
        export = session.get(Export, export_id)
    return elsewhere(run_path(export.run_id)) if export and export.run_id else ""
