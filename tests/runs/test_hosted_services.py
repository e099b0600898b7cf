"""Whole runs at the services that return weights: from the queue to predictions, adapter and a ledger without a gap."""

import json
import time

import pytest
from sqlmodel import select

from app.config import settings
from app.db import session_scope
from app.providers import providers
from app.runs import outputs
from app.runs.deployments import cost_so_far
from app.runs.ledger import open_ledger
from app.storage import run_folder
from app.tables import DeploymentRow, DeploymentState, RunState
from tests.emulator import emulator
from tests.emulator._server import service
from tests.hosting import KEY, change, go, row_of

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
        settings_of |= {"FIREWORKS_ACCOUNT_ID": "lab"}
        for name in ("together", "fireworks"):
            settings_of[f"{name.upper()}_API_KEY"] = KEY
            settings_of[f"{name.upper()}_BASE_URL"] = running.url(name, service(name).base_path)
        for name, value in settings_of.items():
            monkeypatch.setenv(f"TUNEBOOK_{name}", value)
        settings.cache_clear()
        yield running


@pytest.fixture
def trained(launch, world):
    """trained("together") is a run of the service's first model that has come to its end."""

    def make(name: str):
        offer, training = providers()[name].offers[0], providers()[name].training
        values = training.suggest(offer, FACTS)
        (run_id,) = launch("baseline/char-trees")
        ledger = open_ledger(values, values, {})
        change(run_id, model=f"{name}/{offer.model}", ledger=ledger, due_at=None)
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
