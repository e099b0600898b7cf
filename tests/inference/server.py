"""The real server process on a real socket, and clients of it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.source import ROOT


@dataclass
class Answer:
    """What came back: the lines, or an error with its status."""

    status: int
    lines: list[dict[str, Any]]

    @property
    def text(self) -> str:
        return "".join(line.get("text", "") for line in self.lines)

    @property
    def tokens(self) -> list[dict[str, Any]]:
        return [token for line in self.lines for token in line.get("tokens", [])]

    @property
    def last(self) -> dict[str, Any]:
        return self.lines[-1]

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.lines[-1]["error"]
        return found


@dataclass
class Server:
    """A server process; `process` is its newest incarnation."""

    folder: Path
    options: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def socket(self) -> Path:
        return self.folder / "inference.sock"

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "workers.inference"],
                cwd=ROOT,
                env={
                    **os.environ,
                    "INFERENCE_SOCKET": str(self.socket),
                    "INFERENCE_THREADS": "1",
                    **self.options,
                },
                stderr=log,
            )

    def client(self) -> httpx.Client:
        # The socket may not be there yet.
        transport = httpx.HTTPTransport(uds=str(self.socket), retries=3)
        return httpx.Client(transport=transport, base_url="http://inference", timeout=120)

    def wait(self, seconds: float = 20) -> None:
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            try:
                with self.client() as client:
                    client.get("/health")
                return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError((self.folder / "server.log").read_text())

    def health(self) -> dict[str, Any]:
        with self.client() as client:
            found: dict[str, Any] = client.get("/health").json()
            return found

    def chat(self, client: httpx.Client | None = None, **body: Any) -> Answer:
        own = client or self.client()
        try:
            answer = own.post("/chat", json=body)
        finally:
            if client is None:
                own.close()
        lines = [json.loads(line) for line in answer.text.splitlines()] if answer.text else []
        return Answer(answer.status_code, lines)

    def together(self, bodies: list[dict[str, Any]], at_once: int = 32) -> list[Answer]:
        with self.client() as client, ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(lambda body: self.chat(client, **body), bodies))

    def memory(self) -> int:
        """Private memory in MiB."""
        assert self.process
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in rollup if line.startswith("Private_")) // 1024


@contextmanager
def running(folder: Path, **options: str) -> Iterator[Server]:
    """A server that answers; ended by TERM."""
    server = Server(folder, options)
    server.start()
    try:
        server.wait()
        yield server
    finally:
        assert server.process
        server.process.terminate()
        server.process.wait(10)


def rows(folder: Path) -> list[dict[str, Any]]:
    """A bundle's test rows, each with its own `prediction`."""
    predictions = {
        row["item"]: row
        for row in map(json.loads, (folder / "out" / "predictions.jsonl").read_text().splitlines())
    }
    test = map(json.loads, (folder / "test.jsonl").read_text().splitlines())
    return [{**row, "prediction": predictions[row["item"]]} for row in test]


def model(folder: Path, kind: str, **more: Any) -> dict[str, Any]:
    return {"id": folder.name, "kind": kind, "bundle": str(folder), **more}
