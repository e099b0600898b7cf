"""Members are told once, in the app, by e-mail and by webhook: against a real mail server and a real webhook."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.config import settings
from app.lab.actor import Actor
from app.lab.channels import EMAIL, WEBHOOK, add_channel, remove_channel
from app.lab.notifications import DONE, FAILED, KINDS, Note, list_notes, mark_read, tell, unread
from app.tables import Channel, Delivery, DeliveryState, Notification
from tests.lab.conftest import Mailbox
from workers.notifications import deliver

NOTE = Note(FAILED, "run 7 failed", "Run 7 failed", "Its data is gone.", "/runs/7")


class Hook(BaseHTTPRequestHandler):
    """Takes what is posted, answers what the test says."""

    received: list[Any] = []
    status = 200

    def do_POST(self) -> None:
        type(self).received.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(type(self).status)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        return None


@pytest.fixture
def hook(home: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Hook]]]:
    monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
    settings.cache_clear()
    fresh = type("Hook", (Hook,), {"received": [], "status": 200})
    server = ThreadingHTTPServer(("127.0.0.1", 0), fresh)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/services/T0/secret?sig=abc", fresh
    server.shutdown()


def deliveries(session: Session) -> list[Delivery]:
    session.commit()
    session.expire_all()
    rows = list(session.exec(select(Delivery).order_by(Delivery.id)))  # type: ignore[arg-type]
    session.commit()
    return rows


def send_all(session: Session) -> list[Delivery]:
    for row in deliveries(session):
        deliver(row.id)
    return deliveries(session)


def test_the_same_event_is_told_once_and_read_stays_read(session: Session, actor: Actor) -> None:
    assert tell(session, actor.member_id, NOTE)
    assert not tell(session, actor.member_id, NOTE)
    assert unread(session, actor) == 1
    mark_read(session, actor)
    assert unread(session, actor) == 0
    assert not tell(session, actor.member_id, NOTE)
    assert [(line.title, line.read) for line in list_notes(session, actor)] == [("Run 7 failed", True)]


def test_an_email_goes_out_once_with_a_link(session: Session, actor: Actor, mailbox: Mailbox) -> None:
    add_channel(session, actor, EMAIL, "anna@example.org", [FAILED])
    tell(session, actor.member_id, NOTE)
    tell(session, actor.member_id, Note(DONE, "experiment 1", "not wanted by this channel"))
    (row,) = send_all(session)
    deliver(row.id)
    assert row.state == DeliveryState.SENT
    (message,) = mailbox.received
    assert (message["To"], message["Subject"]) == ("anna@example.org", "Run 7 failed")
    assert "https://tunebook.example.org/runs/7" in message.get_payload()


def test_a_server_that_is_away_is_tried_again_and_a_clear_no_is_not(
    session: Session, actor: Actor, mailbox: Mailbox
) -> None:
    channel = add_channel(session, actor, EMAIL, "anna@example.org", [FAILED])
    tell(session, actor.member_id, NOTE)
    mailbox.answer = "451 try later"
    (row,) = send_all(session)
    assert (row.state, row.due_at is not None) == (DeliveryState.QUEUED, True)
    mailbox.answer = "550 no such user"
    (row,) = send_all(session)
    assert row.state == DeliveryState.FAILED
    session.refresh(channel)
    assert "550" in channel.note
    assert mailbox.received == []


def test_a_webhook_gets_what_slack_reads_and_its_address_is_sealed(
    session: Session, actor: Actor, hook: tuple[str, type[Hook]]
) -> None:
    address, server = hook
    channel = add_channel(session, actor, WEBHOOK, address, list(KINDS))
    assert "secret" not in channel.sealed_target
    tell(session, actor.member_id, NOTE)
    server.status = 503
    (row,) = send_all(session)
    assert row.state == DeliveryState.QUEUED
    server.status = 200
    (row,) = send_all(session)
    assert row.state == DeliveryState.SENT
    first, second = server.received
    assert first == second
    assert first["text"].startswith("*Run 7 failed*\nIts data is gone.\nhttp://")
    assert first["tunebook"]["kind"] == FAILED


def test_a_channel_that_is_removed_sends_nothing_more(
    session: Session, actor: Actor, hook: tuple[str, type[Hook]]
) -> None:
    address, server = hook
    channel = add_channel(session, actor, WEBHOOK, address, [FAILED])
    tell(session, actor.member_id, NOTE)
    remove_channel(session, actor, channel.id or 0)
    assert send_all(session) == []
    assert server.received == []


@pytest.mark.laptop
def test_the_page_lists_adds_tests_and_removes(
    client: TestClient, session: Session, actor: Actor, hook: tuple[str, type[Hook]]
) -> None:
    address, server = hook
    assert "Nothing to tell yet" in client.get("/lab/notifications").text
    refused = client.post(
        "/lab/notifications/channels", data={"medium": WEBHOOK, "target": "file:///etc/passwd"}
    )
    assert refused.status_code == 422
    made = client.post(
        "/lab/notifications/channels", data={"medium": WEBHOOK, "target": address, "kinds": [FAILED, DONE]}
    )
    assert made.status_code == 200
    assert "127.0.0.1" in made.text
    assert "secret" not in made.text
    channel_id = session.exec(select(Channel)).one().id
    session.commit()
    client.post(f"/lab/notifications/channels/{channel_id}/test")
    send_all(session)
    assert server.received[0]["tunebook"]["title"] == "A test from Tunebook"
    assert "The last message went out" in client.get("/lab/notifications").text
    assert client.post("/lab/notifications/read").status_code == 200
    client.post(f"/lab/notifications/channels/{channel_id}/remove")
    assert session.exec(select(Channel)).all() == []


def test_another_members_notes_and_channels_are_theirs(
    client: TestClient, session: Session, actor: Actor
) -> None:
    from tests.pages import stranger

    other = stranger(session)
    channel = add_channel(session, other, WEBHOOK, "https://hooks.example.org/x", [FAILED])
    tell(session, other.member_id, NOTE)
    session.commit()
    assert client.get("/api/v1/notifications").json() == []
    assert client.post(f"/lab/notifications/channels/{channel.id}/remove").status_code == 404
    note = session.exec(select(Notification)).one()
    session.commit()
    client.post(f"/api/v1/notifications/{note.id}/read")
    session.refresh(note)
    assert note.read_at is None
