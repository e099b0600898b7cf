"""A real server that speaks S3 (moto's), a bucket in it, and a wire that can be cut."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlmodel import select

from app import bucket
from app.config import settings
from app.db import session_scope
from app.tables import StoredFile, StoredState
from workers.stored_files import push


@dataclass
class Wire:
    """Passes bytes to a server; `cut_after` bytes of answers a connection ends; `open` False refuses all."""

    server: int
    cut_after: int = 0
    open: bool = True
    passed: list[int] = field(default_factory=list)
    # Seconds before each piece of what is sent.
    slow: float = 0.0

    def start(self) -> int:
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return int(self.listener.getsockname()[1])

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                if not self.open:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self.server))
                threading.Thread(target=self._pass, args=(near, far, 0), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near, self.cut_after), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, most: int) -> None:
        count = 0
        with suppress(OSError):
            while data := source.recv(65536):
                time.sleep(0 if most else self.slow)
                target.sendall(data)
                count += len(data)
                if most and count >= most:
                    self.passed.append(count)
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
        time.sleep(0.1)
    yield port
    server.kill()
    server.wait()


@pytest.fixture
def wire(s3_port: int, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Wire]:
    """The settings name an empty bucket behind the wire."""
    made = Wire(s3_port)
    name = f"lab-{abs(hash(tmp_path)) % 10**9}"
    for key, value in {
        "BUCKET": name,
        "ENDPOINT": f"http://127.0.0.1:{made.start()}",
        "REGION": "us-east-1",
        "PREFIX": "tunebook",
        "ACCESS_KEY": "AKIDEXAMPLE",
        "SECRET_KEY": "a-secret-key-of-the-bucket",
    }.items():
        monkeypatch.setenv(f"TUNEBOOK_S3_{key}", value)
    settings.cache_clear()
    bucket.forget_client()
    bucket.client().create_bucket(Bucket=name)
    yield made
    made.listener.close()
    bucket.forget_client()


@pytest.fixture
def become(wire: Wire, tmp_path_factory: pytest.TempPathFactory, monkeypatch) -> Callable[[str], Path]:
    """become("b"): from now on this process is machine b with a data folder of its own on the same database."""
    database = settings().database_url or settings().database
    folders: dict[str, Path] = {}

    def become(machine: str) -> Path:
        folders.setdefault(machine, tmp_path_factory.mktemp(f"machine-{machine}"))
        monkeypatch.setenv("TUNEBOOK_DATABASE_URL", database)
        monkeypatch.setenv("TUNEBOOK_MACHINE", machine)
        monkeypatch.setenv("TUNEBOOK_DATA", str(folders[machine]))
        settings.cache_clear()
        return folders[machine]

    return become


def push_all() -> None:
    """Does what the workers of this machine would do now."""
    for _ in range(3):
        with session_scope() as session:
            rows = list(session.exec(select(StoredFile).where(StoredFile.state != StoredState.KEPT)))
            for row in rows:
                row.due_at = None
        for row in rows:
            push(row.id)


def states() -> dict[str, str]:
    with session_scope(write=False) as session:
        return {row.key: row.state for row in session.exec(select(StoredFile))}
