"""Backup while a real Tunebook uploads, launches and finishes runs: what was committed by then is in it, whole."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import Connection, Table, func
from sqlmodel import col, select

from app.backup import backup
from app.config import database_address
from app.database_rows import read_rows, tables_of
from app.datasets.service import upload_dataset
from app.db import dispose, make_engine, session_scope
from app.lab.actor import Actor
from app.restore import restore
from app.storage import incoming_file
from app.tables import Dataset, Item
from app.vault import fingerprint, unseal
from tests.compose import OwnPostgres
from tests.fresh import forget_settings
from tests.stack import ROOT, Stack, rule_rows, wait_for
from workers.datasets import check

GRID = [{"model": "baseline/majority"}, {"model": "baseline/nearest"}, {"model": "baseline/tfidf-linear"}]
SECRET = "sk-canary-of-the-endpoint"
PAIRS = ("SQLite and files", "PostgreSQL and Redis")
Rows = dict[str, list[dict[str, Any]]]


@dataclass
class Places:
    """Where a Tunebook and its restored copies live: each with a folder, a database and a queue of its own."""

    folder: Path
    redis: str
    postgres: OwnPostgres | None
    made: int = 0

    def environment(self) -> dict[str, str]:
        """Settings of a new, empty place."""
        self.made += 1
        data = self.folder / f"data-{self.made}"
        data.mkdir(mode=0o700)
        found = {"TUNEBOOK_DATA": str(data), "TUNEBOOK_ALLOW_PRIVATE_BASE_URLS": "1"}
        if self.postgres:
            name = f"place_{self.made}"
            with psycopg.connect(self.postgres.server.get_uri(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name} OWNER tunebook")
            address = self.postgres.address.replace("/tunebook?", f"/{name}?")
            found |= {
                "TUNEBOOK_DATABASE_URL": address,
                "TUNEBOOK_BROKER_URL": f"{self.redis}/{self.made}",
            }
        return found

    def stack(self, environment: dict[str, str]) -> Stack:
        """A Tunebook of that place, not started."""
        stack = Stack(Path(environment["TUNEBOOK_DATA"]))
        stack.environment |= environment
        return stack


@pytest.fixture(params=PAIRS)
def places(request: pytest.FixtureRequest, tmp_path: Path, redis: Any) -> Iterator[Places]:
    """On both pairs of database and queue."""
    postgres = OwnPostgres() if request.param == PAIRS[1] else None
    yield Places(tmp_path, redis.connection_url, postgres)
    if postgres:
        postgres.stop()


@dataclass
class Load:
    """Threads that upload and launch without a pause until they are told to stop."""

    stack: Stack
    launched: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, count: int) -> None:
        """Begins."""
        self.threads = [threading.Thread(target=self._work, args=(each,)) for each in range(count)]
        for thread in self.threads:
            thread.start()

    def _work(self, number: int) -> None:
        turn = 0
        while not self.over.is_set():
            turn += 1
            try:
                dataset = self.stack.upload(rule_rows(200 + 1000 * number + turn))
                body = {"dataset_id": dataset, "models": GRID, "seeds": [1]}
                made = self.stack.call("POST", "/experiments", json=body)["id"]
                self.launched.append(made)
                # Else runs would queue up that no test can wait for.
                while not self.over.is_set() and self._waits(made):
                    self.over.wait(0.2)
            except httpx.HTTPStatusError as error:
                self.refused.append(error.response.text)

    def _waits(self, experiment: int) -> bool:
        runs = self.stack.call("GET", f"/experiments/{experiment}")["runs"]
        return not any(run["state"] == "done" for run in runs)

    def stop(self) -> None:
        """Ends."""
        self.over.set()
        for thread in self.threads:
            thread.join()


def rows(environment: dict[str, str], *names: str) -> Rows:
    """Rows of tables as plain values, read beside the application."""
    url = environment.get("TUNEBOOK_DATABASE_URL", "")
    address = database_address(url) if url else f"sqlite:///{environment['TUNEBOOK_DATA']}/tunebook.db"
    engine = make_engine(address, False)
    with engine.connect() as connection:
        tables = tables_of(connection)
        found = {name: _named(connection, tables[name]) for name in names}
    engine.dispose()
    return found


def _named(connection: Connection, table: Table) -> list[dict[str, Any]]:
    return [dict(zip(table.columns.keys(), row, strict=True)) for row in read_rows(connection, table)]


def tunebook(environment: dict[str, str], *arguments: str, good: bool = True) -> str:
    """The command as a process; gives what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        env={**os.environ, **environment}, cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (done.returncode == 0) == good, done.stdout + done.stderr
    return done.stdout + done.stderr


def by_key(found: Rows) -> dict[tuple[int, int], dict[str, Any]]:
    """Predictions by evaluation and item."""
    return {(row["evaluation_id"], row["number"]): row for row in found["prediction"]}


def check_whole(environment: dict[str, str], committed: Rows, live: Rows) -> None:
    """Each prediction that was committed is there and equal, and whatever a row promises is there."""
    found = rows(environment, "prediction", "evaluation", "run", "dataset")
    predictions, later = by_key(found), by_key(live)
    assert by_key(committed).keys() <= predictions.keys()
    assert all(row == later[key] for key, row in predictions.items())
    counted = Counter(evaluation for evaluation, _ in predictions)
    assert {row["id"]: row["items"] for row in found["evaluation"]} == counted
    done = {row["id"] for row in found["run"] if row["state"] == "done"}
    assert done == {row["run_id"] for row in found["evaluation"]}
    for row in found["dataset"]:
        file = Path(environment["TUNEBOOK_DATA"], "datasets", str(row["id"]))
        assert row["state"] != "ready" or hashlib.sha256(file.read_bytes()).hexdigest() == row["sha256"]


@pytest.mark.slow
def test_backups_under_load_restore_every_prediction_and_secret(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = places.environment()
    stack = places.stack(there)
    kept = places.folder / "backups"
    kept.mkdir()
    try:
        stack.start()
        endpoint = {"name": "local", "base_url": "http://127.0.0.1:1/v1", "model": "m", "key": SECRET}
        stack.call("POST", "/endpoints", json=endpoint)
        load = Load(stack)
        load.start(3)
        wait_for(lambda: sum(row["state"] == "done" for row in rows(there, "run")["run"]) >= 6, 240)
        taken = []
        for number in range(2):
            committed, states = rows(there, "prediction"), rows(there, "run")["run"]
            tunebook(there, "backup", str(kept / f"{number}.zip"))
            taken.append((kept / f"{number}.zip", committed, states))
        after = rows(there, "run")["run"]
        assert (
            Counter(run["state"] for run in after)["done"] > Counter(run["state"] for run in states)["done"]
        )
        load.stop()
        assert load.refused == []
        live = rows(there, "prediction", "run")
        done = [run["id"] for run in live["run"] if run["state"] == "done"]
        csv = {run_id: stack.call("GET", f"/runs/{run_id}/predictions.csv") for run_id in done}
    finally:
        stack.stop()
    key = Path(there["TUNEBOOK_DATA"], "vault.key").read_bytes()
    for path, committed, states in taken:
        fresh = places.environment()
        said = tunebook(fresh, "restore", str(path), good=False)
        assert "The master key is missing: the backup holds 1 secret(s)" in said
        assert fingerprint(key) in said
        Path(fresh["TUNEBOOK_DATA"], "vault.key").touch(0o600)
        Path(fresh["TUNEBOOK_DATA"], "vault.key").write_bytes(key)
        tunebook(fresh, "restore", str(path))
        check_whole(fresh, committed, live)
        assert {run["id"] for run in states} <= {run["id"] for run in rows(fresh, "run")["run"]}
    doctor = json.loads(tunebook_doctor(fresh))
    assert next(each for each in doctor if each["name"] == "master key")["ok"]
    with monkeypatch.context() as patch:
        for name, value in fresh.items():
            patch.setenv(name, value)
        forget_settings()
        assert [unseal(row["sealed_key"]) for row in rows(fresh, "endpoint")["endpoint"]] == [SECRET]
    forget_settings(close=True)
    goes_on(places.stack(fresh), csv)


def tunebook_doctor(environment: dict[str, str]) -> str:
    """Doctor's answer as JSON, whatever else it finds (nothing runs there yet)."""
    command = [sys.executable, "-m", "app", "doctor", "--json"]
    done = subprocess.run(
        command, env={**os.environ, **environment}, cwd=ROOT, capture_output=True, text=True
    )
    return done.stdout


def goes_on(stack: Stack, csv: dict[int, str]) -> None:
    """The restored Tunebook ends the runs that were under way, and gives out the very bytes that the old one did."""
    try:
        stack.start()
        runs = rows(stack.environment, "run")["run"]
        for run in runs:
            wait_for(lambda run=run: stack.call("GET", f"/runs/{run['id']}")["state"] == "done", 240)
            # One that was not done by then is done anew, and takes another time for each answer.
            if run["state"] == "done":
                assert stack.call("GET", f"/runs/{run['id']}/predictions.csv") == csv[run["id"]]
    finally:
        stack.stop()


def upload_without_end(actor: Actor) -> None:
    """What a web process and a worker do: datasets of many items, each in a transaction of its own."""
    dispose()
    for number in count():
        path, data = incoming_file(f"load-{number}"), rule_rows(50 + number).encode()
        path.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        with session_scope() as session:
            made = upload_dataset(session, actor, path, file_name="load.jsonl", sha256=digest, size=len(data))
            made_id = made.id or 0
        check(made_id)


@pytest.mark.laptop
def test_a_backup_beside_uploads_is_of_one_moment(
    home: Path,
    actor: Actor,
    postgres: Any,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From SQLite onto PostgreSQL; the slow test above goes from each onto its own kind."""
    child = os.fork()
    if not child:
        try:
            upload_without_end(actor)
        finally:
            os._exit(1)
    try:
        wait_for(lambda: (home / "datasets" / "3").exists(), 60)
        path, made = backup(tmp_path_factory.mktemp("kept") / "one.zip", with_key=True)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert made.missing == []
    fresh = tmp_path_factory.mktemp("fresh")
    address = postgres.fresh()
    monkeypatch.setenv("TUNEBOOK_DATA", str(fresh))
    monkeypatch.setenv("TUNEBOOK_DATABASE_URL", address)
    forget_settings()
    restore(path)
    with session_scope(write=False) as session:
        ready = session.exec(select(Dataset).where(Dataset.state == "ready")).all()
        counted = dict(
            session.exec(select(Item.dataset_id, func.count()).group_by(col(Item.dataset_id))).all()
        )
        for row in ready:
            assert counted[row.id] == row.items
            assert hashlib.sha256((fresh / "datasets" / str(row.id)).read_bytes()).hexdigest() == row.sha256
    assert len(ready) >= 2
    forget_settings(close=True)
