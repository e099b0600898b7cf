"""A validation part drawn from train at the launch of a file that names none: kept, found again, chosen on, refused."""

import json
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import Session, select

from app.datasets.items import TEST, TRAIN, VALIDATION
from app.datasets.split import from_file
from app.errors import Invalid
from app.lab.actor import Actor
from app.runs.lock import locked
from app.tables import Experiment, Run, Split
from tests.pages import upload

API = "/api/v1"
LABELS = "abc"


@given(st.lists(st.integers(0, 30), min_size=20, max_size=80), st.integers(0, 3), st.sampled_from([0.1, 0.3]))
@settings(max_examples=60, deadline=None)
def test_the_draw_moves_train_alone_and_keeps_prompts_together(
    prompts: list[int], seed: int, share: float
) -> None:
    keys = np.array(prompts)
    file_parts = np.where(np.arange(len(keys)) % 4 == 0, TEST, TRAIN).astype(np.uint8)
    firsts = np.array([prompts.index(key) for key in prompts])
    shared = np.flatnonzero(np.bincount(keys, minlength=31)[keys] > 1)
    try:
        drawn = from_file(file_parts, share, seed, None, (shared, firsts[shared]))
    except Invalid:
        assert len({*keys[file_parts == TRAIN].tolist()}) < 4
        return
    parts = np.frombuffer(drawn.parts, np.uint8)
    assert ((parts == TEST) == (file_parts == TEST)).all()
    assert not {*keys[parts == VALIDATION].tolist()} & {*keys[parts == TRAIN].tolist()}
    pool = len({*keys[file_parts == TRAIN].tolist()})
    assert len({*keys[parts == VALIDATION].tolist()}) == max(1, round(pool * share))
    assert drawn.parts == from_file(file_parts, share, seed, None, (shared, firsts[shared])).parts


def test_the_draw_is_alike_by_label() -> None:
    codes = np.array([0] * 50 + [1] * 30 + [2] * 20)
    parts = np.frombuffer(from_file(np.zeros(100, np.uint8), 0.2, 1, codes).parts, np.uint8)
    assert np.bincount(codes[parts == VALIDATION]).tolist() == [10, 6, 4]


ROWS = "\n".join(
    json.dumps(
        {
            "messages": [
                {"role": "user", "content": f"q {i}"},
                {"role": "assistant", "content": LABELS[i % 3]},
            ],
            "split": "TEST" if i % 4 == 0 else "TRAIN",
        }
    )
    for i in range(80)
).encode()


@pytest.fixture
def dataset(session: Session, actor: Actor, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> int:
    """60 train and 20 test rows, no validation row."""
    monkeypatch.setattr("app.queue.send", lambda *_: None)
    return upload(session, actor, "rule.jsonl", ROWS)


def ask(client: TestClient, dataset: int, status: int = 201, **more: Any) -> dict[str, Any]:
    asked = {
        "dataset_id": dataset,
        "name": "e",
        "models": [{"model": "baseline/majority"}],
        "seeds": [1],
        **more,
    }
    answer = client.post(f"{API}/experiments", json=asked)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_it_is_a_split_of_its_own_found_again_and_chosen_on(
    client: TestClient, session: Session, dataset: int
) -> None:
    more = {"validation_from_train": 0.1, "validation_seed": 3, "choose_on": "validation"}
    ids = [ask(client, dataset, **more)["id"] for _ in range(2)]
    experiments = [session.get_one(Experiment, one) for one in ids]
    assert experiments[0].split_id == experiments[1].split_id
    assert locked(experiments[0])
    split = session.get_one(Split, experiments[0].split_id)
    assert split.counts == {"train": 54, "validation": 6, "test": 20, "unused": 0}
    assert split.parameters == {"of_train": 0.1, "seed": 3}
    assert split.name == "file, 10 % of train to validation, seed 3"
    assert "10 % of its train part, drawn by seed 3, stratified by label" in split.remarks[-1]
    run = session.exec(select(Run).where(Run.experiment_id == ids[0])).one()
    assert run.split_id == split.id
    # It is one of the dataset's splits from now on.
    splits = client.get(f"{API}/datasets/{dataset}").json()["all_splits"]
    assert [one["name"] for one in splits] == ["file", split.name]
    assert split.name in client.get(f"/experiments/new?dataset={dataset}").text


def test_sizes_are_drawn_of_what_is_left(client: TestClient, session: Session, dataset: int) -> None:
    made = ask(client, dataset, validation_from_train=0.2, design={"kind": "sizes", "shares": [0.5, 1]})
    found = session.exec(
        select(Split.counts).join(Run, Run.split_id == Split.id).where(Run.experiment_id == made["id"])  # type: ignore[arg-type]
    ).all()
    assert [(counts["train"], counts["validation"], counts["test"]) for counts in found] == [
        (24, 12, 20),
        (48, 12, 20),
    ]


def test_the_experiments_file_draws_it_elsewhere(
    client: TestClient, session: Session, actor: Actor, dataset: int
) -> None:
    made = ask(client, dataset, validation_from_train=0.1)
    text = client.get(f"{API}/experiments/{made['id']}/experiment.yaml").text
    # The same data again, as another Tunebook has it: without the split.
    upload(session, actor, "rule.jsonl", ROWS)
    answer = client.post(f"{API}/experiments", content=text, headers={"content-type": "application/yaml"})
    assert answer.status_code == 201, answer.text
    there = answer.json()
    assert there["dataset_id"] != dataset
    assert there["split"]["sha256"] == made["split"]["sha256"]


def test_what_cannot_be_is_refused_with_a_sentence(client: TestClient, dataset: int) -> None:
    folds = ask(client, dataset, 422, validation_from_train=0.1, design={"kind": "folds", "folds": 3})
    assert "Folds have no validation part" in folds["detail"]
    both = ask(client, dataset, 422, choose_on="validation", design={"kind": "folds", "folds": 3})
    assert "Choosing on validation needs one split" in both["detail"]
    none = ask(client, dataset, 422, choose_on="validation")
    assert "draw one from train" in none["detail"]
    ask(client, dataset, validation_from_train=0.1)
    made = "file, 10 % of train to validation, seed 1"
    twice = ask(client, dataset, 422, validation_from_train=0.1, split=made)
    assert "has a validation part already" in twice["detail"]
    seeded = client.post(f"{API}/datasets/{dataset}/splits", json={"validation": 0}).json()
    other = ask(client, dataset, 422, validation_from_train=0.1, split=seeded["name"])
    assert "not the file's own" in other["detail"]


def test_the_form_plans_and_launches_it(client: TestClient, session: Session, dataset: int) -> None:
    assert "Validation from train" in client.get(f"/experiments/new?dataset={dataset}").text
    split = client.get(f"{API}/datasets/{dataset}").json()["all_splits"][0]["id"]
    form = {
        "dataset": dataset,
        "split": split,
        "models": "baseline/majority",
        "seeds": "1",
        "design": "plain",
    }
    form |= {"choose_on": "yes", "validation": "25 %", "validation_seed": "2"}
    plan = client.post("/experiments/plan", data=form).text
    assert "no validation part" not in plan
    for wrong, said in (("100", "cannot be"), ("x", "cannot be")):
        assert said in client.post("/experiments/plan", data={**form, "validation": wrong}).text
    answer = client.post("/experiments", data=form, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    experiment = session.exec(select(Experiment)).one()
    assert session.get_one(Split, experiment.split_id).counts["validation"] == 15


def test_a_test_part_is_drawn_from_train_before_the_validation_part():
    parts = np.array([TRAIN] * 90 + [VALIDATION] * 10, np.uint8)
    drawn = from_file(parts, 0.0, 1, test_of_train=0.1)
    assert drawn.counts == {"train": 81, "validation": 10, "test": 9, "unused": 0}
    assert "drawn by seed 1, without regard to the answers, are the test part." in drawn.remarks[-1]
    assert from_file(parts, 0.0, 1, test_of_train=0.1).parts == drawn.parts
    with pytest.raises(Invalid, match="names a test part already"):
        from_file(np.array([TRAIN, TEST, TRAIN], np.uint8), test_of_train=0.5)
