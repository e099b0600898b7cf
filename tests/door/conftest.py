"""Runs that may answer at the door, made quickly: rows and folders, no training."""

import secrets
from typing import Any

from sqlmodel import Session, select

from app.clock import now
from app.lab.actor import Actor
from app.storage import run_folder
from app.tables import Experiment, Run, RunState, Split
from tests.door.working import sent, work  # noqa: F401  fixtures
from tests.pages import add_dataset, add_experiment


def add_run(session: Session, actor: Actor, model: str = "starter/tiny", **values: Any) -> Run:
    """A done run with a folder for its weights, committed."""
    dataset = add_dataset(session, actor, f"data {secrets.token_hex(3)}")
    experiment = add_experiment(session, actor, dataset, "made for the door", [])
    split = session.exec(select(Split).where(Split.dataset_id == dataset.id)).one()
    assert isinstance(experiment, Experiment)
    run = Run(
        **{
            "project_id": actor.project_id,
            "maker_id": actor.member_id,
            "experiment_id": experiment.id,
            "dataset_id": dataset.id,
            "split_id": split.id,
            "model": model,
            "seed": 1,
            "launch_key": secrets.token_hex(8),
            "state": RunState.DONE,
            "ended_at": now(),
            **values,
        }
    )
    session.add(run)
    session.flush()
    (run_folder(run.id or 0) / "out" / "model").mkdir(parents=True)
    session.commit()
    return run
