"""Workers that stand still for longer than their lease, clocks that jump: late writes change nothing, nothing is paid
twice, nothing waits for the old time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from app import clock
from app.db import session_scope
from app.tables import FINAL, Reservation, RunState
from tests.emulator._world import World
from tests.hosting import CREATE, Hosted, change, go, read, row_of
from tests.source import ROOT
from workers import sweep
from workers.task import LEASE_SECONDS

# One worker process: advances the runs that it is told, as messages would.
WORK = """
import sys
import app.providers.openai
app.providers.openai.CREATION_ENDS = "2999-01-01"
from app.registry import load_kinds
load_kinds("app.providers", "PROVIDER")
from workers import runs
runs.send = lambda *_: None
print("ready", flush=True)
for line in sys.stdin:
    try:
        runs.advance(int(line))
    finally:
        print("advanced", flush=True)
"""


@contextmanager
def working() -> Iterator["subprocess.Popen[str]"]:
    """A worker that waits for the numbers of runs."""
    command = [sys.executable, "-c", WORK]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.laptop
@pytest.mark.parametrize("route", [CREATE, "openai POST /v1/files"], ids=["create", "upload"])
def test_a_worker_that_stood_still_beyond_its_lease_writes_nothing(
    hosted: Hosted, world: World, route: str
) -> None:
    """SIGSTOP in the middle of a call to the service; another worker takes over and finishes; then SIGCONT."""
    run_id = hosted()
    world.fail(route, "late", seconds=6.0)
    with working() as worker:
        assert worker.stdin
        assert worker.stdout
        while not seen(world, route):
            worker.stdin.write(f"{run_id}\n")
            worker.stdin.flush()
            end = time.monotonic() + 5
            while time.monotonic() < end and not seen(world, route):
                time.sleep(0.02)
        os.kill(worker.pid, signal.SIGSTOP)
        owner = read(run_id).owner
        assert owner
        assert f"/{worker.pid}/" in owner
        began = time.monotonic()
        (run,) = go(run_id, until=FINAL, seconds=LEASE_SECONDS + 60)
        assert time.monotonic() - began > LEASE_SECONDS / 2, "the lease had to be waited for"
        assert run.state == RunState.DONE, run.error
        before = everything(run_id)
        os.kill(worker.pid, signal.SIGCONT)
        assert worker.stdout.readline() == "advanced\n"
    assert everything(run_id) == before
    jobs = [made for made in world.made if made.kind == "job"]
    assert len(jobs) == 1, jobs
    assert row_of(run_id).remote_id == jobs[0].id
    print(f"stood still for {time.monotonic() - began:.0f} s in the middle of {route}: 1 job")


def seen(world: World, route: str) -> bool:
    """Whether the service has had such a call."""
    return any(call.route == route for call in list(world.seen))


def everything(run_id: int) -> list[Any]:
    """All that is kept of the run and its job."""
    run, job = read(run_id), row_of(run_id)
    return [run.model_dump(), job.model_dump()]


def put_clock(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """From now on this process's clock goes wrong by so much."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + by

    monkeypatch.setattr(clock, "datetime", Wrong)


def look_and_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """What clock and workers do in one second: a look of the sweep, and the runs that it finds due."""
    from workers.runs import advance

    due: list[int] = []
    monkeypatch.setattr(sweep, "send", lambda task, row: due.append(row) if task == "runs.advance" else None)
    sweep.look()
    for run_id in due:
        advance(run_id)


@pytest.mark.laptop
@pytest.mark.parametrize(
    "hours", [-1, *(pytest.param(each, marks=pytest.mark.slow) for each in (1, 2 * 365 * 24))]
)
def test_a_clock_that_jumps_changes_no_state_and_stops_nothing(
    hosted: Hosted, world: World, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """A lease is held, a job trains, and another row waits for its time when the clock jumps."""
    monkeypatch.setattr(sweep, "REPEAT_SECONDS", 0.05)
    monkeypatch.setattr(sweep, "_looked", [])
    run_id, leased = hosted(2)
    go(run_id, until=(RunState.TRAINING,))
    # Somebody on another machine works on the second, and dies there.
    change(leased, owner="elsewhere/1/0.00#1", lease_until=clock.in_seconds(LEASE_SECONDS))
    look_and_work(monkeypatch)
    change(run_id, due_at=clock.in_seconds(10))
    put_clock(monkeypatch, timedelta(hours=hours))
    end = time.monotonic() + 60
    while not all(read(each).state in FINAL for each in (run_id, leased)):
        look_and_work(monkeypatch)
        assert time.monotonic() < end, [(read(each).state, read(each).due_at) for each in (run_id, leased)]
        time.sleep(0.05)
    assert [read(each).state for each in (run_id, leased)] == [RunState.DONE] * 2
    assert len([made for made in world.made if made.kind == "job"]) == 2
    with session_scope(write=False) as reading:
        assert all(row.settled_at for row in reading.exec(select(Reservation)))
