"""Jobs at a service that belong to no run: found, shown on the first page, cancelled, dismissed, given to a run."""

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.db import session_scope
from app.errors import Conflict
from app.lab.actor import Actor
from app.runs.hosted_decide import give_up
from app.runs.orphans import adopt_orphan, cancel_orphan, dismiss_orphan, orphan_lines
from app.tables import OrphanJob, OrphanState, RunState
from tests.emulator._world import Timeline, World
from tests.hosting import CANCEL, CREATE, Hosted, go, row_of, unconfirmed
from workers.orphans import look, look_at


def add_job(world: World, remote_id: str, key: str) -> None:
    """A job that runs at the service and was made by nobody here."""
    like = next(iter(world.things["openai", "main", "job"].values()))
    world.things["openai", "main", "job"][remote_id] = {
        **{name: value for name, value in like.items() if name != "fine_tuned_model"},
        "id": remote_id,
        "metadata": {"tunebook": key},
        "_timeline": Timeline([("running", 1e9)], "succeeded", world.now()),
    }


def orphans() -> list[OrphanJob]:
    with session_scope(write=False) as session:
        return list(session.exec(select(OrphanJob).order_by(OrphanJob.id)))  # type: ignore[arg-type]


def test_a_strange_job_is_shown_and_cancelled(
    hosted: Hosted, world: World, session: Session, actor: Actor, client: TestClient
) -> None:
    run_id = hosted()
    go(run_id)
    look_at(run_id)
    assert orphans() == []
    add_job(world, "ftjob-stray", "tb-0123456789abcdef")
    add_job(world, "ftjob-foreign", "somebody's own")
    for _ in range(2):
        look_at(run_id)
    (found,) = orphans()
    assert (found.remote_id, found.run_id, found.state) == ("ftjob-stray", None, OrphanState.FOUND)
    assert "ftjob-stray" in client.get("/").text
    with pytest.raises(Conflict):
        adopt_orphan(session, actor, found.id or 0)
    session.rollback()
    assert client.post(f"/runs/orphans/{found.id}/cancel", follow_redirects=False).status_code == 303
    world.fail(CANCEL, 500)
    look_at(run_id)
    assert orphans()[0].state == OrphanState.CANCELLING
    assert "500" in orphans()[0].message
    look_at(run_id)
    look_at(run_id)
    assert orphans()[0].state == OrphanState.ENDED
    assert client.get("/api/v1/orphans").json() == []


@pytest.mark.laptop
def test_a_dismissed_job_is_not_shown_again(
    hosted: Hosted, world: World, session: Session, actor: Actor
) -> None:
    run_id = hosted()
    go(run_id)
    add_job(world, "ftjob-stray", "tb-0123456789abcdef")
    look_at(run_id)
    dismiss_orphan(session, actor, orphans()[0].id or 0)
    session.commit()
    look_at(run_id)
    assert orphan_lines(session, actor) == []
    session.commit()


@pytest.mark.laptop
def test_a_late_job_is_adopted_by_the_run_that_waits_for_it(hosted: Hosted, world: World, sent) -> None:
    first, run_id = hosted(2)
    go(first)
    world.late_list = 1e9
    world.fail(CREATE, "drop", effect=True)
    go(run_id, until=unconfirmed)
    world.late_list = 0
    sent.clear()
    look()
    ((_, account),) = sent
    assert account == run_id
    look_at(account)
    (run,) = go(run_id)
    assert (run.state, world.count(CREATE)) == (RunState.DONE, 2)
    assert orphans() == []


@pytest.mark.laptop
def test_a_job_of_a_run_that_was_given_up(
    hosted: Hosted, world: World, session: Session, actor: Actor
) -> None:
    run_id = hosted()
    world.speed, world.late_list = 1, 1e9
    world.fail(CREATE, "drop", effect=True)
    go(run_id, until=unconfirmed)
    give_up(session, actor, run_id)
    session.commit()
    world.late_list = 0
    look_at(run_id)
    (line,) = orphan_lines(session, actor)
    assert (line.run_id, line.can_adopt, line.provider) == (run_id, False, "OpenAI")
    session.commit()
    cancel_orphan(session, actor, line.id)
    session.commit()
    look_at(run_id)
    look_at(run_id)
    assert [orphan.state for orphan in orphans()] == [OrphanState.ENDED]
    assert row_of(run_id).remote_id == ""
