"""An experiment as one YAML file: it launches the same again."""

from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.lab.actor import Actor
from app.tables import Experiment, Run
from tests.pages import upload
from tests.stack import rule_rows

YAML = {"content-type": "application/yaml"}
MODELS = [
    {"model": "baseline/majority"},
    {"model": "baseline/tfidf-linear"},
    {"model": "starter/tiny", "hyperparameters": {"epochs": 7, "learning_rate": 0.001}},
]


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.queue.send", lambda task, row_id: None)


@pytest.fixture
def dataset_id(session: Session, actor: Actor) -> int:
    return upload(session, actor, "rule.jsonl", rule_rows(60).encode())


@pytest.fixture
def launched(client: TestClient, dataset_id: int) -> int:
    """An experiment on a split of its own, with settings of a person's."""
    made = client.post(
        f"/api/v1/datasets/{dataset_id}/splits", json={"kind": "seeded", "seed": 7, "test": 0.2}
    )
    body = {
        "dataset_id": dataset_id,
        "split": made.json()["id"],
        "models": MODELS,
        "seeds": [3, 5],
        "name": "First",
    }
    answer = client.post("/api/v1/experiments", json=body)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def text_of(client: TestClient, experiment_id: int) -> str:
    answer = client.get(f"/experiments/{experiment_id}/experiment.yaml")
    assert answer.status_code == 200
    assert answer.text == client.get(f"/api/v1/experiments/{experiment_id}/experiment.yaml").text
    return answer.text


def ledgers(session: Session, experiment_id: int) -> list[Any]:
    runs = session.exec(select(Run).where(Run.experiment_id == experiment_id).order_by(Run.id)).all()  # type: ignore[arg-type]
    return [(run.model, run.seed, run.ledger, run.estimate) for run in runs]


def test_the_file_names_everything(client: TestClient, launched: int) -> None:
    said = yaml.safe_load(text_of(client, launched))
    assert said["seeds"] == [3, 5]
    assert said["split"]["parameters"]["seed"] == 7
    starter = said["models"][2]
    assert starter["asked"] == ["epochs", "learning_rate"]
    assert starter["hyperparameters"]["epochs"] == 7
    assert {"batch_size", "weight_decay", "max_seq_len"} <= set(starter["hyperparameters"])
    assert [len(said[key]["sha256"]) for key in ("dataset", "split")] == [64, 64]


def test_it_launches_the_same_again(client: TestClient, session: Session, launched: int) -> None:
    answer = client.post("/api/v1/experiments", content=text_of(client, launched), headers=YAML)
    assert answer.status_code == 201, answer.text
    again = answer.json()["id"]
    assert again != launched
    assert ledgers(session, again) == ledgers(session, launched)
    first, second = (session.get_one(Experiment, number) for number in (launched, again))
    assert (second.grid, second.seeds, second.split_id) == (first.grid, first.seeds, first.split_id)
    session.commit()
    assert text_of(client, again) == text_of(client, launched)


def test_json_does_as_well(client: TestClient, session: Session, launched: int) -> None:
    answer = client.post("/api/v1/experiments", json=yaml.safe_load(text_of(client, launched)))
    assert ledgers(session, answer.json()["id"]) == ledgers(session, launched)


def test_the_split_is_drawn_anew_elsewhere(
    client: TestClient, session: Session, actor: Actor, launched: int
) -> None:
    text = text_of(client, launched)
    upload(session, actor, "renamed.jsonl", rule_rows(60).encode())
    answer = client.post("/api/v1/experiments", content=text, headers=YAML)
    assert answer.status_code == 201, answer.text
    there = answer.json()
    assert there["dataset_id"] != session.get_one(Experiment, launched).dataset_id
    assert there["split"]["sha256"] == yaml.safe_load(text)["split"]["sha256"]


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"dataset": {"sha256": "0" * 64, "name": "x"}}, 404, "No dataset here has the SHA-256"),
        ({"split": {"sha256": "0" * 64, "kind": "seeded", "parameters": {"seed": 9}}}, 422, "another hash"),
        (
            {"split": {"sha256": "0" * 64, "kind": "seeded", "parameters": {"sead": 9}}},
            422,
            "'sead' is no parameter",
        ),
        (
            {"split": {"sha256": "0" * 64, "kind": "seeded", "parameters": {"seed": "x"}}},
            422,
            "'seed' cannot be 'x'",
        ),
        ({"models": [{"model": "baseline/none"}]}, 422, "There is no model"),
        ({"dataset": None}, 422, "No dataset is named"),
    ],
)
def test_what_does_not_fit_is_told(
    client: TestClient, launched: int, change: dict[str, Any], status: int, said: str
) -> None:
    document = yaml.safe_load(text_of(client, launched)) | change
    answer = client.post("/api/v1/experiments", content=yaml.safe_dump(document), headers=YAML)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "The YAML cannot be read"),
        ("a: &x [1]\nb: *x\n", "aliases"),
        ("!!python/object:os.system {}", "YAML"),
        ("- 1", "cannot be read"),
    ],
)
def test_bad_yaml_is_told(client: TestClient, text: str, said: str) -> None:
    answer = client.post("/api/v1/experiments", content=text, headers=YAML)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


def test_too_much_yaml_is_refused(client: TestClient) -> None:
    answer = client.post("/api/v1/experiments", content="a: " + "b" * 300_000, headers=YAML)
    assert answer.status_code == 413
