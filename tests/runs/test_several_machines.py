"""Several machines with workers on one database: each looks after its own runs, and takes over what a lost one had."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlmodel import Session, col, select

from app.clock import in_seconds
from app.compute import local
from app.config import Settings, settings
from app.db import session_scope
from app.runs import hosts, steps
from app.runs.interrupt import interrupt_runs
from app.storage import run_folder
from app.tables import RunState, Slot, Worker
from tests.runs.conftest import Launch, drive, read

Become = Callable[..., None]


@pytest.fixture
def become(home, shape, monkeypatch) -> Become:
    """become("b", "gpu"): from now on this process acts as a worker of machine b that takes `gpu`."""
    if shape == "laptop":
        pytest.skip("SQLite is for one machine")

    def become(machine: str, queues: str = "cpu,gpu,remote") -> None:
        monkeypatch.setenv("TUNEBOOK_MACHINE", machine)
        monkeypatch.setenv("TUNEBOOK_QUEUES", queues)
        settings.cache_clear()
        hosts.beat(f"{machine}/1/1.00")

    return become


def slots() -> dict[str, list[int | None]]:
    with session_scope(write=False) as session:
        found: dict[str, list[int | None]] = {}
        for slot in session.exec(select(Slot).order_by(col(Slot.id))):
            found.setdefault(slot.machine, []).append(slot.run_id)
    # Made by the fixture before this process was any machine.
    found.pop(socket.gethostname(), None)
    return found


def age(machine: str, seen: float, started: float) -> None:
    """Lets the machine's worker have been there since `started` seconds and silent for `seen`."""
    with session_scope() as session:
        for row in session.exec(select(Worker).where(Worker.machine == machine)):
            row.seen_at, row.started_at = in_seconds(-seen), in_seconds(-started)


def queue_of(run_id: int) -> str:
    with session_scope(write=False) as session:
        return hosts.routes(session, [run_id])[run_id]


def take(run_id: int) -> None:
    """The step of a queued run by the machine that this process is."""
    steps.queued(read(run_id), session_scope)


def test_a_run_belongs_to_the_machine_that_gave_it_a_place(become: Become, launch: Launch) -> None:
    become("a", "cpu")
    become("b", "gpu,remote")
    small, large = launch("baseline/majority", "starter/tiny")
    assert queue_of(small) == queue_of(large) == "cpu"
    take(small)
    assert read(small).state == RunState.QUEUED, "b takes no work of the processor"
    assert hosts.elsewhere(small) == "cpu"
    become("a", "cpu")
    assert hosts.elsewhere(small) == ""
    take(small)
    assert read(small).state == RunState.PREPARING
    assert slots() == {"a": [small], "b": [None]}
    assert queue_of(small) == "machine.a"
    become("b", "gpu,remote")
    assert hosts.elsewhere(small) == "machine.a"


def test_only_a_lost_machine_loses_its_runs(become: Become, launch: Launch) -> None:
    become("a")
    (run,) = launch("baseline/majority")
    drive(run, until=(RunState.TRAINING,))
    become("b")
    age("b", seen=1, started=400)
    assert hosts.release_lost() == 0, "a was heard of just now"
    age("a", seen=299, started=900)
    assert hosts.release_lost() == 0, "silent, but not for long enough"
    age("a", seen=301, started=900)
    age("b", seen=1, started=200)
    assert hosts.release_lost() == 0, "b itself was not there all that time"
    age("b", seen=1, started=400)
    assert hosts.release_lost() == 1
    assert hosts.release_lost() == 0
    assert read(run).state == RunState.QUEUED
    assert slots() == {"b": [None]}
    (done,) = drive(run)
    assert done.state == RunState.DONE
    become("a")
    assert slots() == {"b": [None], "a": [None]}, "a is back, with its places"


def test_a_machine_that_comes_back_ends_what_went_on_elsewhere(
    become: Become, launch: Launch, stand_in: Callable[[str], Path]
) -> None:
    stand_in("exec sleep 600")
    become("a")
    (run,) = launch("baseline/majority")
    (started,) = drive(run, until=(RunState.TRAINING,))
    handle = started.handle
    age("a", seen=400, started=900)
    hosts.beat("a/1/1.00")
    assert local.status(handle, run_folder(run)) == "running", "its place is still here"
    become("b")
    assert interrupt_runs(0.0) == 0, "b stops without touching what is a's"
    age("a", seen=400, started=900)
    age("b", seen=1, started=900)
    assert hosts.release_lost() == 1
    assert hosts.end_strays() == 0, "b started no process"
    become("a")
    assert local.status(handle, run_folder(run)) == "killed"


def test_a_waiting_run_is_sent_to_where_a_place_is_free(
    become: Become, launch: Launch, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, int]] = []
    monkeypatch.setattr(steps, "send_to", lambda queue, task, row: sent.append((queue, row)))
    become("a")
    first, second = launch("baseline/majority", "baseline/nearest")
    take(first)
    become("b")
    become("a")
    take(second)
    assert sent == [("machine.b", second)]
    assert slots() == {"a": [first], "b": [None]}


def test_the_setting_names_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBOOK_QUEUES", "cpu,tpu")
    with pytest.raises(ValidationError, match="cpu, gpu, remote"):
        Settings()
    monkeypatch.setenv("TUNEBOOK_QUEUES", "gpu, remote")
    assert Settings().queues == ["gpu", "remote"]
