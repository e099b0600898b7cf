"""No name, header or error forges a log line or moves the cursor of the terminal that shows it."""

import io
import json
import logging

import pytest

from app.config import settings
from app.log import log, set_up_logging, telling

pytestmark = pytest.mark.laptop
FORGED = "12:00:00 INFO tunebook: ada is admin now"
ATTACKS = (
    f"x\n{FORGED}", f"x\r{FORGED}", f"x\r\n{FORGED}", f"x\u2028{FORGED}", f"x\u2029{FORGED}", f"x\x0b{FORGED}",
    f"x\x0c{FORGED}", f"x\x85{FORGED}", "\x1b[2J\x1b[1;1H", "\x9b2J", "\x1b]0;title\x07", "\x08\x08\x08", "\x00",
    "\u202egnp.exe", "\u2066x\u2069",
)  # fmt: skip


@pytest.fixture(params=["text", "json"])
def lines(request, client, monkeypatch):
    """What the process logs, line by line as a terminal or a collector would cut it."""
    monkeypatch.setenv("TUNEBOOK_LOG_FORMAT", request.param)
    settings.cache_clear()
    set_up_logging()
    written = io.StringIO()
    assert isinstance(log.handlers[0], logging.StreamHandler)
    log.handlers[0].setStream(written)

    def read() -> list[str]:
        text = written.getvalue()
        if request.param == "json":
            assert all(json.loads(line) for line in text.split("\n") if line)
        return [line for line in text.splitlines() if line]

    yield read
    settings.cache_clear()


def harmless(lines: list[str]) -> None:
    assert lines
    for line in lines:
        assert line.isprintable(), repr(line)
        assert not line.startswith(FORGED[:8]), line


def test_messages_and_errors(lines):
    for attack in ATTACKS:
        log.warning("the name %s is taken", attack)
        with telling(request=attack):
            log.info("about it")
        try:
            raise ValueError(attack)
        except ValueError:
            log.exception("failed with %s", attack)
    harmless(lines())
    # One line each but for tracebacks, whose lines are set in.
    assert sum(not line.startswith("    ") for line in lines()) == 3 * len(ATTACKS)


def test_requests(lines, client, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError(f"broke on x\n{FORGED}\x1b[2J")

    monkeypatch.setattr("app.lab.routes.list_api_tokens", broken)
    for attack in ATTACKS:
        client.post("/lab/projects", data={"name": attack})
        client.post("/sign-in", data={"email": attack, "password": attack})
        client.get(
            "/lab", headers={"x-request-id": attack.encode("utf-8"), "user-agent": attack.encode("utf-8")}
        )
        client.get("/lab", params={"x": attack})
    harmless(lines())
    assert any("broke on" in line for line in lines())
