"""Runs under way when the backup was made: after a restore no job is paid for twice, and local ones begin again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, select

from app.backup import backup
from app.db import session_scope
from app.restore import restore
from app.runs.hosted_decide import create_again
from app.tables import DeploymentRow, RemoteJobRow, Run, RunState, Sent, Slot, Worker
from tests.backup.test_backup import into
from tests.emulator._world import World
from tests.hosting import CREATE, Hosted, change, go, read, row_of, unconfirmed

pytestmark = pytest.mark.laptop


def slow(state: str) -> Any:
    """A case for `make test-all`."""
    return pytest.param(state, marks=pytest.mark.slow)


def unsent(run: Run) -> bool:
    """Whether all but the create is done."""
    return run.state == RunState.SUBMITTING and row_of(run.id or 0).sent == Sent.NO


@pytest.fixture
def back(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Any]:
    """back(file): the settings name a new folder, into which the backup is restored."""

    def back(path: Path) -> Any:
        into(tmp_path_factory.mktemp("away") / "fresh", monkeypatch)
        return restore(path)[1]

    return back


def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return backup(tmp_path_factory.mktemp("kept") / "one.zip", with_key=True)[0]


@pytest.mark.parametrize("state", ["queued", slow("submitting"), slow("paused")])
def test_a_job_that_was_created_after_the_backup_is_adopted(
    hosted: Hosted, world: World, back: Any, tmp_path_factory: pytest.TempPathFactory, state: str
) -> None:
    run_id = hosted()
    if state == "submitting":
        world.fail(CREATE, 429, headers={"retry-after": "0.1"})
        go(run_id, until=unsent)
    if state == "paused":
        change(run_id, state=RunState.PAUSED)
    path = saved(tmp_path_factory)
    go(run_id)
    assert world.count_made("openai", "job") == 1
    job = row_of(run_id).remote_id
    held = back(path)
    assert held.looked_for == 1
    assert read(run_id).state == state
    (run,) = go(run_id)
    assert (run.state, row_of(run_id).remote_id) == (RunState.DONE, job)
    assert world.count_made("openai", "job") == 1
    assert "restored from the backup of" in row_of(run_id).decisions[0]["what"]


@pytest.mark.slow
@pytest.mark.parametrize("state", ["queued", "paused"])
def test_what_is_not_found_waits_for_a_person(
    hosted: Hosted, world: World, back: Any, tmp_path_factory: pytest.TempPathFactory, actor: Any, state: str
) -> None:
    run_id = hosted()
    change(run_id, state=state)
    back(saved(tmp_path_factory))
    (run,) = go(run_id, until=unconfirmed)
    assert world.count(CREATE) == 0
    assert "Restored from a backup" in run.error
    with session_scope() as session:
        create_again(session, actor, run_id)
    (run,) = go(run_id)
    assert (run.state, world.count_made("openai", "job")) == (RunState.DONE, 1)


@pytest.mark.slow
def test_one_that_is_cancelled_meanwhile_is_looked_for_first(
    hosted: Hosted, world: World, back: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run_id = hosted()
    path = saved(tmp_path_factory)
    world.speed = 20
    go(run_id, until=(RunState.TRAINING,))
    back(path)
    change(run_id, cancel_asked=True)
    go(run_id, until=lambda run: row_of(run_id).sent == Sent.YES)
    world.speed = 5000
    (run,) = go(run_id)
    assert (run.state, world.count_made("openai", "job")) == (RunState.CANCELLED, 1)


def test_jobs_that_were_known_go_on_and_local_runs_begin_again(
    hosted: Hosted, launch: Any, world: World, back: Any, session: Session, tmp_path_factory: Any
) -> None:
    known = hosted()
    world.speed = 20
    go(known, until=(RunState.TRAINING,))
    (here,) = launch("baseline/char-trees")
    change(here, state=RunState.TRAINING, handle={"pid": 1}, owner="elsewhere/1/1.0")
    session.add_all(
        [Slot(machine="elsewhere", run_id=here), Worker(name="one", machine="elsewhere", queues="cpu")]
    )
    session.add(
        DeploymentRow(
            project_id=1, run_id=known, provider="openai", base_url="http://h", launch_key="tb-1-d1",
            asked_at=read(known).created_at, state="starting",
        )
    )  # fmt: skip
    session.commit()
    held = back(saved(tmp_path_factory))
    assert (held.looked_for, held.begun_again) == (0, 1)
    run = read(here)
    assert (run.state, run.handle, run.owner) == (RunState.QUEUED, {}, None)
    with session_scope(write=False) as opened:
        assert opened.exec(select(Slot)).all() == opened.exec(select(Worker)).all() == []
        assert opened.exec(select(DeploymentRow.sent)).one() == Sent.SENDING
        assert opened.exec(select(RemoteJobRow.sent)).one() == Sent.YES
    world.speed = 5000
    (run,) = go(known)
    assert (run.state, world.count(CREATE)) == (RunState.DONE, 1)
