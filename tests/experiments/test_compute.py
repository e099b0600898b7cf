"""Toolkits and compute in a launch: planned, rendered without launching, priced, kept in the experiment's file."""

import json

import pytest
import yaml
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.clock import now
from app.db import session_scope
from app.lab.actor import Actor
from app.tables import Machine, MachineState, Reservation, Run
from tests.experiments.checked import checked_dataset

pytestmark = pytest.mark.laptop
MODEL = "trl/acme/Small-0.5B"


@pytest.fixture
def lab(session: Session, actor: Actor) -> int:
    """A dataset, a cluster without price, and a rented machine at $2 an hour with a deadline of 3 hours."""
    dataset_id = checked_dataset(session, actor).id or 0
    for name, kind, facts, hours in (
        ("cluster", "ssh", {"gpus": [{"name": "A100", "memory_bytes": 80 * 10**9}]}, 24.0),
        ("rented", "jarvislabs", {"hourly_microdollars": 2_000_000, "gpus": [{"name": "H100"}]}, 3.0),
    ):
        session.add(
            Machine(
                project_id=actor.project_id, maker_id=actor.member_id, name=name, kind=kind, facts=facts,
                state=MachineState.READY, deadline_hours=hours, note="fine", checked_at=now(),
            )
        )  # fmt: skip
    session.commit()
    return dataset_id


def plan(client: TestClient, dataset_id: int, *models: dict[str, object], status: int = 200) -> dict:
    answer = client.post(
        "/api/v1/experiments", json={"dataset_id": dataset_id, "models": list(models), "dry_run": True}
    )
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_dry_run_gives_the_files_of_every_run(client: TestClient, lab: int):
    found = plan(
        client, lab, {"model": MODEL, "hyperparameters": {"epochs": [1, 2]}}, {"model": "baseline/majority"}
    )
    toolkit, baseline = found["models"]
    configs = [yaml.safe_load(run["files"]["trl.yaml"]) for run in toolkit["rendered"]]
    assert [config["num_train_epochs"] for config in configs] == [1, 2]
    assert configs[0]["model_name_or_path"] == "acme/Small-0.5B"
    assert configs[0]["use_cpu"] is True
    assert "trl[peft]==" in toolkit["rendered"][0]["files"]["environment.txt"]
    assert json.loads(baseline["rendered"][0]["files"]["config.json"])["kind"] == "baseline"


def test_on_a_machine_with_a_gpu_the_files_are_for_one(client: TestClient, lab: int):
    found = plan(client, lab, {"model": MODEL, "compute": "cluster"})
    config = yaml.safe_load(found["models"][0]["rendered"][0]["files"]["trl.yaml"])
    assert (config["use_cpu"], config["bf16"], config["gradient_checkpointing"]) == (False, True, True)
    assert found["models"][0]["compute"] == "cluster"
    assert found["cost_microdollars"] == 0


def test_what_is_paid_by_the_hour_costs_at_most_its_price_until_the_deadline(client: TestClient, lab: int):
    found = plan(client, lab, {"model": MODEL, "compute": "rented"})
    assert found["cost_microdollars"] == 6_000_000
    body = {"dataset_id": lab, "models": [{"model": "baseline/majority", "compute": "rented"}]}
    made = client.post("/api/v1/experiments", json=body).json()
    with session_scope(write=False) as session:
        (row,) = session.exec(select(Reservation)).all()
    assert (row.reserved_microdollars, row.provider) == (6_000_000, "jarvislabs")
    text = client.get(f"/api/v1/experiments/{made['id']}/experiment.yaml").text
    assert yaml.safe_load(text)["models"][0]["compute"] == "rented"


def test_the_same_model_in_two_places_is_told_apart(client: TestClient, lab: int):
    models = [{"model": "baseline/majority"}, {"model": "baseline/majority", "compute": "cluster"}]
    made = client.post("/api/v1/experiments", json={"dataset_id": lab, "models": models}).json()
    assert [run["variant"] for run in made["runs"]] == ["on this machine", "on cluster"]


def test_an_unknown_compute_is_refused_by_name(client: TestClient, lab: int):
    said = plan(client, lab, {"model": "baseline/majority", "compute": "abacus"}, status=422)
    assert "There is no compute 'abacus'" in json.dumps(said)
    assert "cluster" in json.dumps(said)


def test_the_api_lists_trainers_with_what_they_cannot_express(client: TestClient):
    found = {trainer["name"]: trainer for trainer in client.get("/api/v1/trainers").json()["trainers"]}
    assert {"builtin", "trl"} <= set(found)
    assert found["trl"]["keys"]["learning_rate"] == "learning_rate"
    assert found["trl"]["version"] in " ".join(found["trl"]["requirements"])


def test_a_run_is_shown_beside_another_trainer_and_launched_with_it(client: TestClient, lab: int):
    asked = {"model": MODEL, "hyperparameters": {"lora_r": 4, "neftune_noise_alpha": 5}, "compute": "cluster"}
    made = client.post("/api/v1/experiments", json={"dataset_id": lab, "models": [asked]}).json()
    run = made["runs"][0]["id"]
    page = client.get(f"/experiments/convert?run={run}&to=builtin").text
    assert "NEFTune noise" in page
    assert "has no equal in Built-in" in page
    assert "per_device_train_batch_size" in page
    clone = client.get(f"/experiments/new?clone={run}&trainer=builtin").text
    assert 'name="h:hf/acme/Small-0.5B:lora_r"' in clone
    assert "acme/Small-0.5B" in clone
    told = client.get(f"/api/v1/runs/{run}/convert", params={"to": "builtin"}).json()
    assert [line["name"] for line in told["lost"]] == ["neftune_noise_alpha"]
    batch = next(line for line in told["settings"] if line["name"] == "batch_size")
    assert batch["from"]["key"] == "per_device_train_batch_size"
    assert batch["from"]["value"] == batch["to"]["value"]
    assert yaml.safe_load(told["from"]["files"]["trl.yaml"])["lora_r"] == 4
    config = json.loads(told["to"]["files"]["config.json"])
    assert config["hyperparameters"]["lora_r"] == 4
    launched = client.post("/api/v1/experiments", json=told["launch"] | {"dry_run": True}).json()
    assert (launched["models"][0]["model"], launched["models"][0]["compute"]) == (
        "hf/acme/Small-0.5B",
        "cluster",
    )
    assert client.get(f"/api/v1/runs/{run}/convert", params={"to": "abacus"}).status_code == 422
    assert client.get(f"/experiments/convert?run={run}&to=abacus").status_code == 422
    other = client.post(
        "/api/v1/experiments", json={"dataset_id": lab, "models": [{"model": "baseline/majority"}]}
    )
    assert "Only one trainer" in client.get(f"/experiments/convert?run={other.json()['runs'][0]['id']}").text


def test_the_form_launches_every_ticked_model_with_every_ticked_trainer(client: TestClient, lab: int):
    form = {
        "dataset": lab, "split": 1, "models": ["baseline/majority"], "hugging_face": "acme/Small-0.5B",
        "trainers": ["builtin", "trl"], f"where:{MODEL}": "cluster", "launch_key": "k" * 12,
    }  # fmt: skip
    page = client.post("/experiments/plan", data=form).text
    assert 'name="where:hf/acme/Small-0.5B"' in page
    done = client.post("/experiments", data={**form, "action": "launch"})
    assert done.status_code == 200, done.text[:300]
    with session_scope(write=False) as session:
        runs = session.exec(select(Run).order_by(Run.id)).all()
    assert [run.model for run in runs] == ["baseline/majority", "hf/acme/Small-0.5B", MODEL]
    assert [bool(run.machine_id) for run in runs] == [False, False, True]
