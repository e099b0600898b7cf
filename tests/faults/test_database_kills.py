"""kill -9 of a process that launches, in the middle of its transactions: what was answered is there, whole and once."""

import os
import random
import secrets
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import Session, select

from app import db, queue
from app.db import engine, session_scope
from app.experiments.planned import GridRow
from app.experiments.service import LaunchRequest, launch_experiment
from app.lab.actor import Actor
from app.tables import Dataset, Split

FEW, MANY = 8, 500


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which database the test's settings name; asked for before `home`."""
    if request.param == "postgresql":
        monkeypatch.setenv("TUNEBOOK_DATABASE_URL", request.getfixturevalue("postgres").emptied())
    return str(request.param)


def hatch(work: Callable[[int], None]) -> tuple[int, int]:
    """A fork that works until it is killed, and the end of the pipe on which it says what it does."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    try:
        os.close(reader)
        db.dispose()
        queue.send = lambda *_: None  # type: ignore[assignment]
        work(writer)
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        # Not what pytest would do at its end.
        os._exit(1)


def launches(actor: Actor, dataset_id: int, split_id: int) -> Callable[[int], None]:
    """Launches without end: says each key before, and again with the experiment's id once it was committed."""

    def work(out: int) -> None:
        while True:
            key = secrets.token_hex(12)
            os.write(out, f"sent {key}\n".encode())
            grid = [GridRow("baseline/majority", {})]
            request = LaunchRequest(dataset_id, split_id, "killed", grid, [1], launch_key=key)
            with session_scope() as session:
                made = launch_experiment(session, actor, request).id
            os.write(out, f"done {key} {made}\n".encode())

    return work


def killed_once(work: Callable[[int], None], draw: random.Random) -> list[list[str]]:
    """What a fork said that was killed within the launch after its first or a later one, however long launches take on
    this machine now."""
    child, reader = hatch(work)
    with os.fdopen(reader, "rb") as pipe:
        said, began = [pipe.readline()], time.monotonic()
        for _ in range(2 * draw.randint(0, 2)):
            said.append(pipe.readline())
        launches = max(1, len(said) // 2)
        time.sleep(draw.uniform(0, 1.2) * (time.monotonic() - began) / launches if len(said) > 1 else 0.03)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        said += pipe.readlines()
    return [line.decode().split() for line in said]


def check_whole(said: list[list[str]]) -> int:
    """Each answered launch is there once with one run and one line in the audit log; gives how many stand there that
    nobody was told of."""
    answered = {words[1]: int(words[2]) for words in said if words[0] == "done"}
    sent = {words[1] for words in said if words[0] == "sent"}
    with session_scope(write=False) as session:
        stored = dict(session.execute(text("SELECT launch_key, id FROM experiment")).all())  # type: ignore[arg-type]
        runs = Counter(session.execute(text("SELECT experiment_id FROM run")).scalars())
        told = Counter(
            session.execute(
                text("SELECT object_id FROM audit_entry WHERE action = 'launched' AND noun = 'experiment'")
            ).scalars()
        )
    assert answered.items() <= stored.items()
    assert set(stored) <= sent
    assert runs == told == Counter(stored.values())
    return len(stored) - len(answered)


def check_database() -> None:
    """SQLite says that its file is whole; PostgreSQL answers."""
    with engine().connect() as connection:
        if connection.dialect.name == "sqlite":
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        else:
            assert connection.exec_driver_sql("SELECT count(*) FROM run").scalar() is not None


def kill_often(session: Session, actor: Actor, dataset: Dataset, kills: int, database: str) -> None:
    split = session.exec(select(Split.id).where(Split.dataset_id == dataset.id)).one()
    session.commit()
    work = launches(actor, dataset.id or 0, split or 0)
    draw, said = random.Random(), []
    for _ in range(kills):
        said += killed_once(work, draw)
    unanswered = check_whole(said)
    check_database()
    answered = sum(words[0] == "done" for words in said)
    assert answered
    middle = sum(words[0] == "sent" for words in said) - answered
    print(
        f"{database}: {kills} kills, {middle} in the middle of a launch; {answered} launches answered, all there;"
    )
    print(f"{unanswered} committed whose answer was lost")


@pytest.mark.laptop
def test_a_few_kills_lose_no_launch(
    database: str, home: Path, session: Session, actor: Actor, dataset: Dataset
) -> None:
    kill_often(session, actor, dataset, FEW, database)


@pytest.mark.slow
def test_five_hundred_kills_lose_no_launch(
    database: str, home: Path, session: Session, actor: Actor, dataset: Dataset
) -> None:
    kill_often(session, actor, dataset, MANY, database)
