"""A large lab for benchmarks: its rows, made by real tables, and a real web process over them on either database."""

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from sqlalchemy import insert, text
from sqlmodel import Session, select

from app.clock import now
from app.db import is_sqlite, session_scope
from app.lab.actor import Actor, first_actor
from app.lab.sign_in import make_token
from app.metrics import for_task
from app.migrate import migrate
from app.storage import dataset_file
from app.tables import Dataset, Evaluation, Experiment, Run, RunState, Score, Scoring, Split, TokenKind
from tests.fresh import forget_settings
from tests.source import ROOT

DATASETS, EXPERIMENTS, RUNS, MODELS = 1_000, 200, 10_000, 40
# Of a hundred runs these failed and these were cancelled; the rest is done. The newest 200 are under way.
FAILED, CANCELLED, UNDER_WAY = 4, 1, 200


@dataclass
class Web:
    """A web process with a signed-in browser's cookie."""

    process: "subprocess.Popen[bytes]"
    port: int
    cookie: str

    def connect(self) -> http.client.HTTPConnection:
        """A connection that is kept open."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def milliseconds(self, connection: http.client.HTTPConnection, path: str) -> float:
        """How long one page takes, its body read; it must be there."""
        start = time.perf_counter()
        connection.request("GET", path, headers={"Cookie": self.cookie})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (path, answer.status, body[:300])
        return (time.perf_counter() - start) * 1000


@contextmanager
def large_lab(database: str = "sqlite") -> Iterator[Web]:
    """The web process over 10,000 runs, on "sqlite" or "postgresql"."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"TUNEBOOK_DATA": folder}
        server = None
        if database == "postgresql":
            from tests.servers import Postgres

            server = Postgres()
            settings["TUNEBOOK_DATABASE_URL"] = server.emptied()
        try:
            with patch.dict(os.environ, settings):
                forget_settings()
                migrate()
                with session_scope() as session:
                    actor = first_actor(session)
                    fill(session, actor)
                    secret = make_token(session, actor, TokenKind.SESSION, "bench")
                with session_scope() as session:
                    session.execute(text("ANALYZE"))
                forget_settings(close=True)
                with web_process() as (process, port):
                    yield Web(process, port, f"tunebook_session={secret}")
        finally:
            forget_settings()
            if server:
                server.stop()


@contextmanager
def web_process() -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Tunebook's web process with the settings of the environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = {**os.environ, "TUNEBOOK_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-m", "app.serve"], cwd=ROOT, env=environment)
    try:
        wait_until_answered(port, "/healthz", 60)
        yield process, port
    finally:
        process.terminate()
        process.wait(20)


def wait_until_answered(port: int, path: str, seconds: float) -> None:
    """Returns once the server answers; raises when it does not within so many seconds."""
    give_up = time.monotonic() + seconds
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        assert time.monotonic() < give_up, f"nothing answers on port {port}"
        time.sleep(0.2)


def fill(session: Session, actor: Actor) -> None:
    """Datasets, experiments, and runs with a ledger of 20 values and 15 to 20 scores."""
    owner = {"project_id": actor.project_id, "maker_id": actor.member_id}
    datasets = [
        {
            **owner,
            "id": n,
            "name": f"dataset {n}",
            "task": "classification",
            "labels": ["a", "b"],
            "state": "ready",
            "format": "preference",
            "row_format": "preference",
        }
        for n in range(1, DATASETS + 1)
    ]
    session.execute(insert(Dataset), datasets)
    for n in range(1, EXPERIMENTS + 1):
        # A run's page opens its dataset's file, and would say that it is missing.
        dataset_file(n).parent.mkdir(parents=True, exist_ok=True)
        dataset_file(n).touch()
    splits = [
        {
            **owner,
            "id": n,
            "dataset_id": n,
            "name": "seeded",
            "kind": "seeded",
            "parts": b"\0\1\2",
            "sha256": f"{n:064x}",
        }
        for n in range(1, DATASETS + 1)
    ]
    session.execute(insert(Split), splits)
    experiments = [
        {**owner, "id": n, "name": f"experiment {n}", "dataset_id": n, "split_id": n, "launch_key": f"e{n}"}
        for n in range(1, EXPERIMENTS + 1)
    ]
    session.execute(insert(Experiment), experiments)
    session.execute(insert(Run), [_run(n, owner) for n in range(1, RUNS + 1)])
    scored = list(session.exec(select(Run.id).where(Run.state == RunState.DONE)))
    session.execute(insert(Evaluation), [{**owner, "id": n, "run_id": n, "items": 500} for n in scored])
    session.execute(insert(Scoring), [{**owner, "id": n, "evaluation_id": n} for n in scored])
    for place, metric in enumerate(for_task(None)):
        if metric.format != "table":
            session.execute(insert(Score), [_score(n or 0, metric.name, place) for n in scored])
    if not is_sqlite(session):
        for table in ("dataset", "split", "experiment", "run", "evaluation", "scoring"):
            session.execute(
                text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {RUNS + DATASETS})")
            )


def _run(n: int, owner: dict[str, int]) -> dict[str, Any]:
    state = RunState.FAILED if n % 100 < FAILED else RunState.DONE
    state = RunState.CANCELLED if n % 100 == FAILED + CANCELLED else state
    state = RunState.TRAINING if n > RUNS - UNDER_WAY else state
    ledger = {f"parameter {k}": {"asked": k, "sent": k, "resolved": k, "source": "you"} for k in range(20)}
    place = n % EXPERIMENTS + 1
    return {
        **owner,
        "id": n,
        "experiment_id": place,
        "dataset_id": place,
        "split_id": place,
        "model": f"hf/lab/model-{n // EXPERIMENTS % MODELS}" if n % 8 else "baseline/majority",
        "seed": n % 5,
        "state": state,
        "progress": 0.5 if state == RunState.TRAINING else 1.0,
        "launch_key": f"r{n}",
        "ledger": ledger,
        "snapshot": {"parameters": 850_000, "packages": {f"package {k}": "1.0" for k in range(60)}},
        "started_at": now() - timedelta(seconds=90),
        "ended_at": None if state == RunState.TRAINING else now(),
    }


def _score(n: int, name: str, place: int) -> dict[str, Any]:
    value = (n * 7919 + place * 104729) % 10007 / 10007
    return {
        "scoring_id": n,
        "name": name,
        "subset": "all",
        "value": value,
        "low": 0.1,
        "high": 0.9,
        "n": 500,
        "detail": {},
    }
