"""Members over JSON, and links that go out by e-mail."""

import re

import pytest
from sqlmodel import select

from app.lab import accounts
from app.lab.actor import Actor
from app.lab.sign_in import make_token
from app.tables import AuditEntry, Member, Token, TokenKind
from tests.lab.conftest import Mailbox

PASSWORD = "violet anchor 42 rain"


@pytest.fixture
def bo(session, actor):
    made = accounts.make_member(session, "Bo", "bo@example.org", "member", PASSWORD)
    session.commit()
    return made


def secret_in(text: str) -> str:
    return re.search(r"/invitations\?token=(tb_[\w-]+)", text)[1]


def test_an_admin_invites_lists_changes_and_signs_out(client, session, bo):
    bo_id = bo.id
    members = client.get("/api/v1/members").json()["members"]
    assert [line["email"] for line in members] == ["bo@example.org", ""]
    assert "password_hash" not in str(members)
    made = client.post("/api/v1/members/invitations", json={"email": "Cy@example.org", "role": "viewer"})
    assert made.status_code == 201
    sent = made.json()
    assert (sent["mailed"], sent["invitation"]["email"]) == (False, "cy@example.org")
    secret = secret_in(sent["link"])
    listed = client.get("/api/v1/members/invitations").json()["invitations"]
    assert [line["role"] for line in listed] == ["viewer"]
    assert secret not in str(listed)
    session.commit()
    opened = make_token(session, Actor(bo_id, 0, "Bo", "member"), TokenKind.SESSION)
    session.commit()
    assert opened
    assert client.post(f"/api/v1/members/{bo_id}/sign-out").status_code == 204
    live = select(Token).where(Token.member_id == bo_id, Token.ended_at.is_(None))
    session.expire_all()
    assert session.exec(live).all() == []
    session.commit()
    changed = client.patch(f"/api/v1/members/{bo_id}", json={"role": "viewer", "disabled": True}).json()
    assert changed["role"] == "viewer"
    assert changed["disabled_at"]
    assert client.patch(f"/api/v1/members/{bo_id}", json={"disabled": False}).json()["disabled_at"] is None
    reset = client.post(f"/api/v1/members/{bo_id}/reset").json()
    assert secret_in(reset["link"])
    path = f"/api/v1/members/invitations/{sent['invitation']['id']}"
    assert client.delete(path).status_code == 204
    assert client.get("/api/v1/members/invitations").json()["invitations"] == []
    session.expire_all()
    assert len(session.exec(select(AuditEntry).where(AuditEntry.action == "changed")).all()) >= 5


@pytest.mark.laptop
def test_bad_input_is_told_by_field(client, actor, bo):
    body = {"email": "bo@example.org"}
    answer = client.post("/api/v1/members/invitations", json=body)
    assert (answer.status_code, list(answer.json()["fields"])) == (422, ["email"])
    body = {"email": "x@example.org", "projects": [987_654]}
    assert client.post("/api/v1/members/invitations", json=body).json()["fields"]["projects"]
    assert client.patch(f"/api/v1/members/{bo.id}", json={"role": "owner"}).status_code == 422
    assert client.patch(f"/api/v1/members/{actor.member_id}", json={"role": "viewer"}).status_code == 409
    for method, path in (("GET", ""), ("PATCH", ""), ("POST", "/sign-out"), ("POST", "/reset")):
        answer = client.request(
            method, f"/api/v1/members/987654{path}", json={} if method == "PATCH" else None
        )
        assert answer.status_code == 404, (method, path)


def test_links_go_out_by_mail_where_a_server_is_set(client, session, bo, mailbox: Mailbox):
    sent = client.post("/api/v1/members/invitations", json={"email": "cy@example.org"}).json()
    assert (sent["mailed"], sent["link"]) == (True, "")
    [mail] = mailbox.received
    assert mail["To"] == "cy@example.org"
    text = mail.get_payload(decode=True).decode()
    assert "https://tunebook.example.org/invitations?token=tb_" in text
    page = client.get("/invitations", params={"token": secret_in(text)})
    assert page.status_code == 200
    reset = client.post(f"/lab/members/{bo.id}/reset", headers={"sec-fetch-site": "same-origin"})
    assert reset.status_code == 201
    assert "went to bo@example.org by e-mail" in reset.text
    assert "token=tb_" not in reset.text
    assert mailbox.received[1]["To"] == "bo@example.org"


@pytest.mark.laptop
def test_a_link_that_could_not_be_mailed_is_shown(client, session, bo, mailbox: Mailbox):
    mailbox.answer = "550 no such mailbox"
    answer = client.post("/lab/members/invite", data={"email": "cy@example.org"})
    assert answer.status_code == 201
    assert "No e-mail went out" in answer.text
    secret = secret_in(answer.text)
    assert client.get("/invitations", params={"token": secret}).status_code == 200
    assert session.exec(select(Member).where(Member.email == "cy@example.org")).first() is None


@pytest.mark.laptop
def test_the_link_is_committed_before_the_mail_server_is_asked(client, session, bo, monkeypatch):
    seen = []

    def look(to, link, by, is_new):
        # Another connection writes at once: no transaction of the request holds the lock.
        session.add(Member(name="Meanwhile"))
        session.commit()
        seen.append(session.exec(select(Token.id).where(Token.kind == TokenKind.INVITE)).all())
        session.commit()
        return ""

    monkeypatch.setattr("app.lab.member_routes.mail_link", look)
    assert client.post("/lab/members/invite", data={"email": "cy@example.org"}).status_code == 201
    assert len(seen[0]) == 1
