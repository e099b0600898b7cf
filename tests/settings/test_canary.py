"""A key is nowhere but where it must be: not in the database's text, pages, API, logs, files, errors or processes."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.clock import in_seconds
from app.db import session_scope
from app.lab.actor import Actor
from app.log import log, set_up_logging
from app.providers import openai
from app.settings.environment_keys import note_environment
from app.tables import Credential, CredentialState, RunState
from tests.emulator import emulator
from tests.emulator._world import World
from tests.experiments.checked import checked_dataset, first_split
from tests.fresh import forget_settings
from tests.hosting import go

ENTERED, GIVEN = "sk-canary-entered-77aa01", "sk-canary-environment-77aa02"
MODEL = "openai/gpt-4.1-mini-2025-04-14"
PAGES = ("/", "/settings", "/settings/services", "/settings/services/openai/keys", "/models", "/lab")
API = ("/api/v1/providers", "/api/v1/models", "/api/v1/runs/1", "/api/v1/experiments/1", "/api/v1/budgets")

pytestmark = pytest.mark.laptop


@pytest.fixture
def lines(home: Path) -> Iterator[io.StringIO]:
    """Everything that the process logs, as it would stand on standard error."""
    set_up_logging()
    written = io.StringIO()
    handler = log.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    return written


@pytest.fixture
def world(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with emulator(speed=900.0) as running:
        for name, value in {
            "OPENAI_BASE_URL": running.url("openai", "/v1"),
            "OPENAI_API_KEY": GIVEN,
            "ALLOW_PRIVATE_BASE_URLS": "1",
            "REMOTE_POLL_SECONDS": "0.05",
        }.items():
            monkeypatch.setenv(f"TUNEBOOK_{name}", value)
        monkeypatch.setattr(openai, "CREATION_ENDS", "2999-01-01")
        monkeypatch.setattr("app.queue.send", lambda task, row_id: None)
        monkeypatch.setattr("app.catalog.hosted.ended", lambda ends_on: False)
        forget_settings()
        yield running


def check_all() -> None:
    from workers.settings import check

    with session_scope() as session:
        for row in session.exec(select(Credential)):
            row.state, row.due_at = CredentialState.CHECKING, in_seconds(0)
            session.add(row)
    with session_scope(write=False) as session:
        ids = list(session.exec(select(Credential.id)))
    for row_id in ids:
        check(row_id)


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "vault.key":
            yield str(path), path.read_bytes()


def holds(data: Any) -> bool:
    raw = data if isinstance(data, bytes) else str(data).encode()
    return any(key.encode() in raw for key in (ENTERED, GIVEN))


def test_keys_are_nowhere(
    client: TestClient,
    session: Session,
    actor: Actor,
    home: Path,
    world: World,
    lines: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset = checked_dataset(session, actor)
    split = first_split(session, actor, dataset)
    session.commit()
    assert note_environment()
    answers = [client.post("/settings/services/openai/key", data={"key": ENTERED}).text]
    check_all()
    body = {"dataset_id": dataset.id, "split_id": split.id, "models": [{"model": MODEL}], "seeds": [1]}
    launched = client.post("/api/v1/experiments", json=body)
    assert launched.status_code == 201, launched.text
    (run,) = go(
        1, until=lambda run: run.state in (RunState.SCORING, RunState.DONE, RunState.FAILED), seconds=60
    )
    assert run.state != RunState.FAILED, run.error

    # A service that repeats the key, a fault of a provider's code that holds it, a page that breaks with it.
    world.fail(
        "openai GET /v1/models", 401, message=f"Incorrect API key provided: {ENTERED} {GIVEN}", times=2
    )
    check_all()
    answers.append(client.get("/settings/services").text)

    def broken(*_: Any) -> Any:
        raise ValueError(f"could not use {ENTERED} or {GIVEN}")

    monkeypatch.setattr("app.settings.key_check.open_api", broken)
    check_all()
    answers.append(client.get("/settings/services").text)
    with monkeypatch.context() as patch:
        patch.setattr("app.settings.service_routes.list_services", broken)
        answers.append(client.get("/settings/services").text)
    wrong = client.post("/api/v1/providers/openai/keys", json={"key": [ENTERED]})
    assert wrong.status_code == 422
    answers.append(wrong.text)
    answers += [client.get(page).text for page in (*PAGES, *API, "/runs/1", "/experiments/1")]
    answers += [client.get(f"/runs/1/{name}").text for name in ("bundle.zip", "log")]
    answers.append(client.get(f"/experiments/new?dataset={dataset.id}").text)

    assert not [text for text in answers if holds(text)]
    assert "could not use [key] or [key]" in lines.getvalue()
    assert not holds(lines.getvalue())
    assert not [name for name, data in files(home) if holds(data)]
    assert not [name for name, data in files(home) if name.endswith("vault.key") and holds(data)]
    for process in psutil.process_iter(["cmdline"]):
        assert not holds(process.info["cmdline"] or "")
    sent = [seen for seen in world.seen if seen.service == "openai"]
    assert sent
    assert not holds([seen.body for seen in sent])


def test_what_is_trained_here_gets_no_key_in_its_environment(
    home: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.compute.local import _environment

    assert not holds(_environment(home, 1.0, "tb-1"))
