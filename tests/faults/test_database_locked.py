"""Another process holds SQLite's write lock, or PostgreSQL is gone: writers wait or are told, readers read on, nothing is
half done."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import func, select

from app.db import session_scope
from app.lab.actor import first_actor
from app.lab.sign_in import make_token
from app.migrate import migrate
from app.tables import AuditEntry, Dataset, Experiment, Reservation, Run, TokenKind
from tests.compose import OwnPostgres
from tests.fresh import application, forget_settings

HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA busy_timeout=20000")
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("COMMIT")
"""
# What a writer waits at most: the busy timeout of app/db.py.
WAIT_SECONDS = 30.0


@contextmanager
def held(database: Path, seconds: float) -> Iterator[None]:
    """Another process has the write lock for so long."""
    command = [sys.executable, "-c", HOLD, str(database), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield


def reading(client: TestClient, stop: threading.Event, seconds: list[float]) -> None:
    """Loads a page again and again."""
    while not stop.wait(0.1):
        began = time.monotonic()
        assert client.get("/datasets").status_code == 200
        seconds.append(time.monotonic() - began)


@contextmanager
def pages_meanwhile(client: TestClient) -> Iterator[list[float]]:
    """How long pages take while the block lasts, in seconds."""
    stop, seconds = threading.Event(), list[float]()
    reader = threading.Thread(target=reading, args=(client, stop, seconds))
    reader.start()
    try:
        yield seconds
    finally:
        stop.set()
        reader.join()


@pytest.mark.slow
@pytest.mark.laptop
def test_what_cannot_be_recorded_is_not_given_out(home: Path, client: TestClient, dataset: Dataset) -> None:
    """A download has its line in the audit log before its first byte leaves."""
    path = f"/datasets/{dataset.id}/splits/1.jsonl"
    assert client.get(path).status_code == 200
    with held(home / "tunebook.db", WAIT_SECONDS + 5):
        refused = client.get(path)
        assert refused.status_code == 503
        assert "cannot be recorded" in refused.text
    assert client.get(path).status_code == 200


def count(table: Any) -> int:
    """How many rows there are, by a session that takes no lock."""
    with session_scope(write=False) as session:
        return session.exec(select(func.count()).select_from(table)).one()


@pytest.mark.laptop
@pytest.mark.parametrize(
    "seconds", [0.7, *(pytest.param(each, marks=pytest.mark.slow) for each in (3.0, 60.0))]
)
def test_a_locked_database_makes_writers_wait_or_says_so(
    home: Path, client: TestClient, dataset: Dataset, seconds: float
) -> None:
    body = {
        "dataset_id": dataset.id,
        "models": [{"model": "baseline/majority"}],
        "seeds": [1],
        "launch_key": "k" * 16,
    }
    launches, audited = "/api/v1/experiments", count(AuditEntry)
    assert client.get("/datasets").status_code == 200
    with pages_meanwhile(client) as times, held(home / "tunebook.db", seconds):
        began = time.monotonic()
        answer = client.post(launches, json=body)
        waited = time.monotonic() - began
        if seconds > WAIT_SECONDS:
            assert answer.status_code == 503, answer.text
            assert "locked" in answer.json()["detail"]
            assert "not made twice" in answer.json()["hint"]
            assert WAIT_SECONDS - 1 < waited < WAIT_SECONDS + 5
            assert [count(table) for table in (Experiment, Run, AuditEntry)] == [0, 0, audited]
            # The second waits for the rest of the lock's time, which is no longer than a writer waits.
            time.sleep(2)
            answer = client.post(launches, json=body)
        assert answer.status_code == 201, answer.text
    assert client.post(launches, json=body).json()["id"] == answer.json()["id"]
    assert (count(Experiment), count(Run), count(Reservation)) == (1, 1, 0)
    times.sort()
    print(
        f"locked for {seconds:g} s: a launch was answered after {waited:.1f} s; {len(times)} pages meanwhile,",
        end=" ",
    )
    print(f"p95 {times[int(len(times) * 0.95)]:.3f} s")


@pytest.mark.slow
@pytest.mark.laptop
def test_without_postgresql_each_page_says_so_and_it_mends_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres = OwnPostgres()
    try:
        monkeypatch.setenv("TUNEBOOK_DATA", str(tmp_path))
        monkeypatch.setenv("TUNEBOOK_DATABASE_URL", postgres.address)
        forget_settings()
        migrate()
        with session_scope() as session:
            secret = make_token(session, first_actor(session), TokenKind.API, "tests")
        headers = {"authorization": f"Bearer {secret}"}
        with TestClient(application(), "http://localhost", False, headers=headers) as client:
            assert client.get("/datasets").status_code == 200
            for _ in range(3):
                postgres.fail()
                for path in ("/", "/datasets", "/api/v1/datasets", "/sign-in"):
                    began = time.monotonic()
                    answer = client.get(path)
                    assert answer.status_code == 503, (path, answer.text)
                    assert time.monotonic() - began < 2
                    assert "The database does not answer now." in answer.text
                    assert "Traceback" not in answer.text
                postgres.start()
                assert client.get("/datasets").status_code == 200
    finally:
        forget_settings(close=True)
        postgres.stop()
