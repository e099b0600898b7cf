"""Runs that are done, with weights: for tests of what is made of them."""

import secrets
from collections.abc import Callable
from typing import Any

import pytest
from sqlmodel import Session, select

from app.db import session_scope
from app.lab.actor import Actor
from app.storage import run_folder
from app.tables import Dataset, Experiment, Export, Run, RunState, Split
from tests.pages import _add_score, upload
from tests.stack import rule_rows

LEDGER = {"epochs": {"asked": 3, "sent": 3, "resolved": 3, "source": "you"}}


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every message that would have gone to a worker; no broker is asked."""
    messages: list[tuple[str, int]] = []
    for module in ("app.queue", "workers.sweep"):
        monkeypatch.setattr(f"{module}.send", lambda task, row_id: messages.append((task, row_id)))
    return messages


@pytest.fixture
def finished(session: Session, actor: Actor) -> Callable[..., int]:
    """finished("starter/tiny", "model") gives the id of a run that is done, with an empty out/model."""
    dataset_id = upload(session, actor, "rule.jsonl", rule_rows(30).encode())
    owner = {"project_id": actor.project_id, "maker_id": actor.member_id}

    def make(model: str, weights: str = "", score: bool = True, **more: Any) -> int:
        dataset = session.get_one(Dataset, dataset_id)
        split = session.exec(select(Split).where(Split.dataset_id == dataset_id)).one()
        experiment = Experiment(
            **owner,
            name="test",
            dataset_id=dataset_id,
            split_id=split.id or 0,
            launch_key=secrets.token_hex(8),
        )
        session.add(experiment)
        session.flush()
        snapshot = {
            "dataset": dataset.name, "dataset_sha256": dataset.sha256, "split": split.name,
            "split_sha256": split.sha256, "counts": split.counts, "task": dataset.task,
        }  # fmt: skip
        run = Run(
            **owner, experiment_id=experiment.id or 0, dataset_id=dataset_id, split_id=split.id or 0, model=model,
            seed=1, state=RunState.DONE, launch_key=secrets.token_hex(8),
            **{"snapshot": snapshot, "ledger": LEDGER, **more},
        )  # fmt: skip
        session.add(run)
        session.flush()
        if score:
            _add_score(session, owner, run, (0.9, 0.8, 0.95))
        if weights:
            folder = run_folder(run.id or 0) / "out" / weights
            folder.mkdir(parents=True)
            (run_folder(run.id or 0) / "config.json").write_text("{}")
        session.commit()
        return run.id or 0

    return make


@pytest.fixture
def tracked_run(finished: Any, session: Session) -> int:
    """A run that is done, with curves and a score."""
    from tests.exports.trackers import with_curves

    made = int(finished("starter/tiny"))
    with_curves(session, made)
    return made


def export_now(export_id: int) -> Export:
    """Does the worker's task in this process; gives the row as it stands after it."""
    from workers.exports import make

    make(export_id)
    with session_scope(write=False) as session:
        return session.get_one(Export, export_id)
