"""The web server alone, as a process of its own, with raw connections to it: for tests of clients and of its disk."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.source import ROOT
from tests.stack import Stack, wait_for

BOUNDARY = "edge"


class Web(Stack):
    """The web server alone."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.web: subprocess.Popen[bytes] | None = None

    def begin(self, **more: str) -> "Web":
        """Starts it and waits until it answers."""
        subprocess.run([sys.executable, "-m", "app", "migrate"], cwd=ROOT, env=self.environment, check=True)
        with (self.data / "web.log").open("ab") as log:
            self.web = subprocess.Popen(
                [sys.executable, "-m", "app", "web"],
                cwd=ROOT,
                env={**self.environment, **more},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(lambda: httpx.get(f"{self.base}/healthz").status_code == 200, 60)
        self.call("GET", "/datasets")
        return self

    def pages(self, count: int) -> float:
        """p95 of a page's time, in seconds, by connections of their own."""
        seconds = []
        for _ in range(count):
            began = time.monotonic()
            self.call("GET", "/datasets")
            seconds.append(time.monotonic() - began)
        return sorted(seconds)[int(count * 0.95)]

    def memory(self) -> int:
        """Resident bytes."""
        assert self.web
        return psutil.Process(self.web.pid).memory_info().rss

    def incoming(self) -> list[Path]:
        """Files of uploads that have not ended."""
        return [path for path in (self.data / "incoming").glob("*") if path.is_file()]

    def head(self, length: int | str, more: str = "") -> bytes:
        """The head of an upload's request."""
        given = f"Content-Length: {length}\r\n" if length != "" else ""
        return (
            f"POST /api/v1/datasets HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {self.token}\r\n"
            f"{given}{more}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
        ).encode()

    def raw(self, *pieces: bytes, seconds: float = 20) -> bytes:
        """What is answered to these bytes; empty when the connection is closed without a word."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            with suppress(ConnectionError):
                for piece in pieces:
                    connection.sendall(piece)
            answer = b""
            with suppress(ConnectionError, TimeoutError):
                while piece := connection.recv(65536):
                    answer += piece
                    if b"\r\n\r\n" in answer and b"content-length" in answer.lower():
                        break
            return answer


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    made = Web(tmp_path)
    try:
        yield made.begin()
    finally:
        if made.web:
            made.web.kill()
            made.web.wait()
