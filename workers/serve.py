"""The worker of the queue of files as a function: what `celery worker` does, and `celery beat` beside the first, for
children that are forks. Named by app/up.py, which imports this before it forks, so that all share what it has read.
"""

import logging
import os
import signal
import socket
import threading
import time
from typing import Any

# Imported here, before the fork, although Celery would import them when it needs them.
import celery.apps.beat
import celery.apps.worker
import celery.concurrency.solo
import celery.worker.consumer  # noqa: F401
import kombu.exceptions
import kombu.transport.virtual

from app.log import log
from workers.celery_app import celery as application

application.loader.import_default_modules()
application.finalize()


def work(number: str, clock: str = "") -> None:
    """One worker of the queue of files, named by its number, until TERM; with `clock`, the one that also drives the
    sweep."""
    if clock:
        threading.Thread(target=_tick, daemon=True).start()
    worker = application.Worker(
        hostname=f"tunebook{number}@{socket.gethostname()}",
        pool_cls="solo",
        loglevel=logging.WARNING,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    raise SystemExit(worker.exitcode)


def _tick() -> None:
    """What `celery beat` does, where a process of its own would be a tenth of all memory. A clock that fails ends its
    worker, which the supervisor starts again."""
    schedule = application.conf.beat_schedule
    due = {name: time.monotonic() + entry["schedule"] for name, entry in schedule.items()}
    try:
        while True:
            time.sleep(max(0.0, min(due.values()) - time.monotonic()))
            for name in [name for name, at in due.items() if at <= time.monotonic()]:
                due[name] = time.monotonic() + schedule[name]["schedule"]
                _send(schedule[name])
    finally:
        os.kill(os.getpid(), signal.SIGTERM)


def _send(entry: dict[str, Any]) -> None:
    try:
        application.send_task(entry["task"], retry=False, **entry.get("options", {}))
    except (kombu.exceptions.KombuError, OSError) as error:
        log.warning("the clock could not send %s: %s", entry["task"], error)
