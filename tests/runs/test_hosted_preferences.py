"""Whole hosted runs by preferences: only pairs are sent, the values are read back, the answers are predicted."""

import json
from typing import Any

import pytest
from sqlmodel import Session, col, select

from app import preferences
from app.experiments.planned import GridRow
from app.experiments.service import LaunchRequest, launch_experiment
from app.lab.actor import Actor
from app.providers._shapes import Offer
from app.runs.hosted import remote_model, training_of
from app.runs.hosts import make_slots
from app.runs.ledger import open_ledger
from app.storage import run_folder
from app.tables import Dataset, Run, RunState, Split
from tests.emulator._world import World
from tests.hosting import change, go
from tests.pages import upload

pytestmark = pytest.mark.laptop
COLOURS = ("red", "green", "blue")
MODELS = (
    "together/Qwen/Qwen3.5-9B",
    "fireworks/accounts/fireworks/models/llama-v3p1-8b-instruct",
    "openai/gpt-4.1-mini-2025-04-14",
    "openpipe/Qwen/Qwen3-8B",
)
# What is sent, but never said again.
SILENT = {"together": {"gradient_accumulation", "early_stopping"}}


def _rows(count: int) -> bytes:
    """Of ten rows one is validation and two are test; every fourth has no rejected answer."""
    lines = []
    for number in range(count):
        answers = [{"role": "assistant", "content": COLOURS[(number + n) % 3]} for n in range(2)]
        messages = [{"role": "user", "content": f"thing {number % 3} of {number}"}, answers[0]]
        split = {7: "VALIDATION", 8: "TEST", 9: "TEST"}.get(number % 10, "TRAIN")
        row: dict[str, Any] = {"messages": messages, "split": split}
        lines.append(json.dumps(row | ({"rejected_message": answers[1]} if number % 4 else {})))
    return "\n".join(lines).encode()


@pytest.fixture
def queued(session: Session, actor: Actor, world: World):
    """queued(model) is (the id of a queued run by DPO, the values that it sends)."""
    dataset_id = upload(session, actor, "pairs.jsonl", _rows(80))
    split = session.exec(select(Split).where(Split.dataset_id == dataset_id)).one()
    pairs = split.facts["rejected"]["train"]
    session.commit()
    make_slots()

    def make(model: str) -> tuple[int, dict[str, Any]]:
        training, asked = training_of(model), {preferences.OBJECTIVE: preferences.DPO}
        offer = Offer(remote_model(model), can_train=True)
        facts = {"train_items": pairs, "validation_items": 6, "max_tokens": 30, "mean_tokens": 20.0}
        shapes = training.hyperparameters(offer)
        values = preferences.suggested(shapes, training.suggest(offer, facts), asked, pairs) | asked
        grid = [GridRow("baseline/majority", {})]
        request = LaunchRequest(dataset_id, split.id or 0, "pairs", grid, (1,))
        experiment = launch_experiment(session, actor, request)
        session.commit()
        (run_id,) = session.exec(select(Run.id).where(col(Run.experiment_id) == experiment.id)).all()
        session.commit()
        change(run_id, model=model, seed=1, ledger=open_ledger(values, values, asked), due_at=None)
        return run_id, values

    return make


@pytest.mark.parametrize("model", MODELS, ids=[model.partition("/")[0] for model in MODELS])
def test_a_run_on_preferences_from_queue_to_predictions(model: str, queued: Any, session: Session) -> None:
    run_id, values = queued(model)
    (run,) = go(run_id, seconds=60)
    assert (run.state, run.error) == (RunState.DONE, "")
    assert run.snapshot["pairs"] == {"train": 40, "validation": 8}
    folder = run_folder(run_id)
    sent = (folder / "service" / "train.jsonl").read_text("utf-8-sig").splitlines()
    assert len(sent) == 40
    assert all("rejected_message" in line or "non_preferred_output" in line for line in sent)
    # The reader's bundle has every item, with its rejected answer where there is one.
    whole = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    assert (len(whole), sum("rejected" in row for row in whole)) == (56, 40)
    assert json.loads((folder / "config.json").read_text())["method"] == "dpo"
    silent = SILENT.get(model.partition("/")[0], set())
    said = {name: run.ledger[name]["resolved"] for name in values if name not in silent}
    assert said == {name: value for name, value in values.items() if name not in silent}
    assert all(row["resolved"] is not None or row.get("undisclosed_by") for row in run.ledger.values())
    assert session.get_one(Dataset, run.dataset_id).facts["rejected"] == 60


def test_without_a_pair_nothing_is_uploaded(queued: Any, session: Session, world: World) -> None:
    run_id, _ = queued(MODELS[0])
    dataset_id = session.get_one(Run, run_id).dataset_id
    row = session.exec(select(Split).where(Split.dataset_id == dataset_id)).one()
    codes = bytes(0 if number % 4 == 0 else 2 for number in range(80))
    row.parts, row.counts, row.facts = codes, {"train": 20, "test": 60}, {**row.facts, "rejected": {}}
    session.add(row)
    session.commit()
    (run,) = go(run_id, seconds=20)
    assert run.state == RunState.FAILED
    assert "No training item has a rejected answer" in run.error
    assert world.count("together POST /v1/files*") == 0
