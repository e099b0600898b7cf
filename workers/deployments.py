"""The task that watches one deployment: the guard that stops what is idle, and what its run no longer needs."""

from app.queue import WATCH_DEPLOYMENT
from app.runs.deployments import LOOKED, watch
from app.tables import DeploymentRow
from workers.celery_app import celery
from workers.task import lease


@celery.task(name=WATCH_DEPLOYMENT)
def watch_one(deployment_id: int) -> None:
    """Safe to run twice at once: the second finds the lease taken and does nothing."""
    with lease(DeploymentRow, deployment_id, LOOKED) as held:
        if held is not None:
            watch(held.read(), held.write)
