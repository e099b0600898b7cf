"""The check as a task: killed and begun again, run twice at once, given up, flat in memory."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, func, select

from app.datasets import check_file
from app.lab.actor import Actor
from app.tables import Dataset, Item, Split
from tests.datasets.checked import chat, colours, jsonl, look
from tests.pages import upload
from workers import datasets as worker
from workers.sweep import look as sweep

CHECK = "import sys; from workers.datasets import check; check(int(sys.argv[1]))"


def counts(session: Session, dataset_id: int) -> tuple[int, int]:
    """(items, splits) in the database."""
    session.rollback()
    found = tuple(
        session.exec(select(func.count()).select_from(table).where(table.dataset_id == dataset_id)).one()
        for table in (Item, Split)
    )
    session.rollback()
    return found[0], found[1]


def test_killed_at_any_moment_it_begins_again_and_ends_once(
    client: TestClient, session: Session, actor: Actor
) -> None:
    dataset_id = upload(session, actor, "a.jsonl", jsonl(*colours(60_000)), check=False)
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", CHECK, str(dataset_id)])
        while look(client, dataset_id)["progress"] < 0.3 and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    if look(client, dataset_id)["state"] != "ready":
        # The lease of the dead process still stands; the sweep of the same machine sees that its owner is gone.
        sweep()
        worker.check(dataset_id)
    assert look(client, dataset_id)["state"] == "ready"
    assert counts(session, dataset_id) == (60_000, 1)


def test_the_second_of_two_at_once_does_nothing(
    session: Session, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = upload(session, actor, "a.jsonl", jsonl(*colours(9)), check=False)
    entered, go_on, calls = threading.Event(), threading.Event(), []
    check_dataset = check_file.check_dataset

    def slow(*arguments: object) -> None:
        calls.append(1)
        entered.set()
        assert go_on.wait(20)
        check_dataset(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(worker, "check_dataset", slow)
    first = threading.Thread(target=worker.check, args=(dataset_id,))
    first.start()
    assert entered.wait(20)
    worker.check(dataset_id)
    go_on.set()
    first.join()
    worker.check(dataset_id)
    assert calls == [1]
    assert counts(session, dataset_id) == (9, 1)


def test_a_check_that_never_gets_through_is_given_up(
    client: TestClient, session: Session, actor: Actor
) -> None:
    dataset_id = upload(session, actor, "a.jsonl", jsonl(*colours(9)), check=False)
    session.get_one(Dataset, dataset_id).attempt = worker.MOST_ATTEMPTS
    session.commit()
    worker.check(dataset_id)
    found = look(client, dataset_id)
    assert (found["state"], found["problems"][0]["code"]) == ("refused", "check-failed")


def test_a_file_that_is_gone_is_said(client: TestClient, home: Path, session: Session, actor: Actor) -> None:
    dataset_id = upload(session, actor, "a.jsonl", jsonl(*colours(9)), check=False)
    (home / "datasets" / str(dataset_id)).unlink()
    worker.check(dataset_id)
    assert look(client, dataset_id)["problems"][0]["code"] == "file-missing"


def test_a_stored_file_that_is_gone_is_said(
    client: TestClient, home: Path, session: Session, actor: Actor
) -> None:
    dataset_id = upload(session, actor, "a.jsonl", jsonl(*colours(9)))
    (home / "datasets" / str(dataset_id)).unlink()
    answer = client.get(f"/api/v1/datasets/{dataset_id}/items")
    assert answer.status_code == 409
    assert "missing" in answer.json()["detail"]


MEMORY = """
import sys
from tests.bench.ingest import memory
from workers.datasets import check
used = memory("VmRSS")
check(int(sys.argv[1]))
print(memory("VmHWM") - used)
"""


def test_checking_64_mb_takes_little_memory(client: TestClient, session: Session, actor: Actor) -> None:
    row = jsonl(chat("number %07d " + "and some words of text " * 18, "red")).decode()
    data = "".join(row % (n - n % 5) for n in range(140_000)).encode()
    dataset_id = upload(session, actor, "a.jsonl", data, check=False)
    size = len(data)
    del data
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(dataset_id)],
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    found = look(client, dataset_id)
    assert size > 64_000_000
    assert (found["state"], found["items"]) == ("ready", 140_000)
    assert {warning["code"]: warning["count"] for warning in found["warnings"]}["duplicate"] == 112_000
    assert float(done.stdout) < 64
