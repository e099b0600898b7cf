"""The lab leaderboard over 10,000 scored runs of 40 models on 20 tasks: seconds, and statements whatever the runs."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from sqlalchemy import insert
from sqlmodel import Session

from app.comparisons.lab_leaderboard import LabFilter, lab_leaderboard
from app.comparisons.lab_page import lab_page
from app.db import session_scope
from app.lab.actor import Actor, first_actor
from app.migrate import migrate
from app.tables import Evaluation, Run, RunState, Score, Scoring
from tests.bench import Figure, at_most
from tests.fresh import forget_settings
from tests.pages import add_dataset, add_experiment, counted_statements

TASKS, MODELS, RUNS = 20, 40, 10_000


def figures() -> Iterator[Figure]:
    """Yields seconds and statements of the whole leaderboard, page laid out."""
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.dict(os.environ, {"TUNEBOOK_DATA": str(Path(folder))}),
    ):
        forget_settings()
        migrate()
        with session_scope() as session:
            actor = first_actor(session)
            add_scored_runs(session, actor, TASKS, MODELS, RUNS)
        with session_scope(write=False) as session, counted_statements() as statements:
            start = time.perf_counter()
            lab_page(lab_leaderboard(session, actor, LabFilter()))
            seconds = time.perf_counter() - start
        forget_settings()
    yield at_most("lab_leaderboard_10000_runs", seconds, "s", 0.5)
    yield at_most("lab_leaderboard_statements", len(statements), "statements", 3)


def add_scored_runs(session: Session, actor: Actor, tasks: int, models: int, runs: int) -> None:
    """Scored runs spread evenly over models and tasks, each with ten scores and a snapshot."""
    owner = {"project_id": actor.project_id, "maker_id": actor.member_id}
    places = []
    for number in range(tasks):
        dataset = add_dataset(session, actor, f"task {number}")
        made = add_experiment(session, actor, dataset, f"experiment {number}", [])
        places.append({"experiment_id": made.id, "dataset_id": dataset.id, "split_id": made.split_id})
    snapshot = {
        "parameters": 850_000,
        "environment": {"packages": {f"package {n}": "1.0" for n in range(60)}},
    }
    rows = [
        {
            **owner,
            **places[number % tasks],
            "id": number + 1,
            "model": f"hf/lab/model-{number // tasks % models}" if number % 8 else "baseline/majority",
            "seed": number,
            "state": RunState.DONE,
            "launch_key": f"bench-{number}",
            "snapshot": snapshot,
        }
        for number in range(runs)
    ]
    session.execute(insert(Run), rows)
    session.execute(
        insert(Evaluation), [{**owner, "id": n, "run_id": n, "items": 500} for n in range(1, runs + 1)]
    )
    session.execute(insert(Scoring), [{**owner, "id": n, "evaluation_id": n} for n in range(1, runs + 1)])
    for name in ("accuracy", *(f"other {n}" for n in range(9))):
        values = ((n * 7919) % 1000 / 1000 for n in range(1, runs + 1))
        scores = [
            {
                "scoring_id": n,
                "name": name,
                "subset": "all",
                "value": value,
                "low": 0.1,
                "high": 0.9,
                "n": 500,
            }
            for n, value in enumerate(values, 1)
        ]
        session.execute(insert(Score), scores)
    session.flush()
