"""A webhook is an address that a member types: it leads to no place inside, whatever it redirects to or resolves to."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.lab.accounts import make_member
from app.lab.actor import Actor
from app.lab.channels import WEBHOOK, add_channel, try_channel
from app.lab.sign_in import make_token
from app.tables import Channel, Delivery, DeliveryState, ProjectMember, TokenKind
from app.vault import seal
from tests.fresh import application, forget_settings
from tests.settings.test_outside_list import URLS
from workers.notifications import deliver

pytestmark = pytest.mark.laptop


class Inside(BaseHTTPRequestHandler):
    """Something on this machine that must not be asked; `moves_to` is where it sends whoever asks."""

    asked: list[str] = []
    moves_to = ""

    def do_POST(self) -> None:
        type(self).asked.append(self.path)
        self.send_response(307 if type(self).moves_to else 200)
        self.send_header("location", type(self).moves_to)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture
def inside() -> Iterator[tuple[int, type[Inside]]]:
    fresh = type("Fresh", (Inside,), {"asked": [], "moves_to": ""})
    server = ThreadingHTTPServer(("127.0.0.1", 0), fresh)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, fresh
    server.shutdown()


@pytest.fixture
def member(session: Session, actor: Actor) -> Actor:
    made = make_member(session, "Bo", "bo@example.org", "member")
    session.add(ProjectMember(project_id=actor.project_id, member_id=made.id or 0))
    session.commit()
    return Actor(made.id or 0, actor.project_id, "Bo", "member")


def send(session: Session, member: Actor, address: str) -> Delivery:
    """A test message to an address that stands in the database already, whatever the form would say to it."""
    channel = Channel(
        project_id=member.project_id, maker_id=member.member_id, member_id=member.member_id, medium=WEBHOOK,
        sealed_target=seal(address), kinds="lab",
    )  # fmt: skip
    session.add(channel)
    session.flush()
    try_channel(session, member, channel.id or 0)
    session.commit()
    row = session.exec(select(Delivery).order_by(Delivery.id.desc())).first()  # type: ignore[union-attr]
    assert row
    row_id = row.id or 0
    session.commit()
    deliver(row_id)
    session.expire_all()
    found = session.get_one(Delivery, row_id)
    session.commit()
    return found


@pytest.mark.slow
def test_no_address_inside_is_taken_or_asked(session: Session, member: Actor, inside) -> None:
    port, server = inside
    secret = make_token(session, member, TokenKind.API)
    session.commit()
    headers = {"authorization": f"Bearer {secret}"}
    with TestClient(application(), "http://localhost", headers=headers, follow_redirects=False) as web:
        for url in URLS:
            form = {"medium": "webhook", "target": url.format(port), "kinds": ["lab"]}
            answer = web.post("/lab/notifications/channels", data=form)
            if answer.status_code == 303:
                # A name is judged when it is asked: with its test.
                made = session.exec(select(Channel.id).order_by(Channel.id.desc())).first()  # type: ignore[union-attr]
                session.commit()
                web.post(f"/lab/notifications/channels/{made}/test")
                for row_id in session.exec(select(Delivery.id)).all():
                    session.commit()
                    deliver(row_id or 0)
                web.post(f"/lab/notifications/channels/{made}/remove")
            else:
                assert answer.status_code == 422, url
        # What only an admin may set, a member cannot set to a place inside either.
        body = {"name": "x", "base_url": f"http://127.0.0.1:{port}", "model": "x"}
        assert web.post("/api/v1/endpoints", json=body).status_code == 403
        place = {"base_url": f"http://127.0.0.1:{port}"}
        assert web.post("/settings/services/openai/place", data=place).status_code == 403
    assert server.asked == []


def test_a_redirect_is_not_followed(session: Session, member: Actor, inside, monkeypatch) -> None:
    """The webhook's own server is allowed here, so that it can be asked; where it leads to is not."""
    port, server = inside
    monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
    forget_settings()
    for target in (
        f"http://127.0.0.1:{port}/metadata",
        "http://169.254.169.254/latest/",
        "file:///etc/passwd",
    ):
        server.asked.clear()
        server.moves_to = target
        assert send(session, member, f"http://127.0.0.1:{port}/hook").state == DeliveryState.FAILED
        assert server.asked == ["/hook"]


def test_a_name_that_changes_its_address_gains_nothing(
    session: Session, member: Actor, inside, monkeypatch
) -> None:
    """Public when the form is sent and at the first look, this machine afterwards; and the other way round."""
    port, server = inside
    real, connected = socket.getaddrinfo, []
    answers: list[str] = []

    def look(host: Any, *args: Any, **named: Any) -> Any:
        if host != "rebind.example.org":
            return real(host, *args, **named)
        address = answers.pop(0) if answers else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def connect(address: Any, *_: Any, **__: Any) -> Any:
        connected.append(address[0])
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", look)
    address = f"http://rebind.example.org:{port}/hook"
    answers[:] = ["8.8.8.8"]
    add_channel(session, member, WEBHOOK, address, ["lab"])
    session.commit()
    with monkeypatch.context() as patch:
        patch.setattr(socket, "create_connection", connect)
        send(session, member, address)
    assert set(connected) <= {"8.8.8.8"}
    answers[:] = []
    send(session, member, address)
    assert server.asked == []
