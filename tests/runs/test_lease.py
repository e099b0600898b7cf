"""A row is worked on by one process at a time, and a dead process does not keep it."""

import socket
import subprocess
import sys
import threading

import pytest
from sqlalchemy import update
from sqlmodel import Session

from app.clock import in_seconds
from app.db import session_scope
from app.queue import ADVANCE_RUN, CHECK_DATASET
from app.tables import ACTIVE, Dataset, DatasetState, Run, RunState
from tests.runs.conftest import Launch, read, write
from workers import task
from workers.sweep import look
from workers.task import LEASE_SECONDS, LeaseLost, lease, owner_is_dead, owner_name

HOUR = 3600.0


def dead_owner() -> str:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return f"{socket.gethostname()}/{process.pid}/1.00#7"


def test_the_second_finds_the_lease_taken(launch: Launch) -> None:
    (run_id,) = launch("baseline/majority")
    with lease(Run, run_id, ACTIVE) as first:
        assert first is not None
        assert read(run_id).owner == first.name
        with lease(Run, run_id, ACTIVE) as second:
            assert second is None
        assert read(run_id).owner == first.name
    assert (read(run_id).owner, read(run_id).lease_until) == (None, None)
    with lease(Run, run_id, ACTIVE) as again:
        assert again is not None


def test_many_at_once_get_one_lease(launch: Launch) -> None:
    (run_id,) = launch("baseline/majority")
    begin, end, taken = threading.Barrier(6), threading.Barrier(6), []

    def work() -> None:
        begin.wait()
        with lease(Run, run_id, ACTIVE) as held:
            if held is not None:
                taken.append(held.name)
            end.wait()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1


def test_no_lease_on_what_is_over_or_not_there(launch: Launch) -> None:
    (run_id,) = launch("baseline/majority")
    write(run_id, state=RunState.DONE)
    for row_id in (run_id, 12_345):
        with lease(Run, row_id, ACTIVE) as held:
            assert held is None


def write_note(held: task.Lease) -> None:
    with session_scope() as session:
        session.execute(update(Run).values(progress_note="mine"))
        held.confirm(session)


def test_who_lost_the_lease_writes_nothing(launch: Launch) -> None:
    (run_id,) = launch("baseline/majority")
    with lease(Run, run_id, ACTIVE) as held:
        assert held is not None
        write(run_id, owner="another/1/1.00#1")
        with pytest.raises(LeaseLost):
            held.save(progress_note="mine")
        with pytest.raises(LeaseLost):
            write_note(held)
    assert (read(run_id).owner, read(run_id).progress_note) == ("another/1/1.00#1", "")


def test_an_expired_lease_can_be_taken(launch: Launch) -> None:
    (run_id,) = launch("baseline/majority")
    write(run_id, owner="another/1/1.00#1", lease_until=in_seconds(-1))
    with lease(Run, run_id, ACTIVE) as held:
        assert held is not None


def test_a_lease_is_renewed_while_the_work_lasts(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "RENEW_SECONDS", 0.05)
    (run_id,) = launch("baseline/majority")
    with lease(Run, run_id, ACTIVE) as held:
        assert held is not None
        write(run_id, lease_until=in_seconds(0.2))
        held.lost.wait(0.5)
        until = read(run_id).lease_until
        assert until is not None
        assert until > in_seconds(5)


def test_who_is_dead() -> None:
    assert not owner_is_dead(owner_name() + "#1")
    assert owner_is_dead(dead_owner())
    host, pid, _ = owner_name().rsplit("/", 2)
    assert owner_is_dead(f"{host}/{pid}/1.00#1"), "the pid is another's now"
    assert not owner_is_dead("another-machine/1/1.00#1"), "that cannot be known from here"


def test_the_sweep_frees_leases_of_dead_owners(launch: Launch, sent: list[tuple[str, int]]) -> None:
    dead, alive, far, gone = launch("baseline/char-trees", seeds=(1, 2, 3, 4))
    owners = {dead: dead_owner(), alive: owner_name() + "#1", far: "another-machine/1/1.00#1"}
    for run_id, owner in owners.items():
        write(
            run_id, state=RunState.TRAINING, owner=owner, lease_until=in_seconds(LEASE_SECONDS), due_at=None
        )
    write(gone, state=RunState.DONE, due_at=None)
    sent.clear()
    look()
    assert sent == [(ADVANCE_RUN, dead)]
    assert read(dead).owner is None
    assert read(alive).owner == owners[alive]
    assert read(far).owner == owners[far]


def test_the_sweep_sends_what_is_due_once(launch: Launch, sent: list[tuple[str, int]]) -> None:
    first, second = launch("baseline/char-trees", seeds=(1, 2))
    write(first, state=RunState.TRAINING, due_at=in_seconds(-1))
    write(second, due_at=in_seconds(HOUR))
    sent.clear()
    look()
    look()
    assert sent == [(ADVANCE_RUN, first)]
    write(first, due_at=in_seconds(-0.001))
    look()
    assert sent == [(ADVANCE_RUN, first)] * 2


def test_a_lost_message_about_a_dataset_is_sent_again(
    session: Session, dataset: Dataset, sent: list[tuple[str, int]]
) -> None:
    session.execute(update(Dataset).values(state=DatasetState.QUEUED, due_at=None))
    session.commit()
    sent.clear()
    look()
    assert sent == [(CHECK_DATASET, dataset.id)]


def test_a_long_queue_makes_few_messages(launch: Launch, sent: list[tuple[str, int]]) -> None:
    launch("baseline/char-trees", seeds=tuple(range(1, 201)))
    for _ in range(3):
        look()
    assert len([row for task_name, row in sent if task_name == ADVANCE_RUN]) <= 3
