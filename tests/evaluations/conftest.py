"""Fixtures of the judge's tests: an endpoint that answers, and a run whose answers can be judged."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import Session

from app.lab.actor import Actor
from tests.emulator.openai_chat import Emulator, chat_server
from tests.evaluations.judged import ITEMS, KEY, add_judge, answered_run, question_set
from tests.fresh import forget_settings

ANSWERS = [f"<script>answer {number}</script> of the first" for number in range(ITEMS)]


@pytest.fixture
def emulator(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
    monkeypatch.setattr("workers.judgings.send", lambda *_: None)
    forget_settings()
    with chat_server() as running:
        running.key = KEY
        running.answer = lambda prompt: (
            f"<b>Because.</b>\nMARK: {'right' if 'answer 1' in prompt else 'wrong'}"
        )
        yield running


@pytest.fixture
def run(session: Session, actor: Actor, emulator: Emulator) -> int:
    made = answered_run(session, actor, question_set(session, actor), "hf/lab/first", ANSWERS)
    return made.id or 0


@pytest.fixture
def endpoint(session: Session, actor: Actor, emulator: Emulator) -> int:
    return add_judge(session, actor, emulator, prices=2)
