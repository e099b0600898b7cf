"""Read-only links: a stranger reads one comparison and nothing else, until the link is ended."""

import re
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.clock import now
from app.lab.actor import Actor
from app.tables import Export, Token, TokenKind
from tests.exports.paper import API, three_runs
from workers.exports import make


@pytest.fixture
def reader(client: TestClient) -> TestClient:
    """Somebody who has no account here."""
    return TestClient(client.app, base_url="http://localhost", raise_server_exceptions=False)


SECRET = re.compile(r"/shared/(tb_[\w-]+)")


@pytest.fixture
def runs(session: Session, actor: Actor, client: TestClient) -> str:
    return ",".join(map(str, three_runs(session, actor, client)))


def share(client: TestClient, runs: str, **more: object) -> str:
    """The path of a new link."""
    answer = client.post(f"{API}/shares", json={"runs": runs, **more})
    assert answer.status_code == 201, answer.text
    found = SECRET.search(answer.json()["url"])
    assert found
    return f"/shared/{found[1]}"


def make_all(session: Session) -> None:
    session.commit()
    for export in session.exec(select(Export)).all():
        session.commit()
        make(export.id)


def test_a_stranger_reads_the_comparison_and_nothing_else(
    session: Session, client: TestClient, reader: TestClient, runs: str
) -> None:
    path = share(client, runs)
    assert reader.get(f"{path}/index.html").status_code == 202
    make_all(session)
    shown = reader.get(path)
    assert shown.status_code == 200
    assert "A comparison of 3 runs, to read only" in shown.text
    assert shown.headers["referrer-policy"] == "no-referrer"
    assert "script-src 'self'" in shown.headers["content-security-policy"]
    for link in set(re.findall(r'href="([^"#]+)"', shown.text)):
        assert reader.get(f"{path}/{link}").status_code == 200, link
    for name in (
        "scores.json",
        "..%2fscores.json",
        "items-999.html",
        "index.html%00",
        "%2e%2e/methods.txt",
    ):
        assert reader.get(f"{path}/{name}").status_code in (401, 404), name
    assert reader.get(f"/compare?runs={runs}", follow_redirects=False).status_code in (303, 401)
    assert reader.post(f"{path}/index.html").status_code in (401, 403, 405)


def test_an_ended_or_old_link_opens_nothing(
    session: Session, client: TestClient, reader: TestClient, runs: str
) -> None:
    ended, old = share(client, runs), share(client, runs)
    make_all(session)
    first = client.get(f"{API}/shares").json()[-1]["id"]
    assert client.delete(f"{API}/shares/{first}").status_code == 204
    assert client.delete(f"{API}/shares/{first}").status_code == 404
    token = session.exec(select(Token).where(Token.kind == TokenKind.SHARE).order_by(Token.id.desc())).first()  # type: ignore[union-attr]
    assert token
    token.expires_at = now() - timedelta(seconds=1)
    session.commit()
    answers = {reader.get(f"{path}/index.html").text for path in (ended, old, "/shared/tb_guess")}
    assert len(answers) == 1
    assert "This link opens nothing" in answers.pop()


@pytest.mark.laptop
def test_the_page_makes_lists_and_ends_links(client: TestClient, runs: str) -> None:
    assert f"/compare/shares?runs={runs}" in client.get(f"/compare?runs={runs}").text
    assert "No link is open" in client.get("/compare/shares").text
    made = client.post("/compare/shares", data={"runs": runs, "inputs": "on", "days": "30"})
    assert made.status_code == 201
    assert SECRET.search(made.text)
    again = client.get("/compare/shares")
    assert not SECRET.search(again.text)
    assert "comparison of 3 runs" in again.text
    refused = client.post("/compare/shares", data={"runs": runs, "days": "0"})
    assert refused.status_code == 422
