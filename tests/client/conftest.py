"""A Tunebook that answers on a port, in this process: its web on a thread, the workers' tasks on another."""

import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from sqlmodel import col, select
from tunebook import Client, Experiment

from app.db import session_scope
from app.lab.actor import first_actor
from app.lab.sign_in import make_token
from app.runs.hosts import make_slots
from app.tables import FINAL, Run, TokenKind
from tests.fresh import application
from tests.stack import rule_rows


class Live:
    """`url` and `token` of the running server."""

    def __init__(self) -> None:
        self.messages: queue.Queue[tuple[str, int]] = queue.Queue()
        config = uvicorn.Config(application(), port=0, log_level="error", lifespan="off")
        self.server = uvicorn.Server(config)
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.server.run), threading.Thread(target=self._work)]
        self.url = self.token = ""

    def start(self) -> None:
        """Returns once it answers."""
        with session_scope() as session:
            self.token = make_token(session, first_actor(session), TokenKind.API, "tests")
        make_slots()
        for thread in self.threads:
            thread.start()
        while not self.server.started:
            time.sleep(0.005)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        """Ends both threads."""
        self.ended.set()
        self.server.should_exit = True
        for thread in self.threads:
            thread.join(20)

    def _work(self) -> None:
        """Does what the queue and the sweep do."""
        from workers.celery_app import celery

        celery.loader.import_default_modules()
        while not self.ended.is_set():
            try:
                task, row_id = self.messages.get(timeout=0.02)
                celery.tasks[task](row_id)
            except queue.Empty:
                with session_scope(write=False) as session:
                    open_runs = session.exec(select(Run.id).where(col(Run.state).not_in(FINAL))).all()
                for run_id in open_runs:
                    celery.tasks["runs.advance"](run_id)


@pytest.fixture
def live(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    """A running Tunebook whose address and token stand in the environment."""
    made = Live()
    for module in ("app.queue", "workers.sweep", "workers.runs", "workers.orphans"):
        monkeypatch.setattr(f"{module}.send", lambda task, row_id: made.messages.put((task, row_id)))
    made.start()
    monkeypatch.setenv("TUNEBOOK_URL", made.url)
    monkeypatch.setenv("TUNEBOOK_TOKEN", made.token)
    yield made
    made.stop()


@pytest.fixture
def lab(live: Live) -> Iterator[Client]:
    """A client of it."""
    with Client() as made:
        yield made


@pytest.fixture
def experiment(lab: Client) -> Experiment:
    """Dataset 1, experiment 1 and its run 1 of the majority class."""
    dataset = lab.upload(rule_rows(50).encode(), "rule")
    return lab.launch(dataset, "baseline/majority").wait()
