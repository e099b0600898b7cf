"""GET /settings, its endpoints, and the same under /api/v1/endpoints."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.tables import Endpoint, EndpointState
from tests.emulator.openai_chat import Emulator, chat_server
from tests.fresh import forget_settings
from tests.pages import ESCAPED, HOSTILE, counted_statements, stranger
from workers.endpoints import check

KEY = "sk-very-secret"
GOOD = {"name": "judge", "base_url": "https://api.example.org/v1", "model": "m-1", "key": KEY}


@pytest.fixture
def emulator(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
    forget_settings()
    with chat_server() as running:
        running.key = KEY
        yield running


def add(client: TestClient, **values: Any) -> int:
    answer = client.post("/api/v1/endpoints", json={**GOOD, **values})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def test_key_goes_in_and_never_comes_out(
    client: TestClient, session: Session, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = client.post(
        "/settings/endpoints",
        data={**GOOD, "input_price": "0.15", "output_price": "0.6"},
        follow_redirects=False,
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings#endpoints")
    row = session.exec(select(Endpoint)).one()
    assert (row.input_microdollars, row.output_microdollars) == (150_000, 600_000)
    assert (row.state, KEY in row.sealed_key) == (EndpointState.CHECKING, False)
    for path in ("/settings", "/settings/endpoints", "/api/v1/endpoints"):
        said = client.get(path).text
        assert "judge" in said
        assert KEY not in said
        assert row.sealed_key not in said
    files = [path for path in home.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert (files, KEY in caplog.text) == ([], False)


def test_wrong_fields_are_said_beside_them_and_the_key_is_not_shown_again(client: TestClient) -> None:
    wrong = {"name": "", "base_url": "http://10.0.0.1/v1", "model": "m", "key": KEY, "input_price": "cheap"}
    answer = client.post("/settings/endpoints", data=wrong)
    assert answer.status_code == 422
    assert 'id="e-input_price"' in answer.text
    answer = client.post("/settings/endpoints", data={**wrong, "input_price": "1"})
    assert answer.status_code == 422
    for field in ("name", "base_url", "output_price"):
        assert f'id="e-{field}"' in answer.text
    assert "TUNEBOOK_ALLOW_PRIVATE_BASE_URLS" in answer.text
    assert KEY not in answer.text


@pytest.mark.parametrize(
    "change",
    [
        {"base_url": "file:///etc/passwd"},
        {"key": "two words"},
        {"input_price": -1, "output_price": 1},
        {"model": "x" * 201},
        {"name": "a\nb"},
    ],
)
def test_api_refuses_the_same(client: TestClient, change: dict[str, Any]) -> None:
    answer = client.post("/api/v1/endpoints", json={**GOOD, **change})
    assert answer.status_code == 422
    assert answer.json()["fields"]
    assert KEY not in answer.text


def test_names_are_used_once(client: TestClient) -> None:
    add(client)
    assert client.post("/api/v1/endpoints", json=GOOD).status_code == 422


def test_check_says_how_fast_it_answers(client: TestClient, session: Session, emulator: Emulator) -> None:
    number = add(client, base_url=emulator.base_url)
    assert 'hx-trigger="every 1s"' in client.get("/settings").text
    check(number)
    (line,) = client.get("/api/v1/endpoints").json()
    assert line["state"] == "ready"
    assert line["note"].startswith("answered in ")
    assert 'hx-trigger="every 1s"' not in client.get("/settings").text
    calls = len(emulator.calls)
    check(number)
    assert len(emulator.calls) == calls


def test_check_says_why_not_without_the_key(client: TestClient, emulator: Emulator) -> None:
    number = add(client, base_url=emulator.base_url, key="sk-other-secret")
    check(number)
    (line,) = client.get("/api/v1/endpoints").json()
    assert line["state"] == "failed"
    assert "401" in line["note"]
    assert "sk-other" not in client.get("/settings").text
    client.post(f"/settings/endpoints/{number}/key", data={"key": KEY})
    check(number)
    assert client.get("/api/v1/endpoints").json()[0]["state"] == "ready"


def test_lost_key_file_is_explained(client: TestClient, emulator: Emulator, home: Path) -> None:
    number = add(client, base_url=emulator.base_url)
    (home / "vault.key").unlink()
    check(number)
    assert "enter the key again" in client.get("/api/v1/endpoints").json()[0]["note"]


def test_removed_endpoint_forgets_its_key(client: TestClient, session: Session) -> None:
    number = add(client)
    assert client.post(f"/settings/endpoints/{number}/remove", follow_redirects=False).status_code == 303
    assert client.get("/api/v1/endpoints").json() == []
    assert session.get_one(Endpoint, number).sealed_key == ""
    session.rollback()
    assert client.post(f"/api/v1/endpoints/{number}/check").status_code == 404
    add(client)


def test_others_endpoints_are_out_of_reach(client: TestClient, session: Session) -> None:
    other = stranger(session)
    theirs = Endpoint(
        project_id=other.project_id,
        maker_id=other.member_id,
        name="theirs",
        base_url="https://x.org",
        model="m",
    )
    session.add(theirs)
    session.commit()
    assert "theirs" not in client.get("/settings").text
    for action in ("check", "key", "remove"):
        assert client.post(f"/settings/endpoints/{theirs.id}/{action}").status_code == 404
    assert client.delete(f"/api/v1/endpoints/{theirs.id}").status_code == 404


def test_hostile_name_is_escaped(client: TestClient) -> None:
    add(client, name=HOSTILE.replace("\u202e", ""))
    text = client.get("/settings").text
    assert "<script>alert" not in text
    assert ESCAPED.split("&amp;")[0] in text


def test_one_statement_however_many(client: TestClient) -> None:
    def statements() -> int:
        with counted_statements() as found:
            client.get("/settings")
        return len(found)

    add(client)
    few = statements()
    for number in range(5):
        add(client, name=f"judge {number}")
    assert statements() == few
