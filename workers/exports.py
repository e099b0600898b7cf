"""The task that makes an export: a conversion, a package, a push."""

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
