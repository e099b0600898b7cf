"""Fills a data folder with demo content in every state: python -m tests.seed (make seed).

What is done is really done: samples are checked, baselines and a short starter run train and predict. Runs
"under way" are rows with the files of a process that has just died, as after a power cut: a Tunebook that is
started on this folder goes on with them.
"""

import hashlib
import json
import math
import random
import secrets
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from sqlmodel import Session, select

from app.clock import in_seconds, now
from app.datasets.queries import find_split
from app.datasets.samples import SAMPLES
from app.datasets.service import add_sample, upload_dataset
from app.datasets.stored import part_items
from app.db import session_scope
from app.experiments.imports import import_predictions
from app.experiments.planned import GridRow
from app.experiments.service import LaunchRequest, launch_experiment
from app.lab.actor import Actor, first_actor
from app.migrate import migrate
from app.runs.hosts import make_slots
from app.storage import incoming_file, run_folder
from app.tables import ACTIVE, Dataset, Experiment, Run, RunMetric, RunState, Split
from tests.seed_judge import seed_judgings
from workers.datasets import check
from workers.runs import advance

BASELINES = ("baseline/majority", "baseline/nearest", "baseline/tfidf-linear", "baseline/char-trees")
BAD_ROWS = (
    '{"messages": [{"role": "user", "content": "Is 7 prime?"}, {"role": "assistant", "content": "yes"}]}',
    '{"messages": [{"role": "user", "content": "Is 9 prime?"}, {"role": "asistant", "content": "no"}]}',
    '{"messages": [{"role": "user", "content": "Is 11 prime?"}]}',
    '{"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": "no"}]}',
    '{"messages": [{"role": "user", "content": "Is 13 prime?"}, {"role": "assistant", "content": "yes"}]',
    '{"prompt": "Is 15 prime?", "completion": "no"}',
)
# The states that only an accident or another process leads to, with what their pages show.
UNDER_WAY: Mapping[RunState, dict[str, Any]] = {
    RunState.TRAINING: {"progress": 0.58, "progress_note": "epoch 7 of 12", "seconds_left": 62.0},
    RunState.PREDICTING: {"progress": 0.31, "progress_note": "37 of 120 items", "seconds_left": 9.0},
    RunState.PREPARING: {},
    RunState.PAUSED: {"error": "The budget of this project is used up.", "hint": "Raise it, then go on."},
    RunState.UNKNOWN: {"error": "The answer to a paid call was lost.", "hint": "Look at the service's page."},
    RunState.FAILED: {
        "error": "The machine ran out of memory at step 41.",
        "hint": "Take a smaller batch, or a smaller model, then retry.",
    },
    RunState.CANCELLED: {},
    RunState.QUEUED: {"progress_note": "waits for this machine, 3 before it"},
}


def seed() -> None:
    """Makes everything; about two minutes on two cores."""
    migrate()
    make_slots()
    with session_scope() as session:
        actor = first_actor(session)
    samples = [_sample(actor, name) for name in SAMPLES]
    _refused(actor)
    first = _experiment(actor, samples[0], "Which models learn the plural?")
    _import_answers(actor, first)
    seed_judgings(actor, first)
    _all_states(actor, samples[-1])


def _sample(actor: Actor, name: str) -> int:
    with session_scope() as session:
        dataset_id = add_sample(session, actor, name).id or 0
    check(dataset_id)
    return dataset_id


def _refused(actor: Actor) -> None:
    data = "\n".join(BAD_ROWS).encode()
    path = incoming_file(secrets.token_hex(16))
    path.write_bytes(data)
    with session_scope() as session:
        dataset = upload_dataset(
            session,
            actor,
            path,
            file_name="primes.jsonl",
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
        )
    check(dataset.id or 0)


def _experiment(actor: Actor, dataset_id: int, name: str) -> int:
    """A real launch, advanced here until every run is done."""
    grid = [GridRow(model, {}) for model in BASELINES] + [GridRow("starter/tiny", {"epochs": 4})]
    experiment_id = _launch(actor, dataset_id, name, grid, [1, 2])
    while runs := _active(experiment_id):
        for run_id in runs:
            advance(run_id)
    return experiment_id


def _launch(actor: Actor, dataset_id: int, name: str, grid: list[GridRow], seeds: list[int]) -> int:
    with session_scope() as session:
        split = find_split(session, actor, dataset_id, None)
        request = LaunchRequest(dataset_id, split.id or 0, name, grid, seeds)
        return launch_experiment(session, actor, request).id or 0


def _active(experiment_id: int) -> list[int]:
    with session_scope(write=False) as session:
        found = session.exec(
            select(Run.id).where(Run.experiment_id == experiment_id, Run.state.in_(ACTIVE))  # type: ignore[attr-defined]
        )
        return [run_id or 0 for run_id in found]


def _import_answers(actor: Actor, experiment_id: int) -> None:
    """Answers made elsewhere: right three times in four, else another class."""
    draw = random.Random(7)
    with session_scope() as session:
        experiment = session.get_one(Experiment, experiment_id)
        dataset = session.get_one(Dataset, experiment.dataset_id)
        split = session.get_one(Split, experiment.split_id)
        rows = [
            {
                "item": item.item_id,
                "answer": item.answer if draw.random() < 0.75 else draw.choice(dataset.labels),
            }
            for item in part_items(session, dataset, split, "test")
        ]
        file = BytesIO("\n".join(map(json.dumps, rows)).encode())
        import_predictions(session, actor, experiment_id, "prompted model", file)


def _all_states(actor: Actor, dataset_id: int) -> None:
    grid = [GridRow("starter/tiny", {})]
    experiment_id = _launch(actor, dataset_id, "One run in each state", grid, list(range(1, 9)))
    with session_scope() as session:
        runs = session.exec(select(Run).where(Run.experiment_id == experiment_id).order_by(Run.id)).all()  # type: ignore[arg-type]
        for run, (state, values) in zip(runs, UNDER_WAY.items(), strict=True):
            _put(session, run, state, values)


def _put(session: Session, run: Run, state: RunState, values: dict[str, Any]) -> None:
    run.state = state
    run.started_at = None if state == RunState.QUEUED else now()
    run.ended_at = in_seconds(95) if state in (RunState.FAILED, RunState.CANCELLED) else None
    for name, value in values.items():
        setattr(run, name, value)
    session.add(run)
    if state in (RunState.TRAINING, RunState.PREDICTING, RunState.FAILED):
        out = run_folder(run.id or 0) / "out"
        out.mkdir(parents=True)
        steps = 420
        (out / "progress.json").write_text(json.dumps({"stage": str(state), "steps": steps, **values}))
        (out / "log.txt").write_text(
            "09:31:02 tokenizer made from the training part, 1,024 entries\n09:31:04 step 1, loss 6.93\n"
        )
        for step in range(0, 246 if state == RunState.TRAINING else steps, 6):
            _points(session, run.id or 0, step)


def _points(session: Session, run_id: int, step: int) -> None:
    loss = 2.9 * math.exp(-step / 70) + 0.3 + 0.05 * math.sin(step)
    curves = {
        "loss": loss,
        "learning_rate": 0.002 * (1 + math.cos(step / 134)) / 2,
        "tokens_per_second": 15_000 + 400 * math.sin(step),
    }
    if step % 48 == 42:
        curves["validation_loss"] = 2.9 * math.exp(-step / 74) + 0.4
    for name, value in curves.items():
        session.add(RunMetric(run_id=run_id, name=name, step=step, value=value))


if __name__ == "__main__":
    seed()
