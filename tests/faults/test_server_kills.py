"""A lab's server under faults: two webs, three workers, clock, PostgreSQL and Redis by the compose file's start commands;
a hundred launches while each of them is killed in turn and Redis is emptied: nothing lost, nothing twice."""

import json
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import create_engine
from sqlmodel import SQLModel

from tests.compose import PROCESSES, OwnPostgres, Server
from tests.emulator import emulator
from tests.emulator.__main__ import environment as emulated
from tests.faults.test_hosted_kills import MODELS, Ground, Tally, check, decide, ended, lose_answers, prepare
from tests.stack import wait_for

LAUNCHES, ROUNDS, CLIENTS = 100, 4, 6
# How long before or after a fault begins a launch may be sent.
SPREAD_SECONDS = 4.0
LOCAL = ("baseline/majority", "baseline/nearest")
# One launch in so many goes to a service too, to each of the three in turn.
HOSTED_EVERY = 2
# A fifth of what was uploaded: rule_rows(60).
TEST_ITEMS = 12


@dataclass
class Answers:
    """What was asked and answered: by each launch key the ids that were answered, and all statuses."""

    answered: dict[str, set[int]] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    people: Tally = field(default_factory=Tally)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """The server with three emulated services."""
    postgres = OwnPostgres()
    try:
        with emulator(speed=20.0) as world:
            wanted = ("TUNEBOOK_ALLOW", *(f"TUNEBOOK_{name.upper()}" for name in MODELS))
            told = {name: value for name, value in emulated(world).items() if name.startswith(wanted)}
            told |= {
                "TUNEBOOK_FIREWORKS_ACCOUNT_ID": "lab",
                "TUNEBOOK_REMOTE_POLL_SECONDS": "2",
                "TUNEBOOK_LOOK_TIMES": "0,1,3,8",
                "TUNEBOOK_ORPHAN_MINUTES": "1",
            }
            server = Server(tmp_path, postgres, told)
            address = postgres.address.replace("postgresql://", "postgresql+psycopg://")
            engine = create_engine(address, pool_pre_ping=True)
            try:
                yield Ground(server.start(), world, engine)
            finally:
                engine.dispose()
                server.stop()
    finally:
        postgres.stop()


def body_of(number: int, dataset: int, key: str) -> dict[str, Any]:
    """One small launch: a baseline, and every second time a training at a service."""
    models = [LOCAL[number % len(LOCAL)]]
    if number % HOSTED_EVERY == 0:
        models.append([model for model, _ in MODELS.values()][number // HOSTED_EVERY % len(MODELS)])
    return {
        "dataset_id": dataset,
        "models": [{"model": model} for model in models],
        "seeds": [number + 1],
        "launch_key": key,
    }


def launch(server: Server, body: dict[str, Any], tally: Answers, draw: random.Random) -> None:
    """Sends until there is an answer, to the one web or the other; a third of the time one that nobody waits for goes
    before it, and one beside it."""
    key = body["launch_key"]
    tally.answered[key] = set()
    time.sleep(draw.uniform(0, SPREAD_SECONDS))
    if draw.random() < 0.3:
        for base in server.bases:
            tally.lost += send_and_leave(server, base, body)
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with suppress(httpx.TransportError):
            base = draw.choice(server.bases)
            headers = {"authorization": f"Bearer {server.token}"}
            answer = httpx.post(f"{base}/api/v1/experiments", headers=headers, json=body, timeout=20)
            tally.statuses[str(answer.status_code)] += 1
            if answer.status_code == 201:
                tally.answered[key].add(int(answer.json()["id"]))
                return
            # Only "not now" may be said: whoever asks again must find the same words and no fault of ours.
            assert answer.status_code == 503, answer.text
            assert answer.json()["hint"], answer.text
            continue
        tally.statuses["no answer"] += 1
        time.sleep(0.3)
    raise AssertionError(f"no answer to {body}")


def send_and_leave(server: Server, base: str, body: dict[str, Any]) -> int:
    """Sends the launch and cuts the connection before the answer; gives 1 when it was taken."""
    host, _, port = base.removeprefix("http://").partition(":")
    content = json.dumps(body).encode()
    head = (
        f"POST /api/v1/experiments HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {server.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(head.encode() + content)
        return 1
    return 0


def faults(server: Server) -> dict[str, Callable[[random.Random], None]]:
    """Everything that is done to the server, by name; each is mended before the next."""

    def killed(name: str) -> Callable[[random.Random], None]:
        def kill(_draw: random.Random) -> None:
            server.kill(name)

        return kill

    def forks_of(name: str) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(server.started[name].pid).children()
        return []

    def first_alone(_draw: random.Random) -> None:
        # Its forks are left behind, and have to end by themselves.
        forks = wait_for(lambda: forks_of("worker 1"), 60)
        server.started["worker 1"].kill()
        assert psutil.wait_procs(forks, 30)[1] == []

    def fork(draw: random.Random) -> None:
        draw.choice(wait_for(lambda: forks_of("worker-remote"), 60)).kill()

    def postgres(draw: random.Random) -> None:
        server.postgres.fail()
        time.sleep(draw.uniform(0.2, 3))
        server.postgres.start()

    def redis(draw: random.Random) -> None:
        server.redis.kill()
        time.sleep(draw.uniform(0.2, 3))
        server.redis.start()

    def emptied(_draw: random.Random) -> None:
        server.redis.client().flushall()

    found = {name: killed(name) for name in PROCESSES}
    found |= {"worker 1 without its forks": first_alone, "fork of worker-remote": fork}
    return {**found, "PostgreSQL": postgres, "Redis": redis, "Redis emptied": emptied}


def storm(ground: Ground, server: Server, launches: int, rounds: int) -> Answers:
    """Launches in step with the faults: as many in each step as it takes for all."""
    draw, tally, dataset = random.Random(), Answers(), prepare(ground)
    kinds = faults(server)
    order = [name for _ in range(rounds) for name in draw.sample(sorted(kinds), len(kinds))]
    keys = [f"{draw.getrandbits(96):024x}" for _ in range(launches)]
    waiting: list[Future[None]] = []
    with ThreadPoolExecutor(CLIENTS) as clients:
        for step, name in enumerate(order):
            if step % 8 == 0:
                lose_answers(ground.world, draw)
            for number in range(launches * step // len(order), launches * (step + 1) // len(order)):
                body = body_of(number, dataset, keys[number])
                waiting.append(clients.submit(launch, server, body, tally, random.Random(number)))
            time.sleep(draw.uniform(0, SPREAD_SECONDS / 2))
            kinds[name](draw)
            tally.killed[name] += 1
            time.sleep(draw.uniform(1, SPREAD_SECONDS))
            decide(ground, tally.people)
        for each in waiting:
            each.result(180)
    ground.world.faults.clear()
    return tally


def settle(ground: Ground, tally: Answers, seconds: float) -> None:
    """Lets every run end; a person decides what nobody else can."""
    give_up = time.monotonic() + seconds
    while not ended(ground):
        decide(ground, tally.people)
        rows = "SELECT id, model, state, error, progress_note, owner, due_at FROM run WHERE state <> 'done'"
        assert time.monotonic() < give_up, ground.rows(rows)
        time.sleep(1)


def check_launches(ground: Ground, tally: Answers, launches: int) -> None:
    """Each launch exists once, and whoever was answered was told that one."""
    assert len(tally.answered) == launches
    made: dict[str, list[int]] = {}
    for id, key in ground.rows("SELECT id, launch_key FROM experiment"):
        made.setdefault(key, []).append(id)
    assert {key: sorted(ids) for key, ids in tally.answered.items()} == made
    told = "SELECT count(*) FROM audit_entry WHERE action = 'launched' AND noun = 'experiment'"
    assert ground.rows(told) == [(launches,)]


def check_nothing_left(ground: Ground, server: Server, runs: int) -> None:
    """No run without its predictions, no money held back, no lease, no place and no process left."""
    predicted = (
        "SELECT e.run_id, count(DISTINCT e.id), count(DISTINCT s.id), count(p.number), count(DISTINCT p.number),"
        " count(r.number) FROM evaluation e JOIN scoring s ON s.evaluation_id = e.id"
        " JOIN prediction p ON p.evaluation_id = e.id"
        " JOIN reading r ON r.scoring_id = s.id AND r.number = p.number GROUP BY e.run_id"
    )
    counts = [row[1:] for row in ground.rows(predicted)]
    assert counts == [(1, 1, TEST_ITEMS, TEST_ITEMS, TEST_ITEMS)] * runs
    wait_for(lambda: ground.rows("SELECT count(*) FROM deployment WHERE state <> 'stopped'") == [(0,)], 120)
    wait_for(lambda: ground.rows("SELECT count(*) FROM reservation WHERE settled_at IS NULL") == [(0,)], 60)
    leased = [table.name for table in SQLModel.metadata.sorted_tables if "lease_until" in table.columns]
    assert "run" in leased
    for table in leased:
        held = f"SELECT count(*) FROM {table} WHERE owner IS NOT NULL"
        wait_for(lambda held=held: ground.rows(held) == [(0,)], 60)
    assert ground.rows("SELECT count(*) FROM slot WHERE run_id IS NOT NULL") == [(0,)]
    wait_for(lambda: server.trainers() == [], 20)


def run(ground: Ground, launches: int, rounds: int) -> None:
    """The whole of it, with its figures on standard output."""
    server = ground.stack
    assert isinstance(server, Server)
    began = time.monotonic()
    tally = storm(ground, server, launches, rounds)
    stormed = time.monotonic() - began
    settle(ground, tally, 600)
    runs = launches + sum(number % HOSTED_EVERY == 0 for number in range(launches))
    check(ground, runs)
    check_launches(ground, tally, launches)
    check_nothing_left(ground, server, runs)
    logs = server.logs()
    assert "Tunebook met a fault of its own" not in logs
    assert "p/w@1" not in logs
    assert "r/w@2" not in logs
    print(
        f"{launches} launches, {runs} runs, {stormed:.0f} s of faults, {time.monotonic() - began:.0f} s in all"
    )
    print(
        f"killed {dict(tally.killed)}, started again {dict(server.restarts)}; answers {dict(tally.statuses)}; {tally.lost} sent without waiting"
    )
    print(f"decided by a person: {dict(tally.people.decided)}")


@pytest.mark.slow
@pytest.mark.laptop
def test_a_hundred_launches_while_each_process_is_killed_in_turn(ground: Ground) -> None:
    run(ground, LAUNCHES, ROUNDS)
