"""Cross-validation and groups left out, with real baselines: every item is tested once and scored in one pool."""

import csv
import io
import json
import zipfile
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, col, select

from app.db import session_scope
from app.errors import Invalid
from app.evaluations.pool import pool_folds
from app.experiments.clone import form_of_run
from app.experiments.designs import read_design
from app.experiments.queries import experiment_view
from app.lab.actor import Actor
from app.tables import Dataset, Experiment, Run, RunState, Split
from tests.experiments.checked import checked_dataset, finish, launch


@pytest.fixture
def dataset(session: Session, actor: Actor) -> Dataset:
    """60 items."""
    return checked_dataset(session, actor)


@pytest.mark.laptop
def test_every_item_is_tested_once_and_pooled(
    session: Session, actor: Actor, dataset: Dataset, client: TestClient
) -> None:
    experiment, runs = launch(
        session, actor, dataset, "baseline/majority", "baseline/nearest", design={"kind": "folds", "folds": 3}
    )
    assert [(run.model, run.fold) for run in runs] == [
        (model, fold) for model in ("baseline/majority", "baseline/nearest") for fold in (1, 2, 3)
    ]
    splits = [session.get_one(Split, run.split_id) for run in runs[:3]]
    tested = [{number for number, part in enumerate(split.parts) if part == 2} for split in splits]
    assert sorted(number for fold in tested for number in fold) == list(range(60))
    for split in splits:
        assert split.counts == {"train": 40, "validation": 0, "test": 20, "unused": 0}
        labels = split.facts["labels"]["test"].values()
        assert max(labels) - min(labels) <= 1
    session.commit()
    assert {run.state for run in finish(runs)} == {RunState.DONE}

    found = client.get(f"/api/v1/experiments/{experiment.id}").json()
    pooled = {run["model"]: run for run in found["runs"] if run["pooled"]}
    assert set(pooled) == {"baseline/majority", "baseline/nearest"}
    assert pooled["baseline/nearest"]["scores"]["accuracy"]["n"] == 60
    lines = {line["pooled_run"]: line for line in found["folds"]}
    line = lines[pooled["baseline/nearest"]["id"]]
    values = [fold["value"] for fold in line["folds"]]
    # Folds of one size: the pooled accuracy is their mean.
    assert sum(values) / 3 == pytest.approx(line["mean"])
    assert line["mean"] == pytest.approx(pooled["baseline/nearest"]["scores"]["accuracy"]["value"])

    text = client.get(f"/runs/{pooled['baseline/nearest']['id']}/predictions.csv").text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 60
    for row in rows:
        assert int(row["line"]) - 1 in tested[int(row["fold"]) - 1]
    answers = {}
    for run in runs[3:]:
        one = client.get(f"/runs/{run.id}/predictions.csv").text
        answers |= {row["item"]: row["answer"] for row in csv.DictReader(io.StringIO(one))}
    assert {row["item"]: row["answer"] for row in rows} == answers

    form = form_of_run(session, actor, pooled["baseline/nearest"]["id"])
    session.commit()
    assert form.read_design == read_design({"kind": "folds", "folds": 3})
    assert form.asked == {"baseline/nearest": {}}
    assert client.get(f"/experiments/new?clone={pooled['baseline/nearest']['id']}").status_code == 200

    page = client.get(f"/experiments/{experiment.id}").text
    assert "By fold" in page
    assert "3-fold cross-validation" in page
    ids = ",".join(str(run["id"]) for run in pooled.values())
    assert client.get(f"/api/v1/comparisons?runs={ids}").json()["shared_items"] == 60
    said = client.get(f"/api/v1/comparisons/paper?runs={ids}").json()["methods.txt"]
    assert "It was dealt into 3 folds with 40 train and 20 test items (fold 1 of 3: SHA-256 " in said
    assert all(split.sha256 in said for split in splits)
    assert " 0 train" not in said
    exported = client.get(f"/api/v1/comparisons/export?runs={ids}&what=predictions&format=jsonl").text
    first = [json.loads(line) for line in exported.splitlines()[:60]]
    assert {row["item"]: row["fold"] for row in first} == {row["item"]: int(row["fold"]) for row in rows}
    assert not {"pooled_from", "fold"} & set(facts_in_bundle(client, ids))


def facts_in_bundle(client: TestClient, runs: str) -> dict[str, Any]:
    """The snapshot of the first run in the paper bundle."""
    data = client.get(f"/api/v1/comparisons/bundle.zip?runs={runs}").content
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/snapshot.json"))
        found: dict[str, Any] = json.loads(archive.read(name))
    return {**found, **found["design"]}


def test_the_pool_is_made_once(session: Session, actor: Actor, dataset: Dataset) -> None:
    experiment, runs = launch(
        session, actor, dataset, "baseline/majority", design={"kind": "folds", "folds": 2}
    )
    finish(runs[:1])
    shown = experiment_view(session, actor, experiment.id or 0)
    assert [row.fold for row in shown.rows] == [1, 2]
    session.commit()
    finish(runs)
    with session_scope(write=False) as reading:
        rows = reading.exec(select(Run).where(col(Run.pooled))).all()
        assert len(rows) == 1
        assert rows[0].snapshot["pooled_from"] == [run.id for run in runs]
        again = experiment_view(reading, actor, experiment.id or 0)
        assert [row.pooled for row in again.rows] == [True]
        assert again.state == "done"


def test_a_failed_fold_makes_no_pool(session: Session, actor: Actor, dataset: Dataset) -> None:
    _, runs = launch(session, actor, dataset, "baseline/majority", design={"kind": "folds", "folds": 2})
    finish(runs[:1])
    with session_scope() as writing:
        run = writing.get_one(Run, runs[1].id)
        run.state = RunState.FAILED
        writing.add(run)
        writing.flush()
        assert pool_folds(writing, writing.get_one(Run, runs[0].id)) is None


def test_one_group_is_left_out_at_a_time(
    session: Session, actor: Actor, dataset: Dataset, client: TestClient
) -> None:
    design = {"kind": "groups", "key": "family"}
    experiment, runs = launch(session, actor, dataset, "baseline/majority", design=design)
    assert len(runs) == 4
    finish(runs)
    found = client.get(f"/api/v1/experiments/{experiment.id}").json()
    assert [fold["name"] for fold in found["folds"][0]["folds"]] == ["red", "green", "blue", "grey"]
    pooled = next(run for run in found["runs"] if run["pooled"])
    rows = list(csv.DictReader(io.StringIO(client.get(f"/runs/{pooled['id']}/predictions.csv").text)))
    names = ["red", "green", "blue", "grey"]
    assert all(names[int(row["fold"]) - 1] == row["group"] for row in rows)


def test_groups_dealt_into_folds_stay_together(session: Session, actor: Actor, dataset: Dataset) -> None:
    design = {"kind": "folds", "folds": 2, "key": "family"}
    _, runs = launch(session, actor, dataset, "baseline/majority", design=design)
    for run in runs:
        parts = session.get_one(Split, run.split_id).parts
        assert len({parts[number] for number in range(0, 60, 4)}) == 1


def test_the_same_design_is_the_same_splits(session: Session, actor: Actor, dataset: Dataset) -> None:
    design = {"kind": "folds", "folds": 3}
    first, one = launch(session, actor, dataset, "baseline/majority", design=design)
    second, two = launch(session, actor, dataset, "baseline/majority", design=design)
    assert [run.split_id for run in one] == [run.split_id for run in two]
    assert first.split_id == second.split_id
    third, _ = launch(session, actor, dataset, "baseline/majority", design={**design, "seed": 2})
    assert third.split_id != first.split_id


@pytest.mark.parametrize(
    ("design", "said"),
    [
        ({"kind": "folds", "folds": 1}, "1 folds cannot be made of 60 items"),
        ({"kind": "folds", "folds": 61}, "61 folds cannot be made"),
        ({"kind": "groups"}, "needs a metadata key or a pattern"),
        ({"kind": "groups", "pattern": r"sample \d+"}, "There are 60 groups"),
        ({"kind": "groups", "key": "nothing"}, "no group at all"),
        ({"kind": "leave"}, "There is no design 'leave'"),
        ({"kind": "sizes", "shares": [0.5, 2]}, "sizes are not shares"),
        ({"kind": "plain", "folds": 3}, "has no 'folds'"),
        ({"kind": "folds", "folds": "many"}, "folds is 'many'"),
    ],
)
def test_designs_that_cannot_be_made_are_explained(
    session: Session, actor: Actor, dataset: Dataset, client: TestClient, design: dict, said: str
) -> None:
    body = {"dataset_id": dataset.id, "models": [{"model": "baseline/majority"}], "design": design}
    answer = client.post("/api/v1/experiments", json={**body, "dry_run": True})
    assert answer.status_code == 422
    assert said in answer.text.replace("\\u2019", "’")
    with pytest.raises(Invalid):
        launch(session, actor, dataset, "baseline/majority", design=design)
    session.rollback()
    assert session.exec(select(Experiment)).all() == []


def test_an_experiment_of_folds_is_launched_again_from_its_file(
    session: Session, actor: Actor, dataset: Dataset, client: TestClient
) -> None:
    design = {"kind": "folds", "folds": 3, "seed": 4}
    first, _ = launch(session, actor, dataset, "baseline/majority", design=design)
    text = client.get(f"/api/v1/experiments/{first.id}/experiment.yaml").text
    answer = client.post("/api/v1/experiments", content=text, headers={"content-type": "application/yaml"})
    assert answer.status_code == 201, answer.text
    again = answer.json()
    assert again["design"] == design
    assert again["split"]["id"] == first.split_id
    assert [run["fold"] for run in again["runs"]] == [1, 2, 3]
