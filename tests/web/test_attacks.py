"""Attacks on every route, made from the route table: other sites, other hosts, odd bodies, and raw requests."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.db import new_session
from app.main import create_app
from tests.web.conftest import SAME_SITE
from tests.web.test_route_walk import ALL

pytestmark = pytest.mark.laptop
SAFE = ("GET", "HEAD", "OPTIONS")
UNSAFE = [(method, path) for method, path in ALL if method not in (*SAFE, "MOUNT")]
READING = [path for method, path in ALL if method == "GET"]
ELSEWHERE = (
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "origin": "http://localhost"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    {"origin": "null"},
    {"origin": "http://evil.example"},
    {"sec-fetch-site": "same-origin", "origin": "http://evil.example"},
    {},
)
# What a form of another site can send without asking first; the third is JSON under a name that needs no question.
BODIES = {
    "application/x-www-form-urlencoded": b"name=x&key=x",
    "multipart/form-data; boundary=b": b'--b\r\ncontent-disposition: form-data; name="name"\r\n\r\nx\r\n--b--\r\n',
    "text/plain": b'{"name": "x", "dataset_id": 1}',
}
HOSTS = (
    *("rebind.invalid", "rebind.invalid:8000", "127.0.0.1.rebind.invalid", "0.0.0.0", "2130706433"),
    *("[::ffff:127.0.0.1]", "127.1", "localhost.", "localhost.rebind.invalid", "rebind.invalid#@localhost"),
)


def address(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "1", path)


def fingerprint() -> dict[str, int]:
    """How many rows each table has."""
    with new_session(write=False) as session:
        names = session.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars().all()
        return {
            name: int(session.execute(text(f'SELECT COUNT(*) FROM "{name}"')).scalar_one())
            for name in names
            if not name.startswith("sqlite_")
        }


def test_no_route_takes_a_change_from_another_site(member: TestClient) -> None:
    member.headers.pop("sec-fetch-site")
    before, taken = fingerprint(), []
    for number, (method, path) in enumerate(UNSAFE):
        for headers in ELSEWHERE:
            kind = list(BODIES)[number % 3]
            answer = member.request(
                method, address(path), headers={**headers, "content-type": kind}, content=BODIES[kind]
            )
            # The door, where no cookie opens anything, tells a program without a token that it needs one.
            refused = (401, 403) if path.startswith("/v1/") and not headers else (403,)
            if answer.status_code not in refused:
                taken.append(f"{method} {path} with {headers} answered {answer.status_code}")
    assert len(UNSAFE) > 60
    assert not taken, taken
    assert fingerprint() == before


def test_no_route_answers_another_host(member: TestClient) -> None:
    answered = []
    for method, path in ALL:
        sent = "GET" if method == "MOUNT" else method
        for host in HOSTS[:2]:
            status = member.request(sent, address(path), headers={"host": host}).status_code
            if status != 400:
                answered.append(f"{sent} {path} for {host} answered {status}")
    for host in HOSTS:
        assert member.get("/", headers={"host": host}).status_code == 400, host
    assert not answered, answered


@pytest.mark.slow
def test_reading_changes_nothing(member: TestClient) -> None:
    """Every GET, and HEAD and OPTIONS on what changes: no row more or less, but in the log of who looked."""
    before = fingerprint()
    for path in READING:
        assert member.get(address(path)).status_code < 500, path
    for _method, path in UNSAFE:
        for method in ("HEAD", "OPTIONS"):
            assert member.request(method, address(path)).status_code < 500, path
    changed = {name: count for name, count in fingerprint().items() if count != before[name]}
    assert not set(changed) - {"audit_entry"}, changed


def test_a_json_body_needs_its_content_type(member: TestClient) -> None:
    """Same site, signed in: what another site's form could send is no JSON."""
    taken = []
    for method, path in UNSAFE:
        if path.startswith("/api/v1/"):
            answer = member.request(
                method, address(path), headers={"content-type": "text/plain"}, content=b'{"name": "x"}'
            )
            if answer.status_code >= 500:
                taken.append(f"{method} {path} answered {answer.status_code}")
    assert not taken, taken


NEXT = (
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https:evil.example",
    "/%09/evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/./\\evil.example",
    "/\r\nx: y",
)


@pytest.mark.parametrize("where", NEXT)
def test_nothing_leads_to_another_site(stranger: TestClient, link: str, where: str) -> None:
    """Whatever a request names as the place to go back to, the answer stays here."""
    for name in ("next", "back", "return", "return_to", "url", "redirect"):
        answer = stranger.get("/sign-in", params={"token": "x", name: where})
        assert "evil.example" not in answer.headers.get("location", "")
    answer = stranger.get(link, params={"next": where, "token": link.partition("=")[2]})
    assert answer.status_code == 303
    # As a browser reads it: tabs and line ends fall out, a backslash is a slash.
    read = re.sub(r"[\t\r\n]", "", answer.headers["location"]).replace("\\", "/")
    assert read.startswith("/"), answer.headers["location"]
    assert not read.startswith("//"), answer.headers["location"]
    refused = stranger.post(
        "/datasets/1/remove", headers={"referer": f"http://localhost{where}"[:40].split("\r")[0]}
    )
    assert 'href="//' not in refused.text
    assert 'href="http://evil' not in refused.text
    for path in ("//evil.example/", "//evil.example/datasets/", "/\\evil.example/..", "/datasets//"):
        location = stranger.get(f"http://localhost{path}").headers.get("location", "")
        assert not location.startswith(("//", "/\\")), (path, location)
        assert "evil.example/" not in location.partition("http://localhost")[0], (path, location)


def test_sessions_are_not_made_by_reading(stranger: TestClient) -> None:
    before = fingerprint()
    for path in ("/sign-in", "/sign-in?token=", "/sign-in?token=x", "/", "/lab"):
        assert "set-cookie" not in stranger.get(path).headers
    assert fingerprint() == before


@pytest.fixture
def port(home: Path) -> Iterator[int]:
    """A real server on a socket, for requests that no client library sends."""
    server = uvicorn.Server(uvicorn.Config(create_app(), log_level="critical", server_header=False))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    yield int(listening.getsockname()[1])
    server.should_exit = True
    thread.join(10)


def raw(port: int, request: bytes) -> bytes:
    """The first bytes of the answer."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request)
        connection.settimeout(10)
        return connection.recv(65536)


RAW = {
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: rebind.invalid\r\n\r\n",
    "two hosts, ours last": b"GET /healthz HTTP/1.1\r\nHost: rebind.invalid\r\nHost: localhost\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "absolute form": b"GET http://rebind.invalid/healthz HTTP/1.1\r\nHost: rebind.invalid\r\n\r\n",
    "folded": b"GET /healthz HTTP/1.1\r\nHost: rebind.invalid\r\n localhost\r\n\r\n",
    "both lengths": b"POST /datasets HTTP/1.1\r\nHost: rebind.invalid\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "header with NUL": b"GET /healthz HTTP/1.1\r\nHost: local\x00host\r\n\r\n",
}


def test_raw_requests_are_refused(port: int) -> None:
    for name, request in RAW.items():
        assert raw(port, request).startswith(b"HTTP/1.1 400"), name
    # The absolute form names another host than the header: the header counts, and nothing of the target's is used.
    both = raw(port, b"GET http://rebind.invalid/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"rebind.invalid" not in both
    assert raw(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_ten_thousand_ranges_cost_nothing(port: int) -> None:
    pieces = b",".join(b"%d-%d" % (n, n) for n in range(0, 20000, 2))
    head = b"GET /static/css/components.css HTTP/1.1\r\nHost: localhost\r\nRange: bytes="
    began = time.monotonic()
    raw(port, head + pieces[:60000].rpartition(b",")[0] + b"\r\n\r\n")
    assert time.monotonic() - began < 1.0
    assert raw(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_ten_thousand_ranges_in_the_application(member: TestClient) -> None:
    header = {"range": "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 20000, 2)), **SAME_SITE}
    began = time.monotonic()
    answer = member.get("/static/css/components.css", headers=header)
    assert time.monotonic() - began < 1.0
    assert answer.status_code in (200, 206, 400, 416)
