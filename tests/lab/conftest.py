"""A mail server for tests of what goes out by e-mail."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from app.config import settings


class Mailbox(Message):
    """What a mail server received; `answer` is its next answer."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[Any] = []
        self.answer = ""

    def handle_message(self, message: Any) -> None:
        self.received.append(message)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if self.answer:
            return self.answer
        envelope.rcpt_tos.append(address)
        return "250 OK"


@pytest.fixture
def mailbox(home: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    monkeypatch.setenv("TUNEBOOK_SMTP_URL", f"smtp://127.0.0.1:{port}")
    monkeypatch.setenv("TUNEBOOK_PUBLIC_URL", "https://tunebook.example.org")
    settings.cache_clear()
    yield box
    server.stop()
