"""Scores on items that do not stand in train, and the best score that contradictions leave."""

import io
import json
from collections import Counter

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import Session, select

from app.datasets.leaks import ceiling_of, find_ceiling, leaked_numbers
from app.tables import Dataset, Split
from tests.datasets.checked import chat, jsonl, send

TRAIN = [chat(f"q{n}", "ab"[n % 2], split="TRAIN") for n in range(8)]
# q0 and q1 stand in train; Q2 differs from q2 by case alone, which may mean another thing. x contradicts itself.
TEST = [("q0", "a"), ("q1", "b"), ("Q2", "a"), ("x", "a"), ("x", "b"), ("x", "a"), ("y", "b"), ("y", "b")]


@pytest.fixture
def made(client: TestClient) -> dict:
    """The dataset above, checked."""
    return send(client, jsonl(*TRAIN, *(chat(prompt, answer, split="TEST") for prompt, answer in TEST)))


def imported(client: TestClient, made: dict, answers: str) -> dict:
    """A run with these answers to the test items, as the API gives it."""
    launched = client.post(
        "/api/v1/experiments",
        json={
            "dataset_id": made["id"],
            "name": "e",
            "models": [{"model": "baseline/majority"}],
            "seeds": [1],
        },
    ).json()
    lines = [{"line": 9 + i, "answer": answer} for i, answer in enumerate(answers)]
    file = io.BytesIO("".join(json.dumps(line) + "\n" for line in lines).encode())
    answer = client.post(
        f"/api/v1/experiments/{launched['id']}/predictions",
        files={"file": ("p.jsonl", file)},
        data={"model": "theirs"},
    )
    assert answer.status_code == 201, answer.text
    return client.get(f"/api/v1/runs/{answer.json()['id']}").json()


def test_where_all_items_are_seen_a_comparison_says_so(client: TestClient) -> None:
    made = send(client, jsonl(*TRAIN, chat("q0", "a", split="TEST"), chat("q1", "b", split="TEST")))
    run = imported(client, made, "ab")["id"]
    answer = client.get(f"/api/v1/comparisons?runs={run}&subset=unseen")
    assert answer.status_code == 422
    assert "Every test item of these runs stands in train too" in answer.json()["detail"]


def test_items_of_train_are_found_by_their_very_prompt(made: dict, session: Session) -> None:
    split = session.exec(select(Split).where(Split.dataset_id == made["id"])).one()
    assert leaked_numbers(session, split) == {8, 9}
    assert leaked_numbers(session, split, "train", "test") == {0, 1}
    assert leaked_numbers(session, split, "validation") == frozenset()


def test_a_run_is_scored_on_all_and_on_unseen_items(client: TestClient, made: dict) -> None:
    run = imported(client, made, "abbaaabb")
    assert (run["scores"]["accuracy"]["value"], run["scores"]["accuracy"]["n"]) == (6 / 8, 8)
    unseen = run["scores_unseen"]
    assert (unseen["accuracy"]["value"], unseen["accuracy"]["n"]) == (4 / 6, 6)
    assert set(unseen) == set(run["scores"])
    page = client.get(f"/runs/{run['id']}").text
    assert "6 items not seen in train" in page
    switched = client.get(f"/experiments/{run['experiment_id']}?subset=unseen").text
    assert "6 not seen in train" in switched
    assert "66.7" in switched


def test_without_leaks_there_is_one_set_of_scores(client: TestClient) -> None:
    made = send(client, jsonl(*TRAIN, chat("new", "a", split="TEST"), chat("newer", "b", split="TEST")))
    run = imported(client, made, "ab")
    assert run["scores_unseen"] is None
    assert "not seen in train" not in client.get(f"/experiments/{run['experiment_id']}?subset=unseen").text


def test_contradictions_give_a_ceiling(client: TestClient, made: dict, session: Session) -> None:
    split = session.exec(select(Split).where(Split.dataset_id == made["id"])).one()
    found = ceiling_of(session.get_one(Dataset, made["id"]), split)
    assert found is not None
    assert (found.right, found.items, found.contradictory) == (7, 8, 3)
    for address in (f"/datasets/{made['id']}", f"/experiments/new?dataset={made['id']}"):
        assert "No model can exceed 87.5 % accuracy here" in client.get(address).text


rows = st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 2), st.integers(0, 2)), min_size=1, max_size=40)


@given(rows)
@settings(max_examples=80, deadline=None)
def test_the_ceiling_is_what_the_best_lookup_table_reaches(rows) -> None:
    prompts, codes, parts = (np.array(column) for column in zip(*rows, strict=True))
    found = find_ceiling(codes, np.arange(len(rows)), prompts, parts)
    test = [(prompt, code) for prompt, code, part in rows if part == 2]
    if not test:
        assert found is None
        return
    answers = {prompt: Counter(code for other, code in test if other == prompt) for prompt, _ in test}
    assert found.items == len(test)
    assert found.right == sum(max(counts.values()) for counts in answers.values())
    assert found.contradictory == sum(counts.total() for counts in answers.values() if len(counts) > 1)
