"""What is no message of ours in the queue is dropped with a line in the log, and the next task is done."""

import base64
import json
import pickle
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlmodel import Session

from app.config import settings
from app.lab.actor import Actor
from app.queue import CHECK_DATASET, PAUSE_SECONDS, producer, refusal, send
from app.up import worker_command
from tests.stack import rule_rows
from tests.test_queue import add, ready, start  # noqa: F401  a fixture

Start = Callable[[list[str]], "subprocess.Popen[bytes]"]


class _Canary:
    """Unpickling it makes the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (str(self.path), "w")


def poison(canary: Path) -> Iterator[tuple[bytes | str, str, dict[str, Any]]]:
    """(body, content type, headers) of each."""
    known = {"lang": "py", "task": CHECK_DATASET, "id": "x", "argsrepr": "", "kwargsrepr": ""}
    pickled = pickle.dumps(((_Canary(canary),), {}, {}))
    yield pickled, "application/x-python-serialize", known
    yield b"- !!python/object/apply:os.system [true]", "application/x-yaml", known
    yield json.dumps([[1], {}, {}]), "application/json", {**known, "task": "os.system"}
    yield json.dumps([["x" * 10_000_000], {}, {}]), "application/json", {**known, "task": "unknown.task"}
    yield json.dumps([[1, 2, 3], {"path": "/etc/passwd"}, {}]), "application/json", known
    yield "{not json", "application/json", known
    yield json.dumps("no list"), "application/json", {}
    yield b"\xff\x00", "application/json", known


def send_all(canary: Path) -> int:
    queue = (settings().broker_url and "cpu") or "celery"
    count = 0
    with producer().connection_for_write() as connection, connection.channel() as channel:
        for body, kind, headers in poison(canary):
            raw = isinstance(body, bytes)
            body = base64.b64encode(body).decode() if isinstance(body, bytes) else body
            message = channel.prepare_message(
                body, content_type=kind, content_encoding="utf-8", headers=headers
            )
            message["properties"] |= {
                "delivery_info": {"exchange": "", "routing_key": queue},
                "delivery_tag": str(count),
            }
            message["properties"]["body_encoding"] = "base64" if raw else "utf-8"
            channel._put(queue, message)
            count += 1
    return count


def test_poison_is_dropped_and_work_goes_on(
    home: Path,
    start: Start,  # noqa: F811
    session: Session,
    actor: Actor,
) -> None:
    canary = home / "canary"
    pickle.loads(pickle.dumps(_Canary(canary)))
    assert canary.exists(), "the canary is one"
    canary.unlink()
    assert send_all(canary) == 8
    worker = start(worker_command())
    dataset = add(session, actor, "after", rule_rows(20))
    if refusal().said:
        # Ten megabytes may keep the broker busy for longer than a message waits; the sweep, which is not here, nudges.
        time.sleep(PAUSE_SECONDS)
        send(CHECK_DATASET, dataset)
    ready(dataset, 40)
    assert worker.poll() is None
    assert not canary.exists()
    log = (home / "log").read_text(errors="replace")
    assert "os.system" in log, "the unknown task is named"
    assert len(log) < 200_000, "ten megabytes are not written into the log"
