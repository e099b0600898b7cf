"""Thirty-seven addresses that a member or an admin might type, so that the server asks itself: none gets a request."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from app.errors import Invalid
from app.outside import Refused, clean_base_url, outside_client

pytestmark = pytest.mark.laptop
URLS = (
    *("http://127.0.0.1:{}", "http://127.1:{}", "http://127.0.1:{}", "http://0:{}", "http://0.0.0.0:{}"),
    *("http://2130706433:{}", "http://0x7f000001:{}", "http://0x7f.0.0.1:{}", "http://017700000001:{}"),
    *("http://0177.0.0.1:{}", "http://127.255.255.254:{}", "http://localhost:{}", "http://LOCALHOST:{}"),
    *("http://localhost.:{}", "http://[::1]:{}", "http://[::]:{}", "http://[::ffff:127.0.0.1]:{}"),
    *("http://[::ffff:7f00:1]:{}", "http://[0:0:0:0:0:0:0:1]:{}", "http://[64:ff9b::7f00:1]:{}"),
    *("http://[2002:7f00:1::]:{}", "http://[fe80::1%25lo]:{}", "http://user@127.0.0.1:{}"),
    *("http://api.example.org@127.0.0.1:{}", "http://127.0.0.1:{}#@api.example.org", "http://127.0.0.1:{}?x"),
    *("http://api.example.org\\@127.0.0.1:{}", "http://127.0.0.1\\.example.org:{}", "http://１２７.0.0.1:{}"),
    *("http://①②⑦.⓪.⓪.①:{}", "http://127。0。0。1:{}", "file:///etc/passwd", "gopher://127.0.0.1:{}/_x"),
    *("dict://127.0.0.1:{}", "http:///127.0.0.1:{}", "http://169.254.169.254", "http://[fd00:ec2::254]"),
)


class Server(ThreadingHTTPServer):
    """Counts what it is asked."""

    asked = 0


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked += 1  # type: ignore[attr-defined]
        self.send_response(302)
        self.send_header("location", f"http://127.0.0.1:{self.server.server_port}/again")  # type: ignore[attr-defined]
        self.send_header("content-length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        """Tests print nothing."""


@pytest.fixture
def canary() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("home")
def test_none_of_the_list_is_asked(canary: Server) -> None:
    assert len(URLS) == 37
    with outside_client(2) as client:
        for url in URLS:
            with pytest.raises((Invalid, Refused, httpx.TransportError, httpx.InvalidURL)):
                client.get(clean_base_url(url.format(canary.server_port)) + "/models")
            with pytest.raises((Refused, httpx.TransportError, httpx.InvalidURL, UnicodeError)):
                client.get(url.format(canary.server_port))
    assert canary.asked == 0


def test_none_is_asked_through_the_forms(
    client: TestClient, canary: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an admin, who may do all: what is taken is looked at by the worker, and refused there."""
    from workers.endpoints import check

    monkeypatch.setattr("app.queue.send", lambda task, *ids: None)
    for number, url in enumerate(URLS):
        body = {
            "name": f"n{number}",
            "base_url": url.format(canary.server_port),
            "model": "m",
            "key": "sk-canary-77",
        }
        made = client.post("/api/v1/endpoints", json=body)
        assert made.status_code < 500, url
        if made.status_code < 300:
            check(made.json()["id"])
            assert client.get("/api/v1/endpoints").text.count('"ready"') == 0
    assert canary.asked == 0


@pytest.mark.usefixtures("home")
def test_a_second_look_at_the_name_gains_nothing(canary: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer is public, every later one is this machine: only one look is taken, and its address is used."""
    looks: list[str] = []
    connected: list[Any] = []

    def look(host: str, *_: Any, **__: Any) -> Any:
        looks.append(host)
        address = "203.0.113.1" if len(looks) > 1 else "8.8.8.8"
        if host in ("8.8.8.8",):
            address = host
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, canary.server_port))]

    def connect(address: Any, *_: Any, **__: Any) -> Any:
        connected.append(address)
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", look)
    monkeypatch.setattr(socket, "create_connection", connect)
    with outside_client(2) as client, pytest.raises(httpx.TransportError):
        client.get(f"http://rebind.example.org:{canary.server_port}/")
    assert looks.count("rebind.example.org") == 1
    assert [address[0] for address in connected] == ["8.8.8.8"]
    assert canary.asked == 0


@pytest.mark.usefixtures("home")
def test_no_redirect_is_followed(canary: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
    from tests.fresh import forget_settings

    forget_settings()
    with outside_client(2) as client:
        answer = client.get(f"http://127.0.0.1:{canary.server_port}/")
    assert answer.status_code == 302
    assert canary.asked == 1
