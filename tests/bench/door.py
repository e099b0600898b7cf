"""What the door adds to an answer of the inference process, how many it lets through, and pages meanwhile.

`python -m tests.bench door`. A starter of tiny's size with random weights answers 8 tokens, once over the socket of the
inference process and once over the door, in turns; then 64 callers at once against one.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import update
from sqlmodel import col

from app.config import settings
from app.db import session_scope
from app.lab.actor import first_actor
from app.lab.sign_in import make_token
from app.storage import run_path
from app.tables import Run, RunState, TokenKind
from tests.bench import Figure, at_least, at_most
from tests.bench._lab import Web, large_lab
from tests.bench.inference import make_bundle, messages
from tests.bench.run_list import p95
from tests.source import ROOT

PAIRS, TOKENS, AT_ONCE, CHATS = 300, 8, 64, 64
QUIET_SECONDS = 5.0
PAGES = ("/", "/runs", "/experiments", "/datasets", "/runs/77", "/models")


def figures() -> Iterator[Figure]:
    """Milliseconds added, answers a second, and the p95 of pages beside them."""
    with large_lab() as web:
        bundle, secret = _prepared()
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.inference"],
            cwd=ROOT,
            env={
                **os.environ,
                "INFERENCE_SOCKET": str(settings().inference_socket),
                "INFERENCE_THREADS": "1",
            },
        )
        try:
            while not settings().inference_socket.exists():
                time.sleep(0.05)
            direct, door, again = asyncio.run(_in_turns(web, bundle, secret))
            both = [psutil.Process(each) for each in (web.process.pid, process.pid)]
            alone, cpu_alone = _rate(both, web, secret, 1, CHATS)
            together, cpu_together = _rate(both, web, secret, AT_ONCE, CHATS * 10)
            with _Reader(web) as quiet:
                time.sleep(QUIET_SECONDS)
            with _Reader(web) as reader:
                _rate(both, web, secret, AT_ONCE, CHATS * 10)
        finally:
            process.terminate()
            process.wait(20)
    added = [theirs - ours for theirs, ours in zip(door, direct, strict=True)]
    yield Figure("door_direct p50", statistics.median(direct), "ms", "", True)
    yield Figure("door_through p50", statistics.median(door), "ms", "", True)
    yield at_most("door_added_p50", statistics.median(added), "ms", 3)
    yield at_most("door_added_p95", p95(added), "ms", 10)
    # What other work on the machine adds to the second of two like calls.
    noise = [second - first for first, second in zip(direct, again, strict=True)]
    yield Figure("direct_again_added p95", p95(noise), "ms", "", True)
    yield Figure("door's processor time for a chat", cpu_alone[0], "ms", "", True)
    yield Figure("door one at a time", alone, "chats/s", "", True)
    yield Figure(f"door {AT_ONCE} at once", together, "chats/s", "", True)
    yield at_least("door_at_once_against_alone", together / alone, "times", 2)
    spared = sum(cpu_alone) / sum(cpu_together)
    yield Figure("the same in processor time of both processes", spared, "times", "", True)
    yield Figure("pages p95 without the door's callers", p95(quiet.times), "ms", "", True)
    yield at_most("beside_door_pages_p95", p95(reader.times), "ms", 100)


def _prepared() -> tuple[Path, str]:
    """The bundle of run 1, which has a model now, and a token for the API."""
    with session_scope() as session:
        values = {"model": "starter/tiny", "state": RunState.DONE, "due_at": None}
        session.execute(update(Run).where(col(Run.id) == 1).values(**values))
        secret = make_token(session, first_actor(session), TokenKind.API, "bench")
    return make_bundle(run_path(1)), secret


async def _in_turns(web: Web, bundle: Path, secret: str) -> tuple[list[float], ...]:
    """Milliseconds of the same questions over the socket, over the door and over the socket again, one caller,
    connections kept open."""
    own = await asyncio.open_unix_connection(str(settings().inference_socket))
    tcp = await asyncio.open_connection("127.0.0.1", web.port)
    direct, door, again = [], [], []
    for number in range(-40, PAIRS):
        asked = _question({"model": _model(bundle), "stream": False}, number)
        over_door = _question({"model": "run-1"}, number)
        times = (
            await _timed(*own, _post("/chat", asked)),
            await _timed(*tcp, _post("/v1/chat/completions", over_door, secret)),
            await _timed(*own, _post("/chat", asked)),
        )
        if number >= 0:
            direct.append(times[0])
            door.append(times[1])
            again.append(times[2])
    own[1].close()
    tcp[1].close()
    return direct, door, again


def _rate(
    processes: list[psutil.Process], web: Web, secret: str, at_once: int, count: int
) -> tuple[float, list[float]]:
    """Answers a second, and milliseconds of each process's processor for one."""
    before = [sum(each.cpu_times()[:2]) for each in processes]
    rate = asyncio.run(_many(web, secret, at_once, count))
    after = [sum(each.cpu_times()[:2]) for each in processes]
    return rate, [(end - begin) / count * 1000 for begin, end in zip(before, after, strict=True)]


async def _many(web: Web, secret: str, at_once: int, count: int) -> float:
    """Answers a second through the door, so many callers at once."""
    numbers = iter(range(count))

    async def one_after_the_other() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
        for number in numbers:
            asked = _question({"model": "run-1"}, number)
            await _timed(reader, writer, _post("/v1/chat/completions", asked, secret))
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
    return count / (time.perf_counter() - begun)


def _model(bundle: Path) -> dict[str, Any]:
    return {"id": "run-1", "kind": "starter", "bundle": str(bundle), "adapter": None, "base": None}


def _question(more: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "messages": messages(number),
        "temperature": 1.0,
        "seed": abs(number),
        "max_tokens": TOKENS,
        **more,
    }


def _post(path: str, asked: dict[str, Any], secret: str = "") -> bytes:
    body = json.dumps(asked).encode()
    bearer = f"authorization: Bearer {secret}\r\n" if secret else ""
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\n{bearer}content-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def _timed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> float:
    begun = time.perf_counter()
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    assert head.startswith("http/1.1 200"), head + (await reader.read(500)).decode()
    if "transfer-encoding: chunked" in head:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readexactly(2)
    else:
        await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
    return (time.perf_counter() - begun) * 1000


class _Reader:
    """Somebody who reads pages meanwhile; `times` in milliseconds."""

    def __init__(self, web: Web) -> None:
        self.times: list[float] = []
        self._stop, self._web = threading.Event(), web
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> "_Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _read(self) -> None:
        connection = self._web.connect()
        while not self._stop.is_set():
            for path in PAGES:
                self.times.append(self._web.milliseconds(connection, path))
                time.sleep(0.05)
