"""The tasks that ask hosted services about keys and models."""

from app.clock import now
from app.db import session_scope
from app.queue import CHECK_CREDENTIAL, LOOK_AT_MODEL
from app.runs.paused import nudge_paused
from app.settings import key_check
from app.settings.key_check import Found, check_credential, store_offers
from app.tables import Credential, CredentialState
from workers.celery_app import celery
from workers.task import Lease, guarded, lease

WATCHED = (CredentialState.CHECKING, CredentialState.READY, CredentialState.FAILED)


@celery.task(name=CHECK_CREDENTIAL)
def check(credential_id: int) -> None:
    """Safe to run twice at once: the second finds the lease taken. A repeated check costs nothing."""
    with lease(Credential, credential_id, WATCHED) as held:
        if held is None:
            return
        with session_scope(write=False) as session:
            credential = session.get_one(Credential, credential_id)

        def fail(message: str, hint: str) -> None:
            _store(held, credential, key_check.failed(f"{message} {hint}".strip()))

        guarded(lambda: _store(held, credential, check_credential(credential)), fail, "checking a key")


def _store(held: Lease, asked: Credential, found: Found) -> None:
    """Keeps what was found, unless the key was replaced or removed meanwhile: then its own check follows. A key that
    works again lets the runs go on that waited for it."""
    with held.write() as session:
        row = session.get_one(Credential, asked.id)
        if (row.sealed_key, row.host, row.fields) != (asked.sealed_key, asked.host, asked.fields):
            return
        works_now = found.state == CredentialState.READY and asked.state != CredentialState.READY
        row.state, row.note, row.account = found.state, found.note, found.account
        row.checked_at, row.due_at = now(), found.due_at
        session.add(row)
        store_offers(session, row, found)
        if works_now:
            nudge_paused(session, row.provider, row.project_id)


@celery.task(name=LOOK_AT_MODEL)
def look_at_model(offer_id: int) -> None:
    """Asks about one model. A lost message is sent again by the page that waits for the answer."""
    key_check.look_at_model(offer_id)
