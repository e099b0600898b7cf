"""Cancels that race everything, and what people decide about a job that is not confirmed."""

import random
import threading
import time
from collections import Counter
from contextlib import suppress

import pytest
from sqlmodel import Session

from app.errors import Conflict
from app.lab.actor import Actor
from app.runs.hosted_decide import adopt_job, give_up
from app.runs.service import cancel_run
from app.tables import FINAL, RunState
from tests.emulator._world import World
from tests.hosting import CANCEL, CREATE, Hosted, go, read, row_of, unconfirmed
from workers.runs import advance

pytestmark = pytest.mark.laptop


@pytest.mark.parametrize("moment", range(6))
def test_l10_cancel_races_the_launch(
    hosted: Hosted, world: World, session: Session, actor: Actor, moment: int
) -> None:
    run_id = hosted()
    world.speed = 100
    if moment == 5:
        world.fail(CANCEL, 500, times=5)
    thread = threading.Thread(target=advance, args=(run_id,))
    thread.start()
    if moment:
        time.sleep(0.03 * moment)
    cancel_run(session, actor, run_id)
    session.commit()
    thread.join()
    (run,) = go(run_id)
    jobs = [job["_timeline"].state(world) for job in world.things["openai", "main", "job"].values()]
    assert run.state == RunState.CANCELLED
    assert jobs in ([], ["cancelled"]) or (jobs == ["succeeded"] and "had finished" in run.error)


def test_l10_cancel_while_unknown(hosted: Hosted, world: World, session: Session, actor: Actor) -> None:
    run_id = hosted()
    world.speed, world.late_list = 1, 0.1
    world.fail(CREATE, "drop", effect=True)
    go(run_id, until=(RunState.UNKNOWN,))
    cancel_run(session, actor, run_id)
    session.commit()
    assert read(run_id).state == RunState.UNKNOWN
    (run,) = go(run_id)
    assert (run.state, run.error) == (RunState.CANCELLED, "")
    assert row_of(run_id).state == "cancelled"
    assert world.microdollars["openai"] == 0


def test_l10_cancel_asked_is_said_until_the_service_confirms(
    hosted: Hosted, world: World, session: Session, actor: Actor
) -> None:
    run_id = hosted()
    world.speed = 1
    go(run_id, until=(RunState.TRAINING,))
    world.fail("openai GET */jobs/ftjob-*", "edit", times=6, edit={"status": "running"})
    cancel_run(session, actor, run_id)
    session.commit()
    go(run_id, until=lambda run: "cancel asked; OpenAI still says" in run.progress_note)
    assert read(run_id).state == RunState.TRAINING
    (run,) = go(run_id)
    assert run.state == RunState.CANCELLED
    assert world.count(CANCEL) == 1


def test_a_person_finds_the_job(hosted: Hosted, world: World, session: Session, actor: Actor) -> None:
    first, run_id = hosted(2)
    go(first)
    world.late_list = 1e9
    world.fail(CREATE, "drop", effect=True)
    go(run_id, until=unconfirmed)
    # A wrong id is asked about and not believed; neither is another run's job.
    adopt_job(session, actor, run_id, "ftjob-none")
    session.commit()
    (run,) = go(run_id, until=lambda run: not row_of(run_id).claimed_id)
    assert unconfirmed(run)
    assert "404" in row_of(run_id).trouble
    own = next(made.id for made in world.made if made.launch_key == run.launch_key)
    adopt_job(session, actor, run_id, own)
    session.commit()
    (run,) = go(run_id)
    assert (run.state, row_of(run_id).remote_id) == (RunState.DONE, own)


def test_a_person_gives_up(hosted: Hosted, world: World, session: Session, actor: Actor) -> None:
    run_id = hosted()
    world.fail(CREATE, 500)
    (run,) = go(run_id, until=unconfirmed)
    give_up(session, actor, run_id)
    session.commit()
    run = read(run_id)
    assert run.state == RunState.FAILED
    assert run.launch_key in run.error
    assert "may still be at OpenAI" in run.error


@pytest.mark.slow
def test_l10_cancels_at_any_moment_end_as_the_service_has_it(
    hosted: Hosted, world: World, session: Session, actor: Actor
) -> None:
    """A hundred runs, each cancelled at a moment drawn by lot while the service loses answers."""
    draw, runs = random.Random(), hosted(100)
    world.speed = 30
    for route in (CREATE, CANCEL, "openai GET */jobs*"):
        world.fail(route, "drop", times=25, effect=True)
        world.fail(route, 500, times=10, skip=draw.randint(0, 20))
    moments = {run_id: time.monotonic() + draw.uniform(0, 20) for run_id in runs}
    while moments or any(run.state not in FINAL for run in map(read, runs)):
        for run_id in runs:
            advance(run_id)
            if run_id in moments and time.monotonic() > moments[run_id]:
                moments.pop(run_id)
                with suppress(Conflict):
                    cancel_run(session, actor, run_id)
                session.commit()
        for run_id in runs:
            if unconfirmed(read(run_id)) and run_id not in moments:
                give_up(session, actor, run_id)
                session.commit()
    jobs = {job["metadata"]["tunebook"]: job for job in world.things["openai", "main", "job"].values()}
    assert len(jobs) == world.count_made("openai", "job")
    ends = Counter[tuple[str, str]]()
    for run in map(read, runs):
        job = jobs.get(run.launch_key)
        state = job["_timeline"].state(world) if job else "none"
        ends[run.state, state] += 1
        if (run.state, state) == (RunState.CANCELLED, "succeeded"):
            assert "had finished" in run.error or row_of(run.id or 0).phase == "done"
    print(dict(ends))
    fits = {(RunState.CANCELLED, each) for each in ("none", "cancelled", "succeeded")}
    fits |= {(RunState.DONE, "succeeded"), (RunState.FAILED, "none")}
    assert set(ends) <= fits
