"""Faults around the one paid create of a hosted run: killed workers, lost answers, late lists, double messages."""

import os
import signal
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from app.clock import now
from app.config import settings
from app.db import dispose, session_scope
from app.lab.actor import first_actor
from app.lab.budgets import add_budget, remove_budget
from app.lab.reservations import reserve
from app.providers import openai
from app.registry import load_kinds
from app.runs import hosted as rules
from app.runs.hosted_decide import create_again
from app.runs.paused import resume
from app.tables import FINAL, Reservation, Run, RunState, Sent
from tests.emulator._world import World
from tests.hosting import CREATE, LIST, Hosted, change, go, read, row_of, unconfirmed
from tests.stack import wait_for
from workers.runs import advance

pytestmark = pytest.mark.laptop


def die(run_id: int, where: str) -> None:
    """A worker process takes the run and is killed just before or just after its create: between two commits."""
    pid = os.fork()
    if not pid:
        _die(run_id, where)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    assert read(run_id).owner is not None
    assert row_of(run_id).sent == Sent.SENDING


def _die(run_id: int, where: str) -> None:
    dispose()
    real = openai.PROVIDER.training
    assert real

    def submit(*arguments: Any) -> Any:
        if where == "after":
            real.submit(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    load_kinds("app.providers", "PROVIDER")["openai"] = replace(
        openai.PROVIDER, training=replace(real, submit=submit)
    )
    try:
        advance(run_id)
    finally:
        os._exit(1)


def sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """What frees the leases of dead workers."""
    from workers import sweep

    monkeypatch.setattr(sweep, "send", lambda *_: None)
    sweep.look()


def test_l1_killed_just_before_the_create(hosted: Hosted, world: World, session, actor, monkeypatch) -> None:
    """Nobody knows that it was not sent: no second create without a person's word."""
    run_id = hosted()
    die(run_id, "before")
    assert world.count(CREATE) == 0
    sweep(monkeypatch)
    (run,) = go(run_id, until=unconfirmed)
    assert world.count(CREATE) == 0
    create_again(session, actor, run_id)
    session.commit()
    (run,) = go(run_id)
    assert (run.state, world.count_made("openai", "job")) == (RunState.DONE, 1)
    assert row_of(run_id).decisions[0]["what"] == "lets it be created again"


def test_l1_killed_before_anything_was_sent(hosted: Hosted, world: World, monkeypatch) -> None:
    """Killed in the upload: nothing paid was under way, so it is simply done again."""
    run_id = hosted()
    world.fail("openai POST /v1/files", "hang", seconds=30)
    pid = os.fork()
    if not pid:
        dispose()
        advance(run_id)
        os._exit(1)
    wait_for(lambda: world.count("openai POST /v1/files"), 30)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    sweep(monkeypatch)
    (run,) = go(run_id)
    assert (run.state, world.count_made("openai", "job")) == (RunState.DONE, 1)


def test_l2_killed_after_the_create(hosted: Hosted, world: World, monkeypatch) -> None:
    run_id = hosted()
    die(run_id, "after")
    sweep(monkeypatch)
    started = time.monotonic()
    go(run_id, until=lambda run: row_of(run_id).sent == Sent.YES)
    assert time.monotonic() - started < 5
    (run,) = go(run_id)
    assert (run.state, world.count(CREATE)) == (RunState.DONE, 1)


@pytest.mark.parametrize("fault", ["drop", "cut", "garbage", "html", "empty", "late"])
def test_l4_the_answer_of_the_create_is_lost(
    hosted: Hosted, world: World, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = hosted()
    more: dict[str, Any] = {"effect": True}
    if fault == "late":
        more["seconds"] = 1.0
        monkeypatch.setattr("app.service_http.CALL_SECONDS", 0.2)
    world.fail(CREATE, fault, **more)
    (run,) = go(run_id)
    assert (run.state, run.error) == (RunState.DONE, "")
    assert (world.count(CREATE), world.count_made("openai", "job")) == (1, 1)
    assert row_of(run_id).remote_id == world.made[0].id


@pytest.mark.parametrize("made", [True, False])
def test_l5_the_create_answers_500(hosted: Hosted, world: World, made: bool) -> None:
    run_id = hosted()
    world.fail(CREATE, 500, effect=made)
    (run,) = go(run_id, until=lambda run: run.state in FINAL or unconfirmed(run))
    assert (run.state == RunState.DONE) == made
    assert (world.count(CREATE), world.count_made("openai", "job")) == (1, int(made))
    if not made:
        assert "not confirmed" in run.progress_note
        assert (run.due_at - now()).total_seconds() > 3000


def test_l6_busy_is_waited_for(hosted: Hosted, world: World) -> None:
    run_id, other = hosted(2)
    world.fail(CREATE, 429, headers={"retry-after": "0.6"}, times=2)
    go(run_id, until=lambda run: world.count(CREATE) == 1)
    (done,) = go(other, until=lambda run: world.count(CREATE) == 2)
    (run, done) = go(run_id, other)
    assert {run.state, done.state} == {RunState.DONE}
    times = [seen.at for seen in world.seen if seen.route == CREATE]
    assert len(times) == 4
    assert times[2] - times[0] >= 0.6
    assert world.count_made("openai", "job") == 2


def test_l6_ten_minutes_of_429_make_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the pauses of the real settings, in sums rather than in time."""
    settings.cache_clear()
    monkeypatch.delenv("TUNEBOOK_REMOTE_POLL_SECONDS", raising=False)
    elapsed, calls = 0.0, 0
    while elapsed < 600:
        elapsed += rules.pause_seconds(calls)
        calls += 1
    assert calls < 20
    hour = sum(1 for _ in range(60) if (elapsed := elapsed + rules.pause_seconds(99)) < 4200)
    assert calls + hour < 60
    settings.cache_clear()


def test_l7_the_list_is_late(hosted: Hosted, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = hosted()
    world.late_list = 0.6
    monkeypatch.setenv("TUNEBOOK_LOOK_TIMES", "0,0.1,0.2,0.3,1")
    settings.cache_clear()
    world.fail(CREATE, "drop", effect=True)
    (run,) = go(run_id)
    assert (run.state, world.count(CREATE)) == (RunState.DONE, 1)
    assert world.count(LIST) >= 4


def test_l7_it_shows_up_after_the_last_look(hosted: Hosted, world: World, monkeypatch) -> None:
    monkeypatch.setattr("app.runs.hosted_look.LATER_SECONDS", 0.3)
    run_id = hosted()
    world.late_list = 0.8
    world.fail(CREATE, "drop", effect=True)
    go(run_id, until=unconfirmed)
    (run,) = go(run_id)
    assert (run.state, row_of(run_id).not_confirmed, world.count(CREATE)) == (RunState.DONE, False, 1)


def test_several_jobs_are_found(hosted: Hosted, world: World) -> None:
    """The oldest is kept, the others are cancelled, and the run says so."""
    run_id = hosted()
    world.speed, world.late_list = 20, 1e9
    world.fail(CREATE, "drop", effect=True)
    go(run_id, until=(RunState.UNKNOWN,))
    oldest = world.made[0].id
    double = {**world.things["openai", "main", "job"][oldest], "id": "ftjob-0double", "_at": 0}
    double["created_at"] += 5
    double["_timeline"] = type(double["_timeline"])([("running", 1e6)], "succeeded", world.now())
    world.things["openai", "main", "job"]["ftjob-0double"] = double
    world.late_list = 0
    go(run_id, until=lambda run: row_of(run_id).sent == Sent.YES)
    row = row_of(run_id)
    assert row.remote_id == oldest
    assert "2 jobs of this run" in row.alarm
    go(run_id, until=lambda run: row_of(run_id).doubles[0]["ended"])
    assert double["_timeline"].state(world) == "cancelled"
    world.speed = 5000
    (run,) = go(run_id)
    assert (run.state, row_of(run_id).alarm) == (RunState.DONE, row.alarm)


def test_l9_delivered_twice_at_once(hosted: Hosted, world: World) -> None:
    runs = hosted(3)
    world.paces["openai"].latency = 0.05
    threads = [threading.Thread(target=advance, args=(run_id,)) for run_id in runs for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {run.state for run in go(*runs)} == {RunState.DONE}
    assert (world.count(CREATE), world.duplicates()) == (3, {})


def test_p2_a_worker_that_was_stopped_writes_nothing_late(hosted: Hosted, world: World, monkeypatch) -> None:
    """Its lease is gone when its create is answered: the other one has adopted the job."""
    run_id = hosted()
    world.fail(CREATE, "late", seconds=0.8)
    thread = threading.Thread(target=advance, args=(run_id,))
    thread.start()
    wait_for(lambda: world.count(CREATE), 20)
    change(run_id, owner=None, lease_until=None)
    go(run_id, until=lambda run: row_of(run_id).sent == Sent.YES)
    thread.join()
    (run,) = go(run_id)
    assert (run.state, world.count(CREATE)) == (RunState.DONE, 1)


def test_what_says_that_a_create_leaves_is_on_disk_before_it_does(
    hosted: Hosted, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, seen = hosted(), []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("tunebook.db-wal"):
            seen.append((row_of(run_id).sent, world.count(CREATE)))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    go(run_id, until=(RunState.TRAINING, RunState.DONE))
    assert seen == [(Sent.SENDING, 0)]


def test_rows_that_cost_more_than_was_reserved_are_not_sent_to_training_without_money(
    hosted: Hosted, world: World
) -> None:
    """The service names no price, and the rows turn out longer than the data set's average: nothing is created before
    the caps allow what they cost."""
    run_id = hosted()
    with session_scope() as session:
        run, actor = session.get_one(Run, run_id), first_actor(session)
        reserve(session, actor, run, "openai", 100)
        cap = add_budget(session, actor, "lab", 0.0002).id or 0
    (run,) = go(run_id)
    assert (run.state, world.count(CREATE)) == (RunState.PAUSED, 0)
    assert "is reserved. This may cost" in run.error
    with session_scope() as session:
        remove_budget(session, first_actor(session), cap)
        resume(session, session.get_one(Run, run_id))
    (run,) = go(run_id)
    assert (run.state, world.count(CREATE)) == (RunState.DONE, 1)
    with session_scope(write=False) as session:
        row = session.get_one(Reservation, run_id)
    assert world.microdollars["openai"] <= row.reserved_microdollars
    assert row.spent_microdollars <= row.reserved_microdollars
