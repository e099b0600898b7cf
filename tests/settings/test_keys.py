"""Keys of hosted services: stored, checked by the worker, kept to their host, never given out again."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, col, select

from app.catalog.models import find_model
from app.catalog.shelf import read_shelf
from app.db import session_scope
from app.errors import Forbidden, Invalid, NotFound
from app.lab.actor import Actor
from app.queue import ADVANCE_RUN
from app.settings import keys
from app.settings.environment_keys import note_environment
from app.settings.keys import NewKey
from app.tables import Credential, CredentialState, Member, Run, RunState, StoredOffer
from tests.emulator import emulator
from tests.emulator._world import World
from tests.fresh import forget_settings
from tests.pages import add_dataset, add_experiment

KEY = "sk-tb-canary-0b5f2e"
BASE = "/api/v1/providers/openai"


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    messages: list[tuple[str, int]] = []
    monkeypatch.setattr("app.queue.send", lambda task, row_id: messages.append((task, row_id)))
    return messages


@pytest.fixture
def world(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The emulated OpenAI at a base URL that an admin has set, private by name."""
    with emulator() as running:
        place = {"base_url": running.url("openai", "/v1"), "allow_private": True}
        assert client.patch(BASE, json=place).status_code == 200
        yield running


def check() -> None:
    from workers.settings import check as task

    with session_scope(write=False) as session:
        rows = list(session.exec(select(Credential.id).where(Credential.state == CredentialState.CHECKING)))
    for row_id in rows:
        task(row_id)


def store(client: TestClient, key: str = KEY) -> dict:
    made = client.post(f"{BASE}/keys", json={"key": key})
    assert made.status_code == 201
    return made.json()


def test_a_key_is_checked_and_lists_models(
    client: TestClient, session: Session, actor: Actor, world: World
) -> None:
    assert store(client)["state"] == "checking"
    check()
    card = client.get(BASE).json()
    assert (card["state"], card["keys"][0]["used"]) == ("ready", True)
    assert card["keys"][0]["models"] > 3
    assert KEY not in client.get(BASE).text
    model = find_model("openai/gpt-4.1-mini-2025-04-14", read_shelf(session, actor))
    assert model.offer
    assert model.offer.price
    assert "needs a key" not in model.unavailable
    page = client.get("/settings/services").text
    assert "ready" in page
    assert KEY not in page
    # A second look brings the list up to date and doubles nothing.
    before = len(session.exec(select(StoredOffer)).all())
    # A transaction that stays open would keep the client out.
    session.commit()
    assert client.post(f"/api/v1/keys/{card['keys'][0]['id']}/check").is_success
    check()
    assert len(session.exec(select(StoredOffer)).all()) == before


@pytest.mark.laptop
def test_a_refused_key_says_so_without_itself(client: TestClient, world: World) -> None:
    world.refused_keys.add(KEY)
    store(client)
    check()
    card = client.get(BASE).json()
    assert card["state"] == "failed"
    assert "401" in card["keys"][0]["note"]
    assert KEY not in client.get("/settings/services").text
    body = {"dataset_id": 1, "split_id": 1, "models": [], "seeds": [1]}
    assert client.post("/api/v1/experiments", json=body).status_code in (404, 422)
    world.refused_keys.clear()
    client.post(f"/api/v1/keys/{card['keys'][0]['id']}/check")
    check()
    assert client.get(BASE).json()["state"] == "ready"


@pytest.mark.laptop
def test_another_host_asks_for_the_key_again(client: TestClient, world: World) -> None:
    store(client)
    check()
    seen = len(world.seen)
    client.patch(BASE, json={"base_url": world.url("openai", "/v1").replace("127.0.0.1", "localhost")})
    card = client.get(BASE).json()
    assert card["keys"][0]["elsewhere"]
    assert card["state"] == "queued"
    assert "enter it again" in client.get("/settings/services").text
    client.post(f"/api/v1/keys/{card['keys'][0]['id']}/check")
    check()
    assert "another host now" in client.get(BASE).json()["keys"][0]["note"]
    assert len(world.seen) == seen
    # Back at its host it is used as before.
    client.patch(BASE, json={"base_url": world.url("openai", "/v1")})
    check()
    assert client.get(BASE).json()["state"] == "ready"


@pytest.mark.laptop
def test_keys_of_the_environment_get_a_row_each_and_are_checked_anew_when_they_change(
    session: Session, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert note_environment() == []
    with emulator() as world:
        monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
        monkeypatch.setenv("TUNEBOOK_OPENAI_BASE_URL", world.url("openai", "/v1"))
        monkeypatch.setenv("TUNEBOOK_OPENAI_API_KEY", KEY)
        forget_settings()
        first = note_environment()
        assert len(first) == 1
        assert note_environment() == []
        check()
        row = session.get_one(Credential, first[0])
        assert (row.state, row.sealed_key) == (CredentialState.READY, "")
        session.rollback()
        monkeypatch.setenv("TUNEBOOK_OPENAI_API_KEY", "sk-another")
        assert note_environment() == first


@pytest.mark.laptop
def test_removing_forgets_the_key(client: TestClient, session: Session, world: World) -> None:
    row_id = store(client)["keys"][0]["id"]
    assert client.delete(f"/api/v1/keys/{row_id}").status_code == 204
    assert client.get(BASE).json()["keys"] == []
    row = session.get_one(Credential, row_id)
    assert (row.sealed_key, row.fields, row.state) == ("", {}, CredentialState.REMOVED)


@pytest.mark.laptop
def test_a_member_sees_and_changes_only_what_is_theirs(session: Session, actor: Actor) -> None:
    row = keys.store_key(session, actor, "openai", NewKey(KEY))
    other = Member(name="Student", role="member")
    session.add(other)
    session.flush()
    student = Actor(other.id or 0, actor.project_id, other.name, other.role)
    own = keys.store_key(session, student, "openai", NewKey("sk-own", for_lab=False))
    assert own.id != row.id
    for change in (
        lambda: keys.store_key(session, student, "openai", NewKey("sk-x")),
        lambda: keys.remove_key(session, student, row.id or 0),
        lambda: keys.set_provider(session, student, "openai", base_url="https://evil.example"),
    ):
        with pytest.raises(Forbidden):
            change()
    with pytest.raises(NotFound):
        keys.remove_key(session, actor, own.id or 0)


@pytest.mark.laptop
@pytest.mark.parametrize("key", ["", "two words", "k\u0435y", "line\nbreak", "x" * 4001])
def test_what_cannot_be_a_key(session: Session, actor: Actor, key: str) -> None:
    with pytest.raises(Invalid) as refused:
        keys.store_key(session, actor, "openai", NewKey(key))
    assert "key" in refused.value.fields
    assert not key or key not in refused.value.message


@pytest.mark.laptop
def test_forms_without_javascript(client: TestClient, session: Session, world: World) -> None:
    wrong = client.post("/settings/services/openai/key", data={"key": "two words", "field:project": "p-1"})
    assert wrong.status_code == 422
    assert "cannot be sent" in wrong.text
    assert 'value="p-1"' in wrong.text
    assert "two words" not in wrong.text
    done = client.post("/settings/services/openai/key", data={"key": KEY}, follow_redirects=False)
    assert done.headers["location"] == "/settings/services#openai"
    assert "asking OpenAI" in client.get("/settings/services/openai/keys").text
    private = {"base_url": "http://10.0.0.1/v1", "enabled": "on"}
    refused = client.post("/settings/services/openai/place", data=private)
    assert refused.status_code == 422
    assert "not a public address" in refused.text
    off = client.post("/settings/services/openai/place", data={"base_url": ""}, follow_redirects=False)
    assert off.status_code == 303
    assert client.get(BASE).json()["enabled"] is False
    assert session.exec(select(Credential).where(col(Credential.sealed_key).contains(KEY))).first() is None


@pytest.mark.laptop
def test_a_key_that_works_again_wakes_the_runs_that_waited(
    client: TestClient, session: Session, actor: Actor, world: World, sent: list[tuple[str, int]]
) -> None:
    models = ("openai/gpt-4.1-mini-2025-04-14", "prompt/openai/gpt-5.4", "together/Qwen/Qwen3.5-9B")
    runs = [{"model": model, "state": RunState.PAUSED} for model in models]
    add_experiment(session, actor, add_dataset(session, actor), "waits", runs)
    session.commit()
    world.refused_keys.add(KEY)
    store(client)
    check()
    assert not [row_id for task, row_id in sent if task == ADVANCE_RUN]
    world.refused_keys.clear()
    store(client)
    check()
    session.expire_all()
    woken = {row_id for task, row_id in sent if task == ADVANCE_RUN}
    waited = {run.id for run in session.exec(select(Run)) if "openai" in run.model}
    assert woken == waited
    assert len(woken) == 2
