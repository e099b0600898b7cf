"""The task that tries an endpoint."""

from app.clock import now
from app.db import session_scope
from app.queue import CHECK_ENDPOINT
from app.settings.check import try_endpoint
from app.tables import Endpoint, EndpointState
from workers.celery_app import celery
from workers.task import guarded, lease


@celery.task(name=CHECK_ENDPOINT)
def check(endpoint_id: int) -> None:
    """Safe to run twice at once: the second finds the lease taken. A repeated check does no harm."""
    with lease(Endpoint, endpoint_id, (EndpointState.CHECKING,)) as held:
        if held is None:
            return
        with session_scope(write=False) as session:
            endpoint = session.get_one(Endpoint, endpoint_id)

        def step() -> None:
            state, note = try_endpoint(endpoint)
            held.save(state=state, note=note[:2000], checked_at=now())

        def fail(message: str, hint: str) -> None:
            note = f"{message} {hint}"[:2000]
            held.save(state=EndpointState.FAILED, note=note, checked_at=now())

        guarded(step, fail, "checking an endpoint")
