"""The worker's Celery application: the same code on the embedded queue and on Redis.

Started as `celery -A workers.celery_app worker`, beside `celery -A workers.celery_app beat`, the clock that
drives the sweep. Several clocks do no harm: each look is safe to take twice.
"""

import logging
import threading
import time
from typing import Any

from celery import Celery
from celery.signals import (
    beat_embedded_init,
    beat_init,
    setup_logging,
    worker_init,
    worker_process_init,
    worker_ready,
)
from sqlalchemy.exc import InterfaceError, OperationalError

from app import db
from app.config import settings
from app.errors import TunebookError
from app.log import log, set_up_logging
from app.queue import LOOK_FOR_ORPHANS, SWEEP, TIDY_DOOR, TIDY_FILES, broker_options
from app.runs.hosts import BEAT_SECONDS, beat
from app.tether import hold_tether
from workers.task import owner_name

celery = Celery(
    "tunebook",
    include=[
        "workers.sweep",
        "workers.datasets",
        "workers.runs",
        "workers.orphans",
        "workers.deployments",
        "workers.rescues",
        "workers.exports",
        "workers.door",
        "workers.comparisons",
        "workers.endpoints",
        "workers.machines",
        "workers.settings",
        "workers.judgings",
        "workers.notifications",
        "workers.stored_files",
        "workers.traces",
    ],
)
celery.conf.update(
    # Results belong in the database.
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    # Rows carry leases and the sweep nudges again, so early acknowledgement loses nothing.
    task_acks_late=False,
    worker_prefetch_multiplier=1,
    # Nobody inspects or revokes tasks; a run is cancelled by its row.
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    broker_connection_retry_on_startup=True,
    enable_utc=True,
    # In memory: a schedule file that a kill cut short would stop the clock for good.
    beat_scheduler="celery.beat:Scheduler",
    beat_schedule={
        "sweep": {"task": SWEEP, "schedule": settings().look_seconds, "options": {"expires": 5}},
        "files": {"task": TIDY_FILES, "schedule": 3600.0},
        "door": {"task": TIDY_DOOR, "schedule": 3600.0},
        "orphans": {"task": LOOK_FOR_ORPHANS, "schedule": settings().orphan_minutes * 60},
    },
    **broker_options(),
)


@setup_logging.connect
def _log(**_: Any) -> None:
    set_up_logging()
    for name, level in (("celery", logging.WARNING), ("kombu", logging.ERROR)):
        # Else a worker that gives up would do so without a word.
        logger = logging.getLogger(name)
        logger.handlers[:], logger.propagate = log.handlers, False
        logger.setLevel(level)


@worker_init.connect
@beat_init.connect
@beat_embedded_init.connect
def _hold(**_: Any) -> None:
    hold_tether()


@worker_ready.connect
def _beat(**_: Any) -> None:
    threading.Thread(target=_beats, daemon=True).start()


def _beats() -> None:
    """Says that this worker is alive, for as long as it is."""
    while True:
        try:
            beat(owner_name())
        except (OperationalError, InterfaceError) as error:
            log.warning("this worker could not say that it is alive: %s", error)
        except TunebookError as error:
            log.warning("%s %s", error.message, error.hint)
        time.sleep(BEAT_SECONDS)


@worker_process_init.connect
def _after_fork(**_: Any) -> None:
    hold_tether()
    # Connections must not be shared with the parent process.
    db.dispose()
