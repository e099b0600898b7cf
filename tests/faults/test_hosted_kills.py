"""kill -9 of web, workers, their forks and the clock at random while launches of fifty runs are under way, and creates
whose answers are lost: no job is made twice, none is lost, nothing is spent beyond what was reserved.

The whole product runs, by `tunebook up`, on SQLite and files and on PostgreSQL and Redis.
"""

import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import Engine, create_engine, text

from tests.emulator import emulator
from tests.emulator.__main__ import environment
from tests.emulator._world import World
from tests.stack import Stack, part_of, rule_rows, running_stack, wait_for

# Services whose create is never repeated, whose job's id is ours, and whose create costs nothing before its start.
MODELS = {
    "together": ("together/Qwen/Qwen3.5-9B", "together POST /v1/fine-tunes"),
    "fireworks": (
        "fireworks/accounts/fireworks/models/qwen3-8b",
        "fireworks POST */supervisedFineTuningJobs",
    ),
    "mistral": ("mistral/open-mistral-nemo", "mistral POST /v1/fine_tuning/jobs"),
}
LOCAL = ("baseline/majority", "baseline/nearest")
# Sixteen runs of each service and one of each baseline, which no seed changes: fifty.
SEEDS = list(range(1, 17))
RUNS = len(MODELS) * len(SEEDS) + len(LOCAL)
KILLS, KILLS_A_LAUNCH = 150, 50
FORK = "worker's fork"
LAST_LOOK, OLDEST = 8.0, 12.0
LAB_DOLLARS, RUN_DOLLARS = 10_000, 25
STATE = "SELECT state, count(*) FROM run GROUP BY state"
UNCONFIRMED = (
    "SELECT r.id, r.launch_key FROM run r JOIN remotejob j ON j.run_id = r.id"
    " WHERE r.state = 'unknown' AND j.not_confirmed"
)
# A batch that no service has goes by chat.
LOST_BATCHES = (
    "SELECT DISTINCT r.id, b.launch_key FROM run r JOIN remotebatch b ON b.run_id = r.id"
    " WHERE r.state = 'paused' AND b.sent = 'sending' AND b.read_at IS NULL"
)
MONEY = (
    "SELECT provider, sum(reserved_microdollars), sum(spent_microdollars), count(*),"
    " count(CASE WHEN spent_microdollars > reserved_microdollars THEN 1 END) FROM reservation GROUP BY provider"
)


@dataclass
class Tally:
    """What was killed, launched and decided by a person so far."""

    killed: Counter[str] = field(default_factory=Counter)
    experiments: list[int] = field(default_factory=list)
    decided: Counter[str] = field(default_factory=Counter)


@dataclass
class Ground:
    """Where the launches run: the product, its services, its database."""

    stack: Stack
    world: World
    engine: Engine

    def rows(self, question: str) -> list[tuple[Any, ...]]:
        """What the database says."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(question))]


@pytest.fixture(params=["files", "servers"])
def ground(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ground]:
    """A product on SQLite and a queue of files, or on PostgreSQL and Redis, with three emulated services."""
    address = f"sqlite:///{tmp_path / 'tunebook.db'}"
    if request.param == "servers":
        address = request.getfixturevalue("postgres").emptied()
        monkeypatch.setenv("TUNEBOOK_DATABASE_URL", address)
        monkeypatch.setenv("TUNEBOOK_BROKER_URL", f"{request.getfixturevalue('redis').connection_url}/0")
    with emulator(speed=20.0) as world:
        wanted = ("TUNEBOOK_ALLOW", *(f"TUNEBOOK_{name.upper()}" for name in MODELS))
        for name, value in environment(world).items():
            if name.startswith(wanted):
                monkeypatch.setenv(name, value)
        monkeypatch.setenv("TUNEBOOK_FIREWORKS_ACCOUNT_ID", "lab")
        monkeypatch.setenv("TUNEBOOK_REMOTE_POLL_SECONDS", "2")
        monkeypatch.setenv("TUNEBOOK_LOOK_TIMES", f"0,1,3,{LAST_LOOK}")
        monkeypatch.setenv("TUNEBOOK_ORPHAN_MINUTES", "1")
        with product(tmp_path) as stack, disposed(address) as engine:
            yield Ground(stack, world, engine)


product = contextmanager(running_stack)


@contextmanager
def disposed(address: str) -> Iterator[Engine]:
    """A connection of the test's own."""
    scheme, _, rest = address.partition("://")
    engine = create_engine(f"{scheme.replace('postgresql', 'postgresql+psycopg')}://{rest}")
    yield engine
    engine.dispose()


def kill_one(stack: Stack, draw: random.Random) -> str:
    """Kills one process of a kind drawn by lot, at an age drawn by lot: one that was always killed while it starts
    would do nothing worth interrupting. "" when there is none."""
    age = draw.uniform(0, OLDEST)
    found: dict[str, list[psutil.Process]] = defaultdict(list)
    for child in stack.children():
        with suppress(psutil.Error):
            if (kind := kind_of(child, stack)) and time.time() - child.create_time() > age:
                found[kind].append(child)
    if not found:
        return ""
    # A worker that is killed takes its forks with it, so that these are seldom old enough.
    kind = draw.choice([*sorted(found), *4 * [each for each in found if each == FORK]])
    try:
        os.kill(draw.choice(found[kind]).pid, signal.SIGKILL)
    except ProcessLookupError:
        return ""
    return kind


def kind_of(process: psutil.Process, stack: Stack) -> str:
    """Which part of the product a process is; "" for trainings and what is just starting."""
    part = part_of(process)
    if part != "worker":
        return part
    assert stack.process
    return "worker" if process.ppid() == stack.process.pid else FORK


def let_work(world: World, calls: int) -> None:
    """Waits until the services had some more calls, so that kills keep step with the work on a machine of any speed."""
    enough, end = len(world.seen) + calls, time.monotonic() + 6
    while len(world.seen) < enough and time.monotonic() < end:
        time.sleep(0.05)


def lose_answers(world: World, draw: random.Random) -> None:
    """Many creates have no answer, had they their effect or not."""
    for _, route in MODELS.values():
        for _ in range(8):
            fault, skip = draw.choice(["drop", "cut", "garbage", "status"]), draw.randint(0, 3)
            world.fail(route, fault, skip=skip, effect=draw.random() < 0.7)


def decide(ground: Ground, tally: Tally) -> None:
    """What a person does about runs that wait for one: looks at the service, and lets be made again what is not
    there."""
    for run_id, key in ground.rows(UNCONFIRMED):
        assert key.removeprefix("tb-") not in paid(ground.world), "a job that the service lists was not found"
        tally.decided["create again"] += asked(ground.stack, f"/runs/{run_id}/create-again")
    for run_id, key in ground.rows(LOST_BATCHES):
        assert not [made for made in ground.world.made if made.kind == "batch" and key in made.launch_key]
        tally.decided["by chat"] += asked(ground.stack, f"/runs/{run_id}/predict-by/chat")
    for (run_id,) in ground.rows("SELECT id FROM run WHERE state = 'paused'"):
        tally.decided["go on"] += asked(ground.stack, f"/runs/{run_id}/go-on")


def asked(stack: Stack, path: str) -> bool:
    """Whether it was taken: the web may just have been killed, or the run has moved."""
    try:
        stack.call("POST", path)
    except httpx.HTTPError:
        return False
    return True


def launch(ground: Ground, dataset: int) -> int:
    """Fifty runs; asked again under the same key until there is an answer, as a person would."""
    key = f"{random.Random().getrandbits(96):024x}"
    models = [{"model": model} for model, _ in MODELS.values()] + [{"model": model} for model in LOCAL]
    body = {"dataset_id": dataset, "models": models, "seeds": SEEDS, "launch_key": key}
    made = wait_for(lambda: ground.stack.call("POST", "/experiments", json=body), 60)
    return int(made["id"])


def prepare(ground: Ground) -> int:
    """A data set, checked keys and budgets; gives the data set's id."""
    dataset = ground.stack.upload(rule_rows(60))
    for provider in MODELS:
        ready = f"SELECT 1 FROM credential WHERE provider = '{provider}' AND state = 'ready'"
        wait_for(lambda ready=ready: ground.rows(ready), 60)
    # Nobody knows what Mistral's training costs: an admin allows it, and each run reserves what one may cost.
    lab = {"scope": "lab", "dollars": LAB_DOLLARS, "allow_unknown": True}
    for body in (lab, {"scope": "run", "dollars": RUN_DOLLARS}):
        ground.stack.call("POST", "/budgets", json=body)
    return dataset


def run_under_kills(ground: Ground, kills: int) -> Tally:
    """Launches one grid after another, and kills until all kills are spent; then lets all runs end."""
    draw, tally, dataset = random.Random(), Tally(), prepare(ground)
    began, at_launch = time.monotonic(), 0
    while (done := tally.killed.total()) < kills:
        if not tally.experiments or done - at_launch >= KILLS_A_LAUNCH or ended(ground):
            at_launch = done
            tally.experiments.append(launch(ground, dataset))
            lose_answers(ground.world, draw)
            print(f"{time.monotonic() - began:.0f} s: {done} kills,", dict(ground.rows(STATE)), flush=True)
        time.sleep(draw.uniform(0.3, 3.0))
        let_work(ground.world, draw.randint(1, 40))
        if kind := kill_one(ground.stack, draw):
            tally.killed[kind] += 1
        if done % 10 == 0:
            decide(ground, tally)
    ground.world.faults.clear()
    give_up = time.monotonic() + 900
    while not ended(ground):
        decide(ground, tally)
        assert time.monotonic() < give_up, ground.rows(
            "SELECT id, model, state, error, progress_note FROM run"
        )
        time.sleep(1)
    print(f"{time.monotonic() - began:.0f} s: killed {dict(tally.killed)}, decided {dict(tally.decided)}")
    return tally


def ended(ground: Ground) -> bool:
    """Whether every run has come to its end."""
    return {state for state, _ in ground.rows(STATE)} <= {"done", "failed", "cancelled"}


def paid(world: World) -> dict[str, list[str]]:
    """{key without its first letters: jobs that cost money}; at Mistral the start costs, not the create."""
    found: dict[str, list[str]] = defaultdict(list)
    with world.lock:
        made = list(world.made)
    for each in made:
        if each.kind == ("start" if each.service == "mistral" else "job"):
            found[each.launch_key.rpartition("/")[2].removeprefix("tb-")].append(each.id)
    return found


def check(ground: Ground, runs: int) -> None:
    """Each run is done, has one job, and no job at the services is unknown here."""
    assert ground.rows(STATE) == [("done", runs)], ground.rows("SELECT id, model, state, error FROM run")
    jobs = paid(ground.world)
    assert {key: len(ids) for key, ids in jobs.items() if len(ids) > 1} == {}
    hosted = "SELECT launch_key FROM run WHERE model NOT LIKE 'baseline/%'"
    assert set(jobs) == {row[0].removeprefix("tb-") for row in ground.rows(hosted)}
    known = {row[0].rpartition("/")[2] for row in ground.rows("SELECT remote_id FROM remotejob")}
    assert {ids[0].rpartition("/")[2] for ids in jobs.values()} == known
    assert ground.rows("SELECT count(*) FROM orphan WHERE state IN ('found', 'cancelling')") == [(0,)]
    once = "SELECT count(*) FROM evaluation GROUP BY run_id HAVING count(*) <> 1"
    assert ground.rows(once) == []
    print(
        f"{runs} runs, {len(jobs)} paid jobs, {ground.rows('SELECT sum(creates) FROM remotejob')[0][0]} creates"
    )


def check_money(ground: Ground) -> None:
    """No service has billed more than was reserved for its runs, all of them together and, as far as it says, each.
    Hours of serving pass at the services' speed: their bill has more of them than Tunebook's clock."""
    left = "SELECT count(*) FROM deployment WHERE state <> 'stopped'"
    wait_for(lambda: ground.rows(left) == [(0,)], 120)
    for provider, reserved, spent, count, over in ground.rows(MONEY):
        billed = ground.world.microdollars[provider]
        print(f"{provider}: {count} runs, billed {billed}, known here {spent}, reserved {reserved}")
        assert billed <= reserved
        assert over == 0


@pytest.mark.slow
@pytest.mark.laptop
def test_launches_under_kills_of_web_workers_and_clock(ground: Ground) -> None:
    tally = run_under_kills(ground, KILLS)
    check(ground, RUNS * len(tally.experiments))
    check_money(ground)
