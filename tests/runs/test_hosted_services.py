"""Whole runs at the services that return weights: from the queue to predictions, adapter and a ledger without a gap."""

import json
import time

import pytest
from sqlalchemy import update
from sqlmodel import select

from app.config import settings
from app.db import session_scope
from app.preferences import suggested
from app.providers import providers
from app.runs import outputs
from app.runs.deployments import cost_so_far
from app.runs.ledger import open_ledger
from app.storage import run_folder
from app.tables import DeploymentRow, DeploymentState, RemoteJobRow, RunMetric, RunState
from tests.emulator import emulator
from tests.emulator._server import service
from tests.hosting import KEY, change, go, row_of, unconfirmed

pytestmark = pytest.mark.laptop
FACTS = {"train_items": 48, "max_tokens": 40}


@pytest.fixture
def world(home, monkeypatch):
    with emulator(speed=900.0) as running:
        settings_of = {
            "ALLOW_PRIVATE_BASE_URLS": "1",
            "REMOTE_POLL_SECONDS": "0.05",
            "LOOK_TIMES": "0,0.1,0.2",
        }
        settings_of |= {"FIREWORKS_ACCOUNT_ID": "lab", "WANDB_ENTITY": "lab", "WANDB_PROJECT": "colours"}
        for name in ("together", "fireworks", "wandb"):
            settings_of[f"{name.upper()}_API_KEY"] = KEY
            settings_of[f"{name.upper()}_BASE_URL"] = running.url(name, service(name).base_path)
        for name, value in settings_of.items():
            monkeypatch.setenv(f"TUNEBOOK_{name}", value)
        settings.cache_clear()
        yield running


@pytest.fixture
def queued(launch, world):
    """queued("together") is (the id of a queued run of the service's first model, the values that it sends)."""

    def make(name: str):
        offer, training = providers()[name].offers[0], providers()[name].training
        values = suggested(training.hyperparameters(offer), training.suggest(offer, FACTS), {}, 0)
        (run_id,) = launch("baseline/char-trees")
        ledger = open_ledger(values, values, {})
        change(run_id, model=f"{name}/{offer.model}", ledger=ledger, due_at=None)
        return run_id, values

    return make


@pytest.fixture
def trained(queued):
    """trained("together") is a run of the service's first model that has come to its end."""

    def make(name: str):
        run_id, values = queued(name)
        (run,) = go(run_id, seconds=60)
        assert (run.state, run.error) == (RunState.DONE, "")
        return run, values

    return make


def watched(deployment_id):
    """The deployment once its guard has seen it gone."""
    from workers.deployments import watch_one

    for _ in range(200):
        watch_one(deployment_id)
        with session_scope(write=False) as session:
            row = session.get_one(DeploymentRow, deployment_id)
        if row.state == DeploymentState.STOPPED:
            return row
        time.sleep(0.05)
    raise AssertionError(row.state)


def test_together_from_queue_to_predictions(trained, world):
    run, values = trained("together")
    assert world.count_made("together", "job") == 1
    assert world.duplicates() == {}
    folder = run_folder(run.id)
    kept = sorted(path.name for path in outputs.weights_folder(folder).iterdir())
    assert kept == ["adapter_config.json", "adapter_model.safetensors", "tokenizer.json"]
    assert (folder / "out" / "records" / "checkpoints.json").is_file()
    said = {name: row["resolved"] for name, row in run.ledger.items()}
    assert {name: said[name] for name in values} == values
    assert said["seed"] == run.seed
    last = json.loads((folder / "service" / "job-last.json").read_text())
    assert (last["suffix"], last["status"]) == (run.launch_key, "completed")
    assert run.cost_microdollars >= 4_000_000
    with session_scope(write=False) as session:
        deployments = session.exec(select(DeploymentRow)).all()
    # It is watched on its own from here on, until it is gone.
    assert [each.state for each in deployments] == [DeploymentState.STOPPING]
    assert world.count_made("together", "deployment") == 1
    assert cost_so_far(watched(deployments[0].id)) > 0
    assert world.things["together", "main", "deployment"] == {}
    assert world.things["together", "main", "endpoint"] == {}
    assert row_of(run.id).phase == "done"


def test_fireworks_from_queue_to_predictions(trained, world):
    run, values = trained("fireworks")
    assert world.count_made("fireworks", "job") == 1
    assert world.count_made("fireworks", "batch") >= 1
    assert world.count_made("fireworks", "deployment") == 0
    assert world.duplicates() == {}
    folder = run_folder(run.id)
    kept = sorted(path.name for path in outputs.weights_folder(folder).iterdir())
    assert kept == ["adapter_config.json", "adapter_model.safetensors"]
    said = {name: row["resolved"] for name, row in run.ledger.items()}
    assert {name: said[name] for name in values} == values
    assert run.ledger["seed"]["undisclosed_by"] == "Fireworks"
    assert said["lora_targets"] == "q_proj,k_proj,v_proj,o_proj"


def test_wandb_from_queue_to_predictions(trained, world):
    run, values = trained("wandb")
    assert world.count_made("wandb", "job") == 1
    folder = run_folder(run.id)
    kept = sorted(path.name for path in outputs.weights_folder(folder).iterdir())
    assert kept == ["adapter_config.json", "adapter_model.safetensors"]
    lines = [(folder / "service" / f"train{end}.jsonl").read_bytes().splitlines() for end in ("", ".epochs")]
    assert sorted(lines[1]) == sorted(lines[0] * values["epochs"])
    assert {name: run.ledger[name]["sent"] for name in values} == values
    assert run.ledger["seed"]["undisclosed_by"] == "W&B Serverless SFT"
    assert "training_ended" in (folder / "out" / "log.txt").read_text()
    with session_scope(write=False) as session:
        names = select(RunMetric.name).where(RunMetric.run_id == run.id)
        assert {"loss", "learning_rate"} <= set(session.exec(names))


def test_a_wandb_training_without_an_answer_is_adopted_once_its_adapter_is_there(queued, world):
    run_id, _ = queued("wandb")
    world.speed = 0.0
    world.fail("wandb POST *sft-training-jobs", "drop", effect=True)
    go(run_id, until=unconfirmed)
    world.speed = 900.0
    world.advance(60)
    with session_scope() as session:
        session.execute(update(RemoteJobRow).where(RemoteJobRow.run_id == run_id).values(wait_until=None))
    change(run_id, due_at=None)
    (run,) = go(run_id)
    assert (run.state, run.error) == (RunState.DONE, "")
    assert (row_of(run_id).creates, world.count_made("wandb", "job")) == (1, 1)


CREATES = {
    "together": "together POST /v1/fine-tunes",
    "fireworks": "fireworks POST */supervisedFineTuningJobs",
}
STARTED = (RunState.TRAINING, RunState.FAILED)


@pytest.mark.parametrize("name", CREATES)
@pytest.mark.parametrize("kind", ["drop", 500, "garbage"])
def test_a_create_whose_answer_was_lost_is_adopted(queued, world, name, kind):
    run_id, _ = queued(name)
    world.fail(CREATES[name], kind, effect=True)
    go(run_id, until=STARTED)
    assert row_of(run_id).creates == 1
    assert world.count_made(name, "job") == 1
    assert row_of(run_id).remote_id == world.made[-1].id


def test_a_create_that_was_lost_for_good_is_made_again_where_the_id_is_ours(queued, world):
    run_id, _ = queued("fireworks")
    world.fail(CREATES["fireworks"], "drop", effect=False)
    go(run_id, until=STARTED)
    assert (row_of(run_id).creates, world.count_made("fireworks", "job")) == (2, 1)


def test_a_create_that_was_lost_for_good_is_for_a_person_to_decide_elsewhere(queued, world):
    run_id, _ = queued("together")
    world.fail(CREATES["together"], "drop", effect=False)
    go(run_id, until=unconfirmed)
    assert (row_of(run_id).creates, world.count_made("together", "job")) == (1, 0)
