"""A small dataset that was really checked, experiments launched over it, and stand-ins for the trainer's Python:
for tests of runs and workers."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import Session, col, select

from app.compute import local
from app.config import settings
from app.datasets.service import upload_dataset
from app.db import session_scope
from app.experiments.planned import GridRow
from app.experiments.service import LaunchRequest, launch_experiment
from app.lab.actor import Actor
from app.runs.hosts import make_slots
from app.storage import incoming_file
from app.tables import FINAL, Dataset, DatasetState, Run, Split
from tests.hosting import hosted, world  # noqa: F401  fixtures
from tests.runs.machine import host  # noqa: F401  a fixture
from tests.runs.predicting import ask  # noqa: F401  a fixture

RULE = {"HCl": "acid", "NaOH": "base", "NaCl": "salt"}


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every message that would have gone to a worker, in order; no broker is asked."""
    messages: list[tuple[str, int]] = []
    for module in ("app.queue", "workers.sweep", "workers.runs", "workers.orphans"):
        monkeypatch.setattr(f"{module}.send", lambda task, row_id: messages.append((task, row_id)))
    return messages


def rows(count: int) -> str:
    """Chat rows of three classes; every fifth is a test row."""
    lines = []
    for number in range(count):
        key = list(RULE)[number % 3]
        messages = [
            {"role": "user", "content": f"sample {number}: a spoon of {key}"},
            {"role": "assistant", "content": RULE[key]},
        ]
        split = "TEST" if number % 5 == 4 else "TRAIN"
        lines.append(json.dumps({"messages": messages, "split": split}) + "\n")
    return "".join(lines)


@pytest.fixture
def dataset(session: Session, actor: Actor) -> Dataset:
    """60 items, 12 of them test items, ready."""
    from workers.datasets import check

    data = rows(60).encode()
    path: Path = incoming_file("upload")
    path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    made = upload_dataset(session, actor, path, file_name="rule.jsonl", sha256=digest, size=len(data))
    session.commit()
    check(made.id)
    session.refresh(made)
    # A writing session that has read anything keeps other writers out until it commits.
    session.commit()
    assert made.state == DatasetState.READY
    return made


Launch = Callable[..., list[int]]


@pytest.fixture
def launch(session: Session, actor: Actor, dataset: Dataset) -> Launch:
    """launch("baseline/majority", ...) gives the ids of the runs, committed and queued."""
    make_slots()
    split = session.exec(select(Split).where(Split.dataset_id == dataset.id)).one()
    session.commit()

    def launch(*models: str, seeds: tuple[int, ...] = (1,), compute: str = "", **asked: object) -> list[int]:
        grid = [GridRow(model, dict(asked), compute) for model in models]
        request = LaunchRequest(dataset.id or 0, split.id or 0, "test", grid, seeds)
        experiment = launch_experiment(session, actor, request)
        session.commit()
        made = session.exec(
            select(Run.id).where(Run.experiment_id == experiment.id).order_by(col(Run.id))
        ).all()
        session.commit()
        return list(made)

    return launch


def read(run_id: int) -> Run:
    """The run as it stands in the database."""
    with session_scope(write=False) as session:
        return session.get_one(Run, run_id)


def write(run_id: int, **values: object) -> Run:
    """Puts the run into a state of the test's choice."""
    with session_scope() as session:
        session.execute(update(Run).where(col(Run.id) == run_id).values(**values))
    return read(run_id)


def drive(*run_ids: int, until: tuple[str, ...] = FINAL, seconds: float = 60) -> list[Run]:
    """Does what the queue and the sweep do, in this process, until all runs are in one of the states."""
    from workers.runs import advance

    end = time.monotonic() + seconds
    while True:
        for run_id in run_ids:
            advance(run_id)
        runs = [read(run_id) for run_id in run_ids]
        if all(run.state in until for run in runs):
            return runs
        assert time.monotonic() < end, [(run.state, run.progress_note) for run in runs]
        time.sleep(0.02)


@pytest.fixture
def stand_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """stand_in("sleep 600") makes a shell script the trainer's Python. `$OUT` is the run's out folder and
    `$STARTS` counts the starts, also in the file that is returned. Whatever runs is ended after the test."""
    starts = home / "starts"

    def make(body: str) -> Path:
        script = home / "python"
        script.write_text(
            f'#!/bin/sh\nOUT="$3/out"\necho . >> "{starts}"\nSTARTS=$(($(wc -l < "{starts}")))\n{body}\n'
        )
        script.chmod(0o755)
        monkeypatch.setenv("TUNEBOOK_TRAINER_PYTHON", str(script))
        settings.cache_clear()
        return starts

    yield make
    with session_scope(write=False) as session:
        keys = session.exec(select(Run.launch_key)).all()
    for key in keys:
        local.cancel({"launch_key": key}, grace_seconds=0)
