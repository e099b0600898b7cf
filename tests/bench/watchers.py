"""200 browsers on the pages of live runs, one web process: how quick other pages stay, and its memory."""

import asyncio
import os
import random
import threading
import time
from collections.abc import Iterator

import psutil
from sqlalchemy import insert, update
from sqlmodel import col

from app.db import session_scope
from app.tables import Run, RunMetric
from tests.bench import Figure, at_least, at_most
from tests.bench._lab import RUNS, Web, large_lab
from tests.bench.run_list import p95

BROWSERS = int(os.environ.get("WATCHERS", "200"))
SECONDS = float(os.environ.get("WATCHERS_SECONDS", "30"))
WARM_SECONDS = 8.0
# Runs that are watched, each by as many browsers.
WATCHED = 20
STEPS = 500
# What the page of a live run asks for and how often: templates/runs/_status.html, _curves.html, static/js/chart.js.
ASKS = (("status", 2.0), ("curves", 3.0), ("series.json", 3.0))
OTHERS = (
    "/",
    "/runs",
    "/runs?order=accuracy",
    "/experiments",
    "/experiments/7",
    "/datasets",
    "/runs/77",
    "/models",
)


def figures() -> Iterator[Figure]:
    """p95 of pages beside the watchers, what these were answered, and the process's memory."""
    with large_lab() as web:
        with session_scope() as session:
            for run in _watched():
                session.execute(
                    insert(RunMetric), [row for step in range(STEPS) for row in _readings(run, step)]
                )
        stop = threading.Event()
        answered: list[float] = []
        threads = [
            threading.Thread(target=_train, args=(stop,)),
            threading.Thread(target=lambda: asyncio.run(_watch(web, stop, answered))),
        ]
        for thread in threads:
            thread.start()
        try:
            time.sleep(WARM_SECONDS)
            del answered[:]
            times = _look_around(web)
            asked, process = len(answered) / SECONDS, psutil.Process(web.process.pid)
            memory = process.memory_full_info().pss / 2**20
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    for path, own in times.items():
        yield Figure(f"beside_watchers {path} p95", p95(own), "ms", "", True)
    yield at_most("beside_watchers_p95", p95([each for own in times.values() for each in own]), "ms", 100)
    # Fewer answers than this would mean that the browsers wait instead of watching.
    yield at_least("watchers_answered_a_second", asked, "1/s", BROWSERS)
    yield at_most("watchers_answer_p95", p95(answered), "ms", 1000)
    yield at_most("web_process_pss", memory, "MiB", 250)


def _watched() -> range:
    return range(RUNS - WATCHED + 1, RUNS + 1)


def _readings(run: int, step: int) -> list[dict[str, object]]:
    values = {"loss": 2 / (step + 1), "learning_rate": 1e-4, "tokens_per_second": 5000.0}
    return [{"run_id": run, "name": name, "step": step, "value": value} for name, value in values.items()]


def _train(stop: threading.Event) -> None:
    """What workers write meanwhile: progress and a step of each watched run, once a second."""
    step = STEPS
    while not stop.wait(1.0):
        with session_scope() as session:
            for run in _watched():
                session.execute(insert(RunMetric), _readings(run, step))
                said = {
                    "progress": min(0.99, step / 1000),
                    "progress_note": f"step {step}",
                    "seconds_left": 60.0,
                }
                session.execute(update(Run).where(col(Run.id) == run).values(**said))
        step += 1


def _look_around(web: Web) -> dict[str, list[float]]:
    """Milliseconds by path, one after another with the pause of a reader between. Nobody counts the first look at each,
    after the start of the process."""
    connection = web.connect()
    for path in OTHERS:
        web.milliseconds(connection, path)
    times: dict[str, list[float]] = {path: [] for path in OTHERS}
    give_up = time.monotonic() + SECONDS
    while time.monotonic() < give_up:
        for path in OTHERS:
            times[path].append(web.milliseconds(connection, path))
            time.sleep(0.05)
    return times


async def _watch(web: Web, stop: threading.Event, answered: list[float]) -> None:
    browsers = [asyncio.create_task(_browser(web, number, answered)) for number in range(BROWSERS)]
    while not stop.is_set():
        await asyncio.sleep(0.2)
        for browser in browsers:
            if browser.done():
                browser.result()
    for browser in browsers:
        browser.cancel()
    await asyncio.gather(*browsers, return_exceptions=True)


async def _browser(web: Web, number: int, answered: list[float]) -> None:
    """One open page: each of its parts asks again so long after its last turn, over one connection."""
    run = RUNS - number % WATCHED
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    due = {part: time.monotonic() + random.random() * every for part, every in ASKS}
    try:
        while True:
            part = min(due, key=lambda name: due[name])
            await asyncio.sleep(max(0.0, due[part] - time.monotonic()))
            start = time.monotonic()
            asked = f"GET /runs/{run}/{part} HTTP/1.1\r\nHost: 127.0.0.1\r\nHX-Request: true\r\nCookie: {web.cookie}\r\n\r\n"
            writer.write(asked.encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            assert head.startswith(("http/1.1 200", "http/1.1 204")), head[:200]
            length = next((line for line in head.split("\r\n") if line.startswith("content-length:")), ":0")
            await reader.readexactly(int(length.partition(":")[2]))
            answered.append((time.monotonic() - start) * 1000)
            due[part] = max(start, due[part]) + dict(ASKS)[part]
    finally:
        writer.close()
