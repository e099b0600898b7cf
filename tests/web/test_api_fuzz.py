"""The whole JSON API under made-up requests: whatever is sent, the answer is no fault of the server (no 5xx)."""

import json
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from sqlmodel import Session

from app.lab.actor import Actor
from app.main import create_app
from app.tables import Dataset
from tests.experiments.checked import checked_dataset, finish, launch

OPERATIONS = [
    found.ok() for found in schemathesis.openapi.from_dict(create_app().openapi()).get_all_operations()
]
SENT = ("method", "url", "headers", "params", "data", "json", "files", "content")


def request_of(case: Any, real: bool) -> dict[str, Any]:
    """What the case sends; with `real` its ids are 1, which is a row that exists."""
    if real:
        case.path_parameters |= {
            name: 1 for name, value in (case.path_parameters or {}).items() if isinstance(value, int)
        }
    sent = case.as_transport_kwargs(base_url="http://localhost")
    sent["headers"].pop("Authorization", None)
    if sent.get("files"):
        # Only text and bytes are parts of a form.
        sent["files"] = [
            (name, (part[0], part[1] if isinstance(part[1], str | bytes) else json.dumps(part[1])))
            for name, part in sent["files"]
        ]
    return {name: value for name, value in sent.items() if name in SENT}


def faults(client: TestClient, examples: int) -> list[str]:
    """The requests that were answered with a 5xx, in words."""
    found: list[str] = []
    for operation in OPERATIONS:

        @seed(20260101)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(), st.booleans())
        def ask(case: Any, real: bool) -> None:
            sent = request_of(case, real)
            status = client.request(**sent).status_code
            if status >= 500:
                found.append(f"{status} for {str(sent)[:400]}")

        ask()
    return found


@pytest.fixture
def filled(session: Session, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A dataset, an experiment and a run that is done, each with the id 1; nothing that is asked for is begun."""
    monkeypatch.setattr("app.queue.send", lambda task, *ids: None)
    dataset = checked_dataset(session, actor)
    _experiment, runs = launch(session, actor, dataset, "baseline/majority")
    finish(runs)
    return dataset


def test_the_api_is_in_its_description() -> None:
    assert len(OPERATIONS) > 70


@pytest.mark.laptop
@pytest.mark.usefixtures("filled")
def test_no_request_is_a_fault(client: TestClient) -> None:
    assert faults(client, 1) == []


@pytest.mark.slow
def test_no_request_of_many_is_a_fault(client: TestClient, filled: Dataset) -> None:
    assert filled.id
    assert faults(client, 60) == []
