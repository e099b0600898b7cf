"""A dataset that was really checked, for tests of its pages."""

import json

import pytest
from sqlmodel import Session

from app.lab.actor import Actor
from tests.pages import upload


def rows(count: int = 60, question: str = "sample") -> bytes:
    """Chat rows of three classes in five families; every fifth is a test row, one prompt stands in two parts."""
    lines = []
    for number in range(count):
        asked = f"{question} {4 if number == 5 else number}"
        chat = [{"role": "user", "content": asked}, {"role": "assistant", "content": "abc"[number % 3]}]
        split = "TEST" if number % 5 == 4 else "TRAIN"
        lines.append(json.dumps({"messages": chat, "split": split, "family": f"f{number % 5}"}))
    return "\n".join(lines).encode()


@pytest.fixture
def ready(session: Session, actor: Actor) -> int:
    """The id of a dataset that was really checked."""
    return upload(session, actor, "rule.jsonl", rows())
