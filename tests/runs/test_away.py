"""Runs on other machines: by hand, and on a stand-in for a host whose answers get lost."""

import pytest
from sqlmodel import Session, select

from app.db import session_scope
from app.errors import Conflict
from app.lab.actor import Actor
from app.runs.away_tidy import send_again
from app.runs.service import cancel_run, retry_run
from app.settings import machines
from app.storage import run_folder
from app.tables import JobState, Machine, MachineJob, RunState
from tests.runs.conftest import Launch, drive, read, write
from tests.runs.machine import Host, add, job
from workers.machines import check, tidy_job
from workers.runs import advance

pytestmark = pytest.mark.laptop


def test_a_run_on_another_machine_brings_its_results_home(
    launch: Launch, host: Host, session: Session, actor: Actor
) -> None:
    add(session, actor)
    here, there = launch("baseline/majority")[0], launch("baseline/majority", compute="bench")[0]
    for run in drive(here, there):
        assert (run.state, run.error) == (RunState.DONE, "")
    for name in ("predictions.jsonl", "resolved.json"):
        assert (run_folder(here) / "out" / name).read_bytes() == (
            run_folder(there) / "out" / name
        ).read_bytes() or (name == "predictions.jsonl")
    assert read(there).snapshot["compute"] == {"name": "bench", "kind": "Stand-in"}
    assert job(there).state == JobState.LEAVING
    tidy_job(job(there).id)
    assert job(there).state == JobState.OVER
    assert list(host.folder.iterdir()) == []


def test_a_machine_takes_so_many_runs_at_once(
    launch: Launch, host: Host, session: Session, actor: Actor
) -> None:
    add(session, actor, slots=1)
    first, second = launch("baseline/majority", "baseline/nearest", compute="bench")
    for _ in range(3):
        advance(first)
        advance(second)
    assert read(second).state == RunState.QUEUED or read(first).state in ("done", "scoring")
    drive(first, second)


def test_a_submit_whose_answer_was_lost_is_adopted(
    launch: Launch, host: Host, session: Session, actor: Actor
) -> None:
    add(session, actor)
    host.lost_after = True
    (run_id,) = launch("baseline/majority", compute="bench")
    (run,) = drive(run_id)
    assert (run.state, host.submits, job(run_id).submits) == (RunState.DONE, 1, 1)


def test_a_submit_that_never_arrived_waits_for_a_person(
    launch: Launch, host: Host, session: Session, actor: Actor
) -> None:
    add(session, actor)
    host.lost_before = True
    (run_id,) = launch("baseline/majority", compute="bench")
    for _ in range(12):
        write(run_id, due_at=None)
        advance(run_id)
    assert (read(run_id).state, job(run_id).not_confirmed, host.submits) == (RunState.UNKNOWN, True, 0)
    host.lost_before = False
    send_again(session, actor, run_id)
    session.commit()
    assert drive(run_id)[0].state == RunState.DONE
    assert (host.submits, job(run_id).submits) == (1, 2)


def test_where_a_second_start_is_safe_it_is_sent_again_by_itself(
    launch: Launch, host: Host, session: Session, actor: Actor
) -> None:
    add(session, actor, "safe")
    host.lost_before = True
    (run_id,) = launch("baseline/majority", compute="bench")
    for _ in range(2):
        # The submit without an answer, and the look that finds nothing.
        advance(run_id)
    assert job(run_id).state == JobState.NEW
    host.lost_before = False
    assert drive(run_id)[0].state == RunState.DONE
    assert host.submits == 1


def test_a_worker_killed_in_the_middle_of_a_submit_starts_nothing_twice(
    launch: Launch, host: Host, session: Session, actor: Actor
) -> None:
    add(session, actor)
    (run_id,) = launch("baseline/majority", compute="bench")
    drive(run_id, until=(RunState.TRAINING, RunState.DONE))
    with session_scope() as other:
        row = other.exec(select(MachineJob).where(MachineJob.run_id == run_id)).one()
        row.state, row.handle = JobState.SENDING, {}
        other.add(row)
    write(run_id, state=RunState.SUBMITTING, due_at=None)
    assert drive(run_id)[0].state == RunState.DONE
    assert host.submits == 1


def test_a_clear_no_ends_the_run_with_its_sentence(
    launch: Launch, host: Host, session: Session, actor: Actor
) -> None:
    add(session, actor)
    host.refuse = True
    (run_id,) = launch("baseline/majority", compute="bench")
    (run,) = drive(run_id)
    assert (run.state, run.error, run.hint) == (RunState.FAILED, "The host has no room.", "Free some.")
    assert job(run_id).state == JobState.OVER
    host.refuse = False
    retry_run(session, actor, run_id)
    session.commit()
    assert drive(run_id)[0].state == RunState.DONE


def test_a_host_that_is_away_is_asked_again_and_cancel_waits_for_it(
    launch: Launch, host: Host, session: Session, actor: Actor
) -> None:
    add(session, actor)
    (run_id,) = launch("baseline/majority", compute="bench")
    drive(run_id, until=(RunState.TRAINING,))
    host.away = True
    cancel_run(session, actor, run_id)
    session.commit()
    advance(run_id)
    assert read(run_id).state == RunState.TRAINING
    assert "does not answer" in read(run_id).progress_note
    host.away = False
    write(run_id, due_at=None)
    assert drive(run_id)[0].state == RunState.CANCELLED
    with pytest.raises(Conflict, match="being removed"):
        retry_run(session, actor, run_id)


def test_jobs_of_no_run_are_listed_and_ended_at_a_word(
    launch: Launch, host: Host, session: Session, actor: Actor
) -> None:
    machine_id = add(session, actor)
    (host.folder / "tb-0123456789abcdef").mkdir()
    with session_scope(write=False) as other:
        machine = other.get_one(Machine, machine_id)
    check(machine_id)
    session.expire_all()
    machine = session.get_one(Machine, machine_id)
    assert [each["launch_key"] for each in machine.orphans] == ["tb-0123456789abcdef"]
    machines.stop_orphan(session, actor, machine_id, "tb-0123456789abcdef")
    session.commit()
    check(machine_id)
    assert list(host.folder.iterdir()) == []
