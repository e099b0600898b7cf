"""kill -9 of web, worker and clock at random while hosted runs are launched, and creates whose answers are lost: no
job is made twice, none is lost, nothing is spent beyond what was reserved.
"""

import os
import random
import signal
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.emulator import emulator
from tests.emulator.__main__ import environment
from tests.emulator._world import World
from tests.faults.test_kills import ended
from tests.stack import Stack, rule_rows, running_stack, wait_for

# Services whose create is never repeated, whose job's id is ours, and whose create costs nothing before its start.
MODELS = {
    "openai": ("openai/gpt-4.1-mini-2025-04-14", "openai POST /v1/fine_tuning/jobs"),
    "fireworks": (
        "fireworks/accounts/fireworks/models/qwen3-8b",
        "fireworks POST */supervisedFineTuningJobs",
    ),
    "mistral": ("mistral/open-mistral-nemo", "mistral POST /v1/fine_tuning/jobs"),
}
PROCESSES = {"web": "app.serve", "worker": "worker", "clock": "beat"}
LAST_LOOK, OLDEST = 8.0, 20.0
CAP = 1_000_000_000


@pytest.fixture
def world() -> Iterator[World]:
    with emulator(speed=60.0) as running:
        yield running


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: World) -> Iterator[Stack]:
    wanted = ("TUNEBOOK_ALLOW", *(f"TUNEBOOK_{name.upper()}" for name in MODELS))
    for name, value in environment(world).items():
        if name.startswith(wanted):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("TUNEBOOK_FIREWORKS_ACCOUNT_ID", "lab")
    monkeypatch.setenv("TUNEBOOK_REMOTE_POLL_SECONDS", "1")
    monkeypatch.setenv("TUNEBOOK_LOOK_TIMES", f"0,1,3,{LAST_LOOK}")
    monkeypatch.setenv("TUNEBOOK_ORPHAN_MINUTES", "0.2")
    yield from running_stack(tmp_path)


def kill_one(stack: Stack, draw: random.Random) -> str:
    """Kills one process of a kind drawn by lot, at an age drawn by lot: one that was always killed while it starts
    would do nothing worth interrupting. "" when there is none."""
    kind, age = draw.choice(list(PROCESSES)), draw.uniform(0, OLDEST)
    found = [
        child
        for child in stack.children()
        if PROCESSES[kind] in _command(child) and time.time() - child.create_time() > age
    ]
    if not found:
        return ""
    try:
        os.kill(draw.choice(found).pid, signal.SIGKILL)
    except ProcessLookupError:
        return ""
    return kind


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def query(stack: Stack, text: str) -> list[Any]:
    with sqlite3.connect(stack.data / "tunebook.db", timeout=30) as database:
        return database.execute(text).fetchall()


def lose_answers(world: World, draw: random.Random) -> None:
    """One create of three has no answer, had it its effect or not."""
    for _, route in MODELS.values():
        for _ in range(12):
            fault, skip = draw.choice(["drop", "cut", "garbage", "status"]), draw.randint(0, 3)
            world.fail(route, fault, skip=skip, effect=draw.random() < 0.7)


def decide(stack: Stack, world: World) -> int:
    """What a person does about runs that are not confirmed: looks at the service, and creates again what is not
    there. Gives how many there were."""
    asked = query(
        stack,
        "SELECT r.id, r.launch_key FROM run r JOIN remotejob j ON j.run_id = r.id"
        " WHERE r.state = 'unknown' AND j.not_confirmed",
    )
    for run_id, key in asked:
        assert key.removeprefix("tb-") not in paid(world), "a job that the service lists was not found"
        try:
            stack.call("POST", f"/runs/{run_id}/create-again")
        except httpx.HTTPError:
            continue  # the web was just killed, or it has been decided already
    return len(asked)


def run_under_kills(stack: Stack, world: World, runs_each: int, kills: int) -> None:
    draw = random.Random()
    dataset = stack.upload(rule_rows(60))
    for provider in MODELS:
        wait_for(
            lambda name=provider: query(
                stack, f"SELECT 1 FROM credential WHERE provider = '{name}' AND state = 'ready'"
            ),
            60,
        )
    with sqlite3.connect(stack.data / "tunebook.db", timeout=30) as database:
        # Nobody knows what Mistral's training costs: an admin allows it.
        database.execute(
            "INSERT INTO budget (project_id, maker_id, created_at, scope, cap_microdollars, period, allow_unknown)"
            " VALUES (1, 1, '2026-01-01 00:00:00', 'lab', ?, 'total', 1)",
            (CAP,),
        )
    models = [{"model": model} for model, _ in MODELS.values()]
    seeds = list(range(1, runs_each + 1))
    body = {"dataset_id": dataset, "models": models, "seeds": seeds}
    experiment = int(stack.call("POST", "/experiments", json=body)["id"])
    lose_answers(world, draw)
    killed, decided = Counter[str](), 0
    while sum(killed.values()) < kills:
        time.sleep(draw.uniform(0.1, 1.0))
        if kind := kill_one(stack, draw):
            killed[kind] += 1
        if sum(killed.values()) % 20 == 0:
            decided += decide(stack, world)
    world.faults.clear()
    give_up = time.monotonic() + 600
    while not _quiet(stack, experiment):
        decided += decide(stack, world)
        assert time.monotonic() < give_up, query(stack, "SELECT state, count(*) FROM run GROUP BY state")
        time.sleep(1)
    print("killed:", dict(killed), "creates not confirmed and decided:", decided)
    check(stack, world, len(MODELS) * runs_each)


def _quiet(stack: Stack, experiment: int) -> bool:
    try:
        return ended(stack, experiment)
    except httpx.HTTPError:
        return False


def paid(world: World) -> dict[str, list[str]]:
    """{key without its first letters: jobs that cost money}; at Mistral the start costs, not the create."""
    found: dict[str, list[str]] = defaultdict(list)
    for made in world.made:
        if made.kind == ("start" if made.service == "mistral" else "job"):
            found[made.launch_key.rpartition("/")[2].removeprefix("tb-")].append(made.id)
    return found


def check(stack: Stack, world: World, runs: int) -> None:
    """Each run is done, has one job, and no job at the services is unknown here."""
    assert query(stack, "SELECT state, count(*) FROM run GROUP BY state") == [("done", runs)]
    jobs = paid(world)
    assert {key: len(ids) for key, ids in jobs.items() if len(ids) > 1} == {}
    keys = {row[0].removeprefix("tb-") for row in query(stack, "SELECT launch_key FROM run")}
    assert set(jobs) == keys
    known = {row[0].rpartition("/")[2] for row in query(stack, "SELECT remote_id FROM remotejob")}
    assert {ids[0].rpartition("/")[2] for ids in jobs.values()} == known
    assert query(stack, "SELECT count(*) FROM orphan WHERE state IN ('found', 'cancelling')") == [(0,)]
    spent, reserved, counted = query(
        stack,
        "SELECT sum(spent_microdollars), sum(reserved_microdollars), count(*) FROM reservation"
        " WHERE price_known",
    )[0]
    assert counted >= runs // 3
    print("jobs:", len(jobs), "billed:", dict(world.microdollars), "spent:", spent, "reserved:", reserved)
    # An estimate may be wrong; what budgets hold may not.
    assert spent <= CAP


@pytest.mark.slow
@pytest.mark.laptop
def test_launches_under_kills_of_web_workers_and_clock(stack: Stack, world: World) -> None:
    """Tunebook leaves longer pauses before it starts again what keeps dying, so that more kills would only meet
    nothing; see test_hosted_worker_kills.py for many."""
    run_under_kills(stack, world, runs_each=6, kills=40)
