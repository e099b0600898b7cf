"""GET /lab, POST /lab/tokens and /lab/tokens/{id}/end."""

import os
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.errors import Invalid, NotFound
from app.lab.actor import Actor
from app.lab.machine import folder_size, place, this_machine
from app.lab.sign_in import make_token
from app.lab.tokens import MOST, end_api_token, list_api_tokens, make_api_token
from app.tables import Token, TokenKind
from tests.pages import ESCAPED, HOSTILE, region, stranger


def test_page_says_who_and_where(client: TestClient, home: Path) -> None:
    answer = client.get("/lab")
    assert answer.status_code == 200
    for said in (
        "Sign out",
        "API tokens",
        this_machine().database,
        this_machine().queue,
        str(home),
        "Processor",
    ):
        assert said in answer.text
    assert f"{len(os.sched_getaffinity(0))} core" in answer.text


def test_token_is_shown_once_and_opens_the_api(client: TestClient) -> None:
    made = client.post("/lab/tokens", data={"name": "cluster"})
    assert made.status_code == 201
    secret = re.search(r'id="secret"[^>]*>(tb_[\w-]+)<', made.text)[1]  # type: ignore[index]
    assert secret not in client.get("/lab").text
    assert "cluster" in client.get("/lab").text
    headers = {"authorization": f"Bearer {secret}"}
    assert client.get("/api/v1/models", headers=headers).status_code == 200


def test_ended_token_opens_nothing(client: TestClient, session: Session, actor: Actor) -> None:
    secret = make_api_token(session, actor, "short-lived")
    session.commit()
    token = next(line for line in list_api_tokens(session, actor) if line.name == "short-lived")
    session.commit()
    for _ in range(2):
        answer = client.post(f"/lab/tokens/{token.id}/end", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/lab#tokens")
    refused = client.get("/api/v1/models", headers={"authorization": f"Bearer {secret}"})
    assert refused.status_code == 401
    assert "short-lived" not in client.get("/lab").text


@pytest.mark.parametrize("name", ["", "   ", "x" * 101])
def test_bad_name_is_answered_beside_the_field(client: TestClient, name: str) -> None:
    answer = client.post("/lab/tokens", data={"name": name})
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert 'id="e-name"' in answer.text
    assert 'id="secret"' not in answer.text


def test_hostile_name_is_escaped(client: TestClient) -> None:
    text = client.post("/lab/tokens", data={"name": HOSTILE}).text
    assert "<script>alert" not in text
    assert ESCAPED in text


def test_others_tokens_are_out_of_reach(client: TestClient, session: Session) -> None:
    other = stranger(session)
    make_api_token(session, other, "not yours")
    theirs = list_api_tokens(session, other)[0]
    session.commit()
    assert client.post(f"/lab/tokens/{theirs.id}/end").status_code == 404
    assert "not yours" not in client.get("/lab").text
    assert list_api_tokens(session, other)


def test_session_tokens_cannot_be_ended_as_api_tokens(session: Session, actor: Actor) -> None:
    make_token(session, actor, TokenKind.SESSION, "browser")
    browser = session.exec(select(Token).where(Token.kind == TokenKind.SESSION)).one()
    with pytest.raises(NotFound):
        end_api_token(session, actor, browser.id)


def test_tokens_are_bounded(session: Session, actor: Actor) -> None:
    for number in range(MOST):
        make_api_token(session, actor, f"token {number}")
    with pytest.raises(Invalid, match="100 tokens"):
        make_api_token(session, actor, "one more")


def test_folder_size_counts_files_below(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a").write_bytes(b"x" * 10)
    (tmp_path / "deep" / "er" / "b").write_bytes(b"x" * 32)
    (tmp_path / "deep" / "link").symlink_to(tmp_path)
    size, counted = folder_size(tmp_path, seconds=5)
    assert counted
    assert size - (tmp_path / "deep" / "link").lstat().st_size == 42
    assert folder_size(tmp_path, seconds=0) == (0, False)


def test_places_hide_user_and_password() -> None:
    said = place("postgresql://admin:s3cret@db.lab:5433/tunebook", "PostgreSQL", "")
    assert said == "PostgreSQL at db.lab:5433"
    assert place("", "Redis", "files") == "files"


def test_machine_names_the_pytorch_that_trains(home: Path) -> None:
    torch = pytest.importorskip("torch")
    assert this_machine().pytorch == torch.__version__


@pytest.mark.laptop
def test_every_part_of_the_lab_leads_to_the_others(client: TestClient) -> None:
    parts = ("", "/account", "/notifications", "/members", "/projects", "/audit")
    for part in parts:
        text = client.get(f"/lab{part}").text
        tabs = re.search(r'<nav class="tabs".*?</nav>', text, re.S)
        assert tabs, part
        assert re.findall(r'href="([^"]*)" aria-current', tabs[0]) == [f"/lab{part}"]
        assert {f'href="/lab{other}"' for other in parts} <= set(re.findall(r'href="[^"]*"', tabs[0]))
        assert "/settings/services" in tabs[0]


def test_a_token_with_a_budget(client):
    assert client.post("/lab/tokens", data={"name": "big", "budget": "much"}).status_code == 422
    assert client.post("/lab/tokens", data={"name": "big", "budget": "2.50"}).status_code == 201
    assert "of $2.50" in region(client.get("/lab").text, "tokens")
    made = client.post("/api/v1/tokens", json={"name": "small", "budget": 0.25}).json()["token"]
    assert (made["budget_microdollars"], made["spent_microdollars"]) == (250_000, 0)
