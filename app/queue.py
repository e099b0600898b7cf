"""The way from the web to the workers: a message is only a nudge with a row's id, sent after the commit.

Rows are the truth (their state and due time), so a lost message costs a second, not a run: see
workers/sweep.py. `app` never imports `workers`; it names tasks.
"""

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import kombu.exceptions
from celery import Celery
from sqlalchemy import event
from sqlmodel import Session

from app.config import settings
from app.file_queue import SCHEME
from app.log import log

CHECK_DATASET = "datasets.check"
ADVANCE_RUN = "runs.advance"
CHECK_ENDPOINT = "endpoints.check"
CHECK_CREDENTIAL = "settings.check_credential"
LOOK_AT_MODEL = "settings.look_at_model"
ADVANCE_JUDGING = "judgings.advance"
MAKE_EXPORT = "exports.make"
TEST_PAIR = "comparisons.test_pair"
LOOK_FOR_ORPHANS = "orphans.look"
LOOK_AT_ACCOUNT = "orphans.look_at"
CHECK_MACHINE = "machines.check"
TIDY_MACHINE = "machines.tidy"
WATCH_DEPLOYMENT = "deployments.watch"
FETCH_WEIGHTS = "rescues.fetch_weights"
DELIVER = "notifications.deliver"
PUSH_FILE = "stored_files.push"
TIDY_FILES = "stored_files.tidy"
LAUNCH_JOB = "door.launch_job"
WORK_BATCH = "door.work_batch"
TIDY_DOOR = "door.tidy"
SWEEP = "sweep.look"

# Once the broker did not take a message, this process leaves it alone for so long: a launch of many runs must not wait
# for each, and the sweep nudges them anyway.
PAUSE_SECONDS = 5.0
# What the sending side waits for at most: somebody waits for the page.
ANSWER_SECONDS = 0.5

# What asks services and other machines; everything else is work of the processor. Runs go by what they need.
REMOTE = (
    CHECK_ENDPOINT,
    CHECK_CREDENTIAL,
    LOOK_AT_MODEL,
    ADVANCE_JUDGING,
    LOOK_FOR_ORPHANS,
    LOOK_AT_ACCOUNT,
    CHECK_MACHINE,
    TIDY_MACHINE,
    WATCH_DEPLOYMENT,
    FETCH_WEIGHTS,
    DELIVER,
    PUSH_FILE,
    TIDY_FILES,
)


def machine_queue(machine: str) -> str:
    """The queue that only the workers of `machine` listen to."""
    return f"machine.{machine}"


def my_queues() -> list[str]:
    """The queues that this machine's workers listen to; [""] on files, where one queue is enough."""
    if not settings().broker_url:
        return [""]
    return ["", *settings().queues, machine_queue(settings().machine_name)]


def broker_options() -> dict[str, Any]:
    """Celery settings for both shapes: files on a laptop, Redis on a server."""
    if settings().broker_url:
        return {
            "broker_url": settings().broker,
            "task_default_queue": "cpu",
            "task_routes": {task: {"queue": "remote"} for task in REMOTE},
            "broker_transport_options": {
                "visibility_timeout": 300,
                "unacked_restore_throttle": 1,
                "unacked_restore_interval": 2,
                "socket_timeout": 10,
            },
        }
    folder = settings().folder / "queue"
    for name in ("messages", "control"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return {
        "broker_url": f"{SCHEME}://",
        "broker_transport_options": {
            "data_folder_in": str(folder / "messages"),
            "data_folder_out": str(folder / "messages"),
            "control_folder": str(folder / "control"),
            "polling_interval": 0.05,
        },
    }


@lru_cache
def producer() -> Celery:
    """The Celery application that only sends. The worker's own is in workers/celery_app.py."""
    celery = Celery("tunebook", set_as_current=False)
    celery.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True, **broker_options())
    if settings().broker_url:
        celery.conf.broker_transport_options |= {
            "socket_timeout": ANSWER_SECONDS,
            "socket_connect_timeout": ANSWER_SECONDS,
            "max_retries": 0,
        }
    return celery


@dataclass
class Refusal:
    """Why the broker did not take the last message, and until when it is left alone; "" when it did."""

    said: str = ""
    until: float = 0.0


@lru_cache
def refusal() -> Refusal:
    """What this process knows of its broker."""
    return Refusal()


def enqueue(session: Session, task: str, row_id: int) -> None:
    """Asks for `task` on the row `row_id` once this session has committed; dropped on rollback."""
    session.info.setdefault("outbox", []).append((task, row_id))


def send(task: str, *arguments: int) -> None:
    """Sends now. A broker that does not answer is only logged: the sweep nudges again."""
    send_to("", task, *arguments)


def send_to(queue: str, task: str, *arguments: int) -> None:
    """Sends to the queue of that name, "" for the task's own; else like send()."""
    where, known = {"queue": queue} if queue else {}, refusal()
    if time.monotonic() < known.until:
        return
    try:
        producer().send_task(task, args=arguments, retry=False, expires=60, **where)
        known.said = ""
    except (kombu.exceptions.KombuError, OSError) as error:
        known.said, known.until = str(error), time.monotonic() + PAUSE_SECONDS
        log.warning("queue did not take %s%s: %s", task, arguments, error)


@event.listens_for(Session, "after_commit")
def _send_outbox(session: Session) -> None:
    for task, row_id in dict.fromkeys(session.info.pop("outbox", [])):
        send(task, row_id)


@event.listens_for(Session, "after_rollback")
def _drop_outbox(session: Session) -> None:
    session.info.pop("outbox", None)
