"""The look for jobs and deployments at hosted services that belong to no run: one message for each account, now and then."""

from app.db import session_scope
from app.errors import TunebookError
from app.log import log
from app.queue import LOOK_AT_ACCOUNT, LOOK_FOR_ORPHANS, send
from app.runs.deployments import look_for_unknown
from app.runs.orphans import accounts, look_at_account
from workers.celery_app import celery


@celery.task(name=LOOK_FOR_ORPHANS)
def look() -> None:
    """Sends a message for each account."""
    with session_scope(write=False) as session:
        found = accounts(session)
    for run_id in found:
        send(LOOK_AT_ACCOUNT, run_id)


@celery.task(name=LOOK_AT_ACCOUNT)
def look_at(run_id: int) -> None:
    """Looks at the account that the run was sent to. Safe to run twice; a service that is away is looked at next time."""
    try:
        look_at_account(run_id)
        look_for_unknown(run_id)
    except TunebookError as error:
        log.warning("the account of run %s was not looked at: %s", run_id, error.message)
