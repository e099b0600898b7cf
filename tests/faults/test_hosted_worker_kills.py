"""kill -9 of workers at random, three hundred times, over fifty hosted launches whose creates lose their answers.

The workers are forks of one process that has everything imported: they do what the sweep and the queue would, with
the real functions, and a new one stands a moment after each kill.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlmodel import Session, col, select

from app.config import settings
from app.db import session_scope
from app.errors import Conflict
from app.lab.actor import Actor
from app.runs.hosted_decide import create_again
from app.runs.orphans import orphan_lines
from app.runs.reply_service import predict_by
from app.tables import FINAL, RemoteBatchRow, RemoteJobRow, Run, RunState, Sent
from tests.emulator._world import World
from tests.hosting import CREATE, Hosted, read
from tests.source import ROOT
from workers.orphans import look_at

FIREWORKS = "fireworks/accounts/fireworks/models/qwen3-8b"
MISTRAL = "mistral/open-mistral-nemo"
CREATES = (CREATE, "fireworks POST */supervisedFineTuningJobs", "mistral POST /v1/fine_tuning/jobs")
WORKERS, RUNS_EACH, KILLS = 4, 17, 300

# Forks a worker for each line that it reads, and says its pid.
NEST = """
import os, random, signal, sys, time
import app.main, app.providers.openai, workers.runs, workers.orphans
from app import db
from app.queue import ADVANCE_RUN
from app.registry import load_kinds
from workers import runs, sweep
app.providers.openai.CREATION_ENDS = "2999-01-01"
load_kinds("app.providers", "PROVIDER")
signal.signal(signal.SIGCHLD, signal.SIG_IGN)

def work():
    db.dispose()
    runs.send = lambda *_: None
    random.seed()
    sweep.REPEAT_SECONDS = 0.5
    while os.getppid() == nest:
        due = []
        sweep.send = lambda task, row_id: due.append(row_id) if task == ADVANCE_RUN else None
        sweep.look()
        # As messages would, in no order: else a killed worker's successors never came to the last ones.
        for run_id in random.sample(due, min(len(due), 3)):
            runs.advance(run_id)
        time.sleep(0.02)
    os._exit(0)

nest = os.getpid()
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        work()
    print(pid, flush=True)
"""


@contextmanager
def nesting() -> Iterator["subprocess.Popen[str]"]:
    """The process that the workers are forks of; they end with it."""
    process = subprocess.Popen(
        [sys.executable, "-c", NEST],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.wait()


def hatch(nest: "subprocess.Popen[str]") -> int:
    """One more worker."""
    assert nest.stdin
    assert nest.stdout
    nest.stdin.write("\n")
    nest.stdin.flush()
    return int(nest.stdout.readline())


def paid(world: World) -> dict[str, list[str]]:
    """{launch key without its first letters: jobs that cost money}; at Mistral the start costs, not the create."""
    found: dict[str, list[str]] = defaultdict(list)
    for made in world.made:
        if made.kind == ("start" if made.service == "mistral" else "job"):
            found[made.launch_key.rpartition("/")[2].removeprefix("tb-")].append(made.id)
    return found


def decide(session: Session, actor: Actor, world: World) -> int:
    """What a person does: looks at the service, and creates again what is not there. Gives how often."""
    where = (Run.state == RunState.UNKNOWN, RemoteJobRow.not_confirmed)
    asked = session.exec(select(Run).join(RemoteJobRow).where(*where)).all()
    session.commit()
    done = 0
    for run in asked:
        assert run.launch_key.removeprefix("tb-") not in paid(world), "a job that is there was not found"
        try:
            create_again(session, actor, run.id or 0)
            done += 1
        except Conflict:
            session.rollback()
        session.commit()
    return done + decide_batches(session, actor, world)


def decide_batches(session: Session, actor: Actor, world: World) -> int:
    """The same for batches of questions: what no service has goes by chat."""
    lost = session.exec(
        select(RemoteBatchRow)
        .join(Run)
        .where(
            Run.state == RunState.PAUSED,
            RemoteBatchRow.sent == Sent.SENDING,
            col(RemoteBatchRow.read_at).is_(None),
        )
    ).all()
    for row in lost:
        assert not [made for made in world.made if made.kind == "batch" and row.launch_key in made.launch_key]
        predict_by(session, actor, row.run_id, "chat")
    session.commit()
    return len(lost)


@pytest.mark.slow
@pytest.mark.laptop
def test_three_hundred_kills_over_fifty_launches(
    hosted: Hosted,
    world: World,
    session: Session,
    actor: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TUNEBOOK_LOOK_TIMES", "0,0.5,1,2,4")
    monkeypatch.setenv("TUNEBOOK_REMOTE_POLL_SECONDS", "0.5")
    settings.cache_clear()
    draw = random.Random()
    world.speed, world.late_list = 2.0, 1.0
    for number, route in enumerate(CREATES * 10):
        kind = ("drop", "cut", "garbage", "status")[number % 4]
        world.fail(route, kind, skip=number % 3, effect=draw.random() < 0.7)
    # Every call takes its time, so that kills fall into the middle of calls.
    world.fail("* POST *", "late", seconds=0.15, times=-1)
    world.fail("* GET *", "late", seconds=0.03, times=-1)
    runs = [*hosted(RUNS_EACH), *hosted(RUNS_EACH, FIREWORKS), *hosted(RUNS_EACH, MISTRAL)]
    with nesting() as nest:
        workers, kills, decided = [hatch(nest) for _ in range(WORKERS)], 0, 0
        during = Counter[str]()
        while kills < KILLS:
            let_work(world, draw.randint(1, 6))
            victim = choose(workers, draw)
            during.update(held_by(victim))
            os.kill(victim, signal.SIGKILL)
            workers.remove(victim)
            kills += 1
            workers.append(hatch(nest))
            decided += decide(session, actor, world)
        world.faults.clear()
        world.speed = 200.0
        end = time.monotonic() + 300
        while any(run.state not in FINAL for run in map(read, runs)):
            decided += decide(session, actor, world)
            assert time.monotonic() < end, Counter(run.state for run in map(read, runs))
            time.sleep(0.5)
    print(
        f"{kills} kills, in the middle of a run {during.total()}: {dict(during)}; {decided} creates decided"
    )
    check(world, session, actor, runs)


def let_work(world: World, calls: int) -> None:
    """Waits until the services had some more calls, so that kills keep step with the work on a machine of any speed."""
    enough, end = len(world.seen) + calls, time.monotonic() + 5
    while len(world.seen) < enough and time.monotonic() < end:
        time.sleep(0.01)


def choose(workers: list[int], draw: random.Random) -> int:
    """Most often one that holds a run at this moment."""
    end = time.monotonic() + 0.5
    while draw.random() < 0.9 and time.monotonic() < end:
        if busy := [pid for pid in workers if held_by(pid)]:
            time.sleep(draw.uniform(0, 0.05))
            return draw.choice(busy)
    return draw.choice(workers)


def held_by(pid: int) -> list[str]:
    """The states of the runs that the worker holds."""
    with session_scope(write=False) as session:
        held = session.exec(select(Run.state).where(col(Run.owner).like(f"%/{pid}/%"))).all()
    return list(held)


def check(world: World, session: Session, actor: Actor, runs: list[int]) -> None:
    """Each run is done, has one job that was paid once, and no paid job is unknown here."""
    assert Counter(run.state for run in map(read, runs)) == {RunState.DONE: len(runs)}
    jobs = paid(world)
    assert {key: ids for key, ids in jobs.items() if len(ids) > 1} == {}
    assert set(jobs) == {read(run_id).launch_key.removeprefix("tb-") for run_id in runs}
    rows = session.exec(select(RemoteJobRow)).all()
    session.commit()
    assert {row.sent for row in rows} == {Sent.YES}
    known = {row.remote_id.rpartition("/")[2] for row in rows}
    assert {ids[0].rpartition("/")[2] for ids in jobs.values()} == known
    for place in range(3):
        look_at(runs[RUNS_EACH * place])
    assert [line for line in orphan_lines(session, actor) if line.provider != "Mistral"] == []
    session.commit()
    creates = sum(row.creates for row in rows)
    print(
        f"{len(jobs)} paid jobs for {len(runs)} runs, {creates} creates sent, billed {dict(world.microdollars)}"
    )
