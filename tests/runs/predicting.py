"""Runs that ask an emulated service, made without the launch page: what the tests of predicting share."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlmodel import Session, col, select

from app.db import session_scope
from app.lab.actor import Actor
from app.runs import reply_chat
from app.runs.ledger import open_ledger
from app.settings.endpoints import NewEndpoint, add_endpoint
from app.tables import FINAL, ReplyRow, ReplyState, Reservation, Run, RunState
from tests.emulator._world import World
from tests.hosting import KEY, change, go

ASKED = "prompt/openai/gpt-4.1-mini-2025-04-14"
VALUES = {"examples": 0, "selection": "random", "temperature": 0.0, "max_tokens": 16, "way": "chat"}
RULE = {"HCl": "acid", "NaOH": "base", "NaCl": "salt"}
Ask = Callable[..., int]


def right(prompt: str) -> str:
    """The answer to the last question of tests/runs/conftest.py's rows."""
    return RULE[prompt.rstrip().rpartition(" ")[2]]


@pytest.fixture
def ask(launch: Any, world: World, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """ask(examples=3) gives the id of a queued run that asks the emulated OpenAI, which answers right."""
    monkeypatch.setattr("workers.runs.send", lambda *_: None)
    monkeypatch.setattr(reply_chat, "GATES", {})
    world.replies["*"] = right

    def make(model: str = ASKED, reserved: int | None = None, **values: Any) -> int:
        (run_id,) = launch("baseline/char-trees")
        change(run_id, model=model, ledger=open_ledger({**VALUES, **values}, VALUES, {}), due_at=None)
        if reserved is not None:
            reserve(run_id, reserved)
        return int(run_id)

    return make


def reserve(run_id: int, microdollars: int) -> None:
    """Sets what the run may cost."""
    with session_scope() as session:
        run = session.get_one(Run, run_id)
        kept = session.get(Reservation, run_id) or Reservation(
            run_id=run_id,
            project_id=run.project_id,
            member_id=run.maker_id,
            experiment_id=run.experiment_id,
            provider="openai",
            reserved_microdollars=0,
            created_at=run.created_at,
        )
        kept.reserved_microdollars = microdollars
        session.add(kept)


def endpoint(session: Session, actor: Actor, world: World, key: str = KEY) -> str:
    """The model id of an endpoint at the emulated OpenAI, $10 for a million tokens."""
    new = NewEndpoint("local", world.url("openai", "/v1"), "gpt-4.1-mini-2025-04-14", key, 10.0, 10.0)
    add_endpoint(session, actor, new)
    session.commit()
    return "prompt/endpoint/local"


def replies(run_id: int, *states: str) -> list[ReplyRow]:
    """The run's replies as they are now."""
    with session_scope(write=False) as session:
        found = select(ReplyRow).where(ReplyRow.run_id == run_id)
        if states:
            found = found.where(col(ReplyRow.state).in_(states))
        return list(session.exec(found.order_by(col(ReplyRow.part), col(ReplyRow.number))))


def answered(run_id: int) -> dict[int, str | None]:
    """{item: answer} of those that have one."""
    return {row.number: row.answer for row in replies(run_id, ReplyState.ANSWERED)}


def finish(run_id: int, seconds: float = 20) -> Run:
    """The run at its end, or where it waits for a person."""
    return go(run_id, until=(*FINAL, RunState.PAUSED), seconds=seconds)[0]
