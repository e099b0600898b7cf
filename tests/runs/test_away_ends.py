"""How runs on other machines end where the machine, its key or its answers are missing."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import Session, select

from app.clock import now
from app.compute._base import Found, Site
from app.db import session_scope
from app.errors import Conflict
from app.lab.actor import Actor
from app.runs.service import cancel_run
from app.settings import machines
from app.settings.machines import NewMachine, change_machine, keep_check, remove_machine
from app.tables import JobState, MachineJob, RunState
from tests.runs.conftest import Launch, drive, read, write
from tests.runs.machine import Host, add, job
from workers.machines import tidy_job
from workers.runs import advance

pytestmark = pytest.mark.laptop


def change(run_id: int, **values: Any) -> None:
    """Puts the run's job into a state of the test's choice."""
    with session_scope() as session:
        row = session.exec(select(MachineJob).where(MachineJob.run_id == run_id)).one()
        for name, value in values.items():
            setattr(row, name, value)
        session.add(row)


def test_a_machine_that_is_gone_for_good_ends_the_run_with_a_sentence(
    launch: Launch, host: Host, session: Session, actor: Actor
) -> None:
    add(session, actor)
    (run_id,) = launch("baseline/majority", compute="bench")
    drive(run_id, until=(RunState.TRAINING,))
    host.away = True
    advance(run_id)
    assert read(run_id).state == RunState.TRAINING
    long_ago = now() - timedelta(hours=25)
    change(run_id, sent_at=long_ago, heard_at=None)
    write(run_id, due_at=None)
    advance(run_id)
    assert read(run_id).state == RunState.FAILED
    assert "has not answered for longer than its deadline" in read(run_id).error
    assert job(run_id).state == JobState.LEAVING
    host.away = False
    tidy_job(job(run_id).id)
    assert list(host.folder.iterdir()) == []


def test_a_cancel_waits_no_longer_than_the_job_can_last(
    launch: Launch, host: Host, session: Session, actor: Actor
) -> None:
    add(session, actor)
    (run_id,) = launch("baseline/majority", compute="bench")
    drive(run_id, until=(RunState.TRAINING,))
    host.away = True
    host.end = lambda site, handle: host._answer()
    cancel_run(session, actor, run_id)
    session.commit()
    advance(run_id)
    assert read(run_id).state == RunState.TRAINING
    change(run_id, sent_at=now() - timedelta(hours=25), heard_at=None)
    write(run_id, due_at=None)
    advance(run_id)
    assert read(run_id).state == RunState.CANCELLED


def test_a_kind_that_is_no_longer_there_ends_the_run_too(
    launch: Launch, host: Host, session: Session, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(session, actor)
    (run_id,) = launch("baseline/majority", compute="bench")
    drive(run_id, until=(RunState.TRAINING,))
    without = {name: kind for name, kind in machines.computes().items() if name != "stand-in"}
    monkeypatch.setattr(machines, "computes", lambda: without)
    write(run_id, due_at=None)
    advance(run_id)
    assert (read(run_id).state, job(run_id).state) == (RunState.FAILED, JobState.LEAVING)
    assert "no compute 'stand-in'" in read(run_id).error


def test_of_several_jobs_with_a_run_s_key_the_oldest_is_kept(
    launch: Launch, host: Host, session: Session, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(session, actor)
    host.lost_after = True
    (run_id,) = launch("baseline/majority", compute="bench")
    ended: list[str] = []
    own = host.find

    def twice(site: Site, key: str) -> list[Found]:
        found = own(site, key)
        return [*(Found(key, {"key": "double"}, job.status, 2.0) for job in found), *found]

    def release(site: Site, handle: Mapping[str, Any]) -> None:
        ended.append(str(handle["key"]))

    compute = machines.computes()["stand-in"]
    known = {**machines.computes(), "stand-in": replace(compute, find=twice, release=release)}
    monkeypatch.setattr(machines, "computes", lambda: known)
    (run,) = drive(run_id)
    assert (run.state, host.submits) == (RunState.DONE, 1)
    assert ended == ["double"]


def test_a_machine_in_use_is_neither_removed_nor_moved(
    launch: Launch, host: Host, session: Session, actor: Actor
) -> None:
    machine_id = add(session, actor)
    (run_id,) = launch("baseline/majority", compute="bench")
    with pytest.raises(Conflict, match="1 run under way"):
        remove_machine(session, actor, machine_id)
    session.rollback()
    drive(run_id)
    with pytest.raises(Conflict, match="1 job to be cleared up"):
        remove_machine(session, actor, machine_id)
    session.rollback()
    tidy_job(job(run_id).id)
    session.expire_all()
    remove_machine(session, actor, machine_id)


def test_what_a_look_learned_stays_until_a_person_clears_it(session: Session, actor: Actor) -> None:
    fields = {"host": "gpu.example.org", "user": "anna"}
    row = machines.add_machine(session, actor, NewMachine("gpu", "ssh", fields))
    keep_check(row, machines.Checked("fine", {"gpus": []}, {"host_key": "ssh-ed25519 AAAA"}), "")
    session.flush()
    change_machine(session, actor, row.id or 0, NewMachine("gpu", "ssh", fields, slots=3))
    assert row.fields["host_key"] == "ssh-ed25519 AAAA"
    change_machine(session, actor, row.id or 0, NewMachine("gpu", "ssh", {**fields, "host_key": ""}))
    assert "host_key" not in row.fields
