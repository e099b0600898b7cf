"""The queue with a real worker and clock, on files and on Redis: what is lost is repeated, what died is freed."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import func, update
from sqlmodel import Session, col, select

from app.clock import in_seconds
from app.config import settings
from app.datasets.service import upload_dataset
from app.db import session_scope
from app.lab.actor import Actor
from app.queue import producer
from app.storage import incoming_file
from app.tables import Dataset, DatasetState, Item
from app.up import clock_command, worker_command
from tests.source import ROOT
from tests.stack import rule_rows, wait_for
from workers.task import LEASE_SECONDS, owner_is_dead

# Large enough that a check of it is seen while it lasts.
SIZE = 80_000
Start = Callable[[list[str]], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Starts a process of Tunebook with this test's settings; ends its group at the end."""
    started = []

    def start(command: list[str]) -> "subprocess.Popen[bytes]":
        with (home / "log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        started.append(process)
        return process

    yield start
    for process in started:
        kill_group(process)


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """kill -9 of a process with all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def add(session: Session, actor: Actor, name: str, rows: str) -> int:
    """Uploads rows; the message to the worker goes out with the commit."""
    path = incoming_file(name)
    path.write_text(rows)
    made = upload_dataset(session, actor, path, file_name=f"{name}.jsonl", sha256=name * 8, size=len(rows))
    session.commit()
    return made.id or 0


def read(dataset_id: int) -> Dataset:
    with session_scope(write=False) as session:
        return session.get_one(Dataset, dataset_id)


def items(dataset_id: int) -> int:
    with session_scope(write=False) as session:
        return session.exec(select(func.count()).where(Item.dataset_id == dataset_id)).one()


def ready(dataset_id: int, seconds: float) -> None:
    wait_for(lambda: read(dataset_id).state == DatasetState.READY, seconds)


def lose_all_messages(home: Path) -> None:
    """As when the broker's machine is gone."""
    if settings().broker_url:
        with producer().connection_for_write() as connection:
            connection.default_channel.client.flushall()
    else:
        for message in (home / "queue" / "messages").iterdir():
            message.unlink(missing_ok=True)


def test_a_message_reaches_the_worker_at_once(start: Start, session: Session, actor: Actor) -> None:
    """Without a clock only the message itself can start the work."""
    start(worker_command())
    first = add(session, actor, "first", rule_rows(20))
    ready(first, 30)
    began = time.monotonic()
    second = add(session, actor, "second", rule_rows(20))
    ready(second, 10)
    assert time.monotonic() - began < 3
    assert (items(first), items(second)) == (20, 20)


def test_messages_that_are_lost_are_repeated(
    home: Path, start: Start, session: Session, actor: Actor
) -> None:
    """The row was committed, its message is gone before a worker was there."""
    waiting = add(session, actor, "waiting", rule_rows(20))
    lose_all_messages(home)
    start(worker_command())
    time.sleep(3)
    assert read(waiting).state == DatasetState.QUEUED
    start(clock_command())
    ready(waiting, 30)
    # And once more under a worker and a clock that are running.
    lose_all_messages(home)
    again = add(session, actor, "again", rule_rows(20))
    lose_all_messages(home)
    ready(again, 30)
    assert (items(waiting), items(again)) == (20, 20)


def caught_working(session: Session, actor: Actor) -> tuple[int, str]:
    """A dataset whose check has begun and cannot end, and who checks it: that process stands still.

    On a busy machine a check may end between our look and our signal; then the next file is tried.
    """
    for name in ("first", "second", "third", "fourth"):
        dataset = add(session, actor, name, rule_rows(SIZE))
        owner = owner_of(dataset)
        os.kill(int(owner.split("/")[1]), signal.SIGSTOP)
        if read(dataset).owner == owner:
            return dataset, owner
        os.kill(int(owner.split("/")[1]), signal.SIGCONT)
    raise AssertionError("every check was over before it could be stopped")


def owner_of(dataset: int) -> str:
    """Who checks the dataset now; looked for often, as a check does not last."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        if owner := read(dataset).owner:
            return owner
        time.sleep(0.01)
    raise AssertionError("nobody took the dataset")


def test_the_work_of_a_killed_worker_is_taken_up(start: Start, session: Session, actor: Actor) -> None:
    """kill -9 in the middle: the lease is free as soon as the sweep sees that its owner is gone."""
    worker = start(worker_command())
    start(clock_command())
    dataset, owner = caught_working(session, actor)
    kill_group(worker)
    wait_for(lambda: owner_is_dead(owner), 10)
    assert read(dataset).state != DatasetState.READY
    assert read(dataset).owner == owner
    before = read(dataset).attempt
    start(worker_command())

    def taken_up() -> bool:
        # A worker may take long to start on a busy machine: the lease never ends by itself meanwhile.
        held = update(Dataset).where(col(Dataset.id) == dataset, col(Dataset.owner) == owner)
        with session_scope() as writing:
            writing.execute(held.values(lease_until=in_seconds(LEASE_SECONDS)))
        return read(dataset).attempt > before

    wait_for(taken_up, 120)
    ready(dataset, 120)
    assert items(dataset) == SIZE


def test_the_work_of_a_killed_process_goes_to_another(start: Start, session: Session, actor: Actor) -> None:
    """Only the process that works is killed; another one takes the work up, and the clock sends it on."""
    start(worker_command(1))
    start(worker_command(2))
    start(clock_command())
    dataset, owner = caught_working(session, actor)
    os.kill(int(owner.split("/")[1]), signal.SIGKILL)
    ready(dataset, 120)
    assert items(dataset) == SIZE
    assert read(dataset).attempt == 2
