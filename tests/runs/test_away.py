"""Runs on other machines: by hand, and on a stand-in for a host whose answers get lost."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, select

from app.compute._base import Checked, Compute, Found, Order, Phase, Site, Status
from app.db import session_scope
from app.errors import Busy, Conflict, Refused, Unclear
from app.lab.actor import Actor
from app.runs.away_tidy import send_again
from app.runs.service import cancel_run, retry_run
from app.settings import machines
from app.settings.machines import NewMachine, add_machine
from app.storage import run_folder
from app.tables import JobState, Machine, MachineJob, RunState
from tests.runs.conftest import Launch, drive, read, write
from workers.machines import check, tidy_job
from workers.runs import advance

pytestmark = pytest.mark.laptop


class Host:
    """A host in a folder: jobs are subprocesses of `sh run.sh --here`. `lost`, `refuse` and `away` break its answers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.submits, self.released = folder, 0, 0
        self.lost_before = self.lost_after = self.refuse = self.away = False

    def submit(self, site: Site, order: Order) -> dict[str, Any]:
        if self.refuse:
            raise Refused("The host has no room.", "Free some.")
        if self.lost_before:
            raise Unclear("The answer was lost.")
        self.submits += 1
        place = self.folder / order.launch_key
        subprocess.run(["cp", "-r", str(order.folder), str(place)], check=True)
        subprocess.Popen(
            ["sh", "run.sh", "--here"],
            cwd=place,
            env=os.environ | {"PYTHON": sys.executable, "LAUNCH_KEY": order.launch_key},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if self.lost_after:
            raise Unclear("The answer was lost.")
        return {"key": order.launch_key}

    def find(self, site: Site, key: str) -> list[Found]:
        self._answer()
        there = (self.folder / key).is_dir()
        return [Found(key, {"key": key}, self.status(site, {"key": key}))] if there else []

    def status(self, site: Site, handle: Mapping[str, Any]) -> Status:
        self._answer()
        over = (self.folder / str(handle["key"]) / "out" / "exit_code").is_file()
        return Status(Phase.ENDED if over else Phase.RUNNING, "over" if over else "busy")

    def fetch(self, site: Site, handle: Mapping[str, Any], folder: Path) -> None:
        self._answer()
        subprocess.run(
            ["cp", "-r", f"{self.folder / str(handle['key'])}/out/.", str(folder / "out")], check=True
        )

    def end(self, site: Site, handle: Mapping[str, Any]) -> None:
        self._answer()

    def release(self, site: Site, handle: Mapping[str, Any]) -> None:
        self._answer()
        self.released += 1
        subprocess.run(["rm", "-rf", str(self.folder / str(handle["key"]))], check=True)

    def jobs(self, site: Site) -> list[Found]:
        self._answer()
        return [found for place in self.folder.iterdir() for found in self.find(site, place.name)]

    def _answer(self) -> None:
        if self.away:
            raise Busy("The host does not answer.", wait=0.0)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The one machine named "bench"."""
    there = tmp_path / "there"
    there.mkdir()
    host = Host(there)
    compute = Compute(
        name="stand-in", label="Stand-in", description="a folder", fields=(), deadline_kept_by="nobody",
        poll_seconds=0.01, check=lambda site: Checked("It is there.", {"gpus": []}), submit=host.submit, find=host.find,
        status=host.status, pull=lambda site, handle, folder: None, fetch=host.fetch, cancel=host.end,
        release=host.release, jobs=host.jobs,
    )  # fmt: skip
    known = {
        **machines.computes(),
        "stand-in": compute,
        "safe": replace(compute, name="safe", repeatable=True),
    }
    monkeypatch.setattr(machines, "computes", lambda: known)
    monkeypatch.setenv("TUNEBOOK_LOOK_TIMES", "0,0.01")
    from app.config import settings

    settings.cache_clear()
    return host


def add(session: Session, actor: Actor, kind: str = "stand-in", slots: int = 2) -> int:
    machine = add_machine(session, actor, NewMachine("bench", kind, slots=slots))
    session.commit()
    check(machine.id)
    session.refresh(machine)
    assert (machine.state, machine.note) == ("ready", "It is there.")
    machine_id = machine.id or 0
    session.commit()
    return machine_id


def job(run_id: int) -> MachineJob:
    with session_scope(write=False) as session:
        return session.exec(select(MachineJob).where(MachineJob.run_id == run_id)).one()


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
