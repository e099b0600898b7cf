"""Runs that may answer at the door, made quickly: rows and folders, no training; and OpenAI's client against the door."""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
import uvicorn
from sqlmodel import Session, col, select

from app.clock import now
from app.door.record import RECORDER
from app.lab.actor import Actor
from app.lab.sign_in import digest, make_token
from app.storage import run_folder
from app.tables import DoorCall, Experiment, Run, RunState, Split, Token, TokenKind
from tests.door.inference import Inference, running
from tests.door.working import sent, work  # noqa: F401  fixtures
from tests.fresh import application
from tests.pages import add_dataset, add_experiment


def add_run(session: Session, actor: Actor, model: str = "starter/tiny", **values: Any) -> Run:
    """A done run with a folder for its weights, committed."""
    dataset = add_dataset(session, actor, f"data {secrets.token_hex(3)}")
    experiment = add_experiment(session, actor, dataset, "made for the door", [])
    split = session.exec(select(Split).where(Split.dataset_id == dataset.id)).one()
    assert isinstance(experiment, Experiment)
    run = Run(
        **{
            "project_id": actor.project_id,
            "maker_id": actor.member_id,
            "experiment_id": experiment.id,
            "dataset_id": dataset.id,
            "split_id": split.id,
            "model": model,
            "seed": 1,
            "launch_key": secrets.token_hex(8),
            "state": RunState.DONE,
            "ended_at": now(),
            **values,
        }
    )
    session.add(run)
    session.flush()
    (run_folder(run.id or 0) / "out" / "model").mkdir(parents=True)
    session.commit()
    return run


@pytest.fixture
def inference(home: Path) -> Iterator[Inference]:
    """A server on the inference socket."""
    with running() as server:
        yield server


@contextmanager
def served() -> Iterator[str]:
    """The whole application behind a real uvicorn; gives its address."""
    server = uvicorn.Server(uvicorn.Config(application(), port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


def make_bearer(session: Session, actor: Actor, **values: Any) -> str:
    """A committed API token; `values` are columns of its row."""
    secret = make_token(session, actor, TokenKind.API, "door")
    row = session.exec(select(Token).where(Token.digest == digest(secret))).one()
    for name, value in values.items():
        setattr(row, name, value)
    session.commit()
    return secret


@pytest.fixture
def door(session: Session, actor: Actor, inference: Inference) -> Iterator[openai.OpenAI]:
    """OpenAI's own client against the door."""
    secret = make_bearer(session, actor)
    with (
        served() as address,
        openai.OpenAI(api_key=secret, base_url=f"{address}/v1", max_retries=0) as opened,
    ):
        yield opened


def calls(session: Session) -> list[DoorCall]:
    """All records of calls, the oldest first."""
    RECORDER.flush()
    # Not by the test's own session, which would hold the lock for writing from here on.
    with Session(session.get_bind(), expire_on_commit=False) as reading:
        found = list(reading.exec(select(DoorCall).order_by(col(DoorCall.id))))
    return found
