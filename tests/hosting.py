"""Hosted runs over the emulated services, made without the launch page: for tests of their steps and of faults."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col, select

from app import preferences
from app.config import settings
from app.db import session_scope
from app.providers import openai
from app.providers._shapes import Offer
from app.runs.hosted import remote_model, training_of
from app.runs.ledger import open_ledger
from app.tables import FINAL, RemoteJobRow, Run, RunState
from tests.emulator import emulator
from tests.emulator.__main__ import environment as everywhere
from tests.emulator._world import World

MODEL = "openai/gpt-4.1-mini-2025-04-14"
VALUES = {"epochs": 3, "batch_size": 4, "learning_rate_multiplier": 1.0}
KEY = "sk-canary-1f0c77"
JOBS = "/v1/fine_tuning/jobs"
CREATE, LIST, POLL = f"openai POST {JOBS}", f"openai GET {JOBS}", f"openai GET {JOBS}/ftjob-??????*"
CANCEL = f"openai POST {JOBS}/*/cancel"
RESTS = (*FINAL, RunState.PAUSED)
Hosted = Callable[..., Any]


@pytest.fixture
def world(home: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The emulated services, with a key for them in the environment; a training takes a third of a second."""
    with emulator(speed=900.0) as running:
        for name, value in environment(running).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(openai, "CREATION_ENDS", "2999-01-01")
        settings.cache_clear()
        yield running


def environment(world: World) -> dict[str, str]:
    """The settings that point Tunebook at every emulated service, with short pauses."""
    found = {name: KEY if name.endswith("_KEY") else value for name, value in everywhere(world).items()}
    return found | {
        "TUNEBOOK_FIREWORKS_ACCOUNT_ID": "lab",
        "TUNEBOOK_REMOTE_POLL_SECONDS": "0.05",
        "TUNEBOOK_LOOK_TIMES": "0,0.1,0.2",
    }


@pytest.fixture
def hosted(launch: Any, world: World) -> Hosted:
    """hosted() gives the id of a queued run at the emulated OpenAI, hosted(3) those of three; model=... elsewhere."""

    def make(count: int = 0, model: str = MODEL, **values: Any) -> Any:
        sent = VALUES if model == MODEL else suggested(model)
        made = launch("baseline/char-trees", seeds=tuple(range(1, max(count, 1) + 1)))
        for run_id in made:
            change(run_id, model=model, ledger=open_ledger(sent, sent, {}), due_at=None, **values)
        return made if count else made[0]

    return make


def suggested(model: str) -> dict[str, Any]:
    """Every value that the model's provider would suggest."""
    offer = Offer(remote_model(model), can_train=True)
    training, facts = training_of(model), {"train_items": 48, "mean_tokens": 20.0, "max_tokens": 30}
    return preferences.suggested(training.hyperparameters(offer), training.suggest(offer, facts), {}, 0)


def read(run_id: int) -> Run:
    """The run as it stands in the database."""
    with session_scope(write=False) as session:
        return session.get_one(Run, run_id)


def change(run_id: int, **values: Any) -> None:
    """Puts the run into a state of the test's choice."""
    with session_scope() as session:
        session.execute(update(Run).where(col(Run.id) == run_id).values(**values))


def unconfirmed(run: Run) -> bool:
    """Whether a person is asked about the run's job."""
    return run.state == RunState.UNKNOWN and row_of(run.id or 0).not_confirmed


def row_of(run_id: int) -> RemoteJobRow:
    """The run's job row."""
    with session_scope(write=False) as session:
        return session.exec(select(RemoteJobRow).where(RemoteJobRow.run_id == run_id)).one()


def go(*run_ids: int, until: Any = RESTS, seconds: float = 20) -> list[Run]:
    """Nudges the runs as the sweep does until all stand in one of the states, or `until(run)` holds for each."""
    from workers.runs import advance

    done = until if callable(until) else lambda run: run.state in until
    end = time.monotonic() + seconds
    while True:
        for run_id in run_ids:
            advance(run_id)
        runs = [read(run_id) for run_id in run_ids]
        if all(done(run) for run in runs):
            return runs
        assert time.monotonic() < end, [(run.state, run.progress_note, run.error) for run in runs]
        time.sleep(0.02)
