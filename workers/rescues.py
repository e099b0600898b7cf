"""The task that fetches the weights of a run once more, when a person asks for it."""

from app.queue import FETCH_WEIGHTS
from app.runs.rescue_again import fetch_once
from app.tables import RescueRow, RescueState
from workers.celery_app import celery
from workers.task import lease


@celery.task(name=FETCH_WEIGHTS)
def fetch_weights(rescue_id: int) -> None:
    """Safe to run twice at once: the second finds the lease taken and does nothing."""
    with lease(RescueRow, rescue_id, (RescueState.ASKED,)) as held:
        if held is not None:
            fetch_once(held.read(), held.write)
