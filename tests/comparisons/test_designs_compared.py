"""Experiments of growing training sets on the compare page: sizes apart, seeds together, the curve over all runs."""

import re
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.comparisons.board import board
from app.comparisons.queries import MOST_COMPARED
from app.evaluations.leaderboard import leaderboard
from app.lab.actor import Actor
from app.tables import Run
from tests.experiments.checked import checked_dataset, finish, launch

# Four real runs each time, two with scikit-learn; what is tried here is made of their rows in Python.
pytestmark = pytest.mark.laptop
SIZES = {"kind": "sizes", "shares": [0.5, 1], "seed": 1}


@pytest.fixture
def runs(session: Session, actor: Actor) -> list[Run]:
    """The majority and nearest neighbours, each on half of train and on all of it."""
    dataset = checked_dataset(session, actor)
    _, made = launch(session, actor, dataset, "baseline/majority", "baseline/nearest", design=SIZES)
    return finish(made)


def named(runs: list[Run]) -> str:
    return ",".join(str(run.id) for run in runs)


def test_sizes_of_one_model_are_no_seeds(
    session: Session, actor: Actor, client: TestClient, runs: list[Run]
) -> None:
    page = client.get(f"/compare?runs={named(runs)}").text
    assert page.count("50 % of train") > 2
    assert "2 seeds" not in page
    rows = [
        # As if each had been trained with two seeds.
        replace(row, seed=seed, model="starter/tiny")
        for row in leaderboard(session, actor, [Run.experiment_id == runs[0].experiment_id])
        for seed in (1, 2)
        if row.model == "baseline/nearest"
    ]
    lines = board(rows, "classification", {}).lines
    assert [line.level for line in lines] == [0, 1, 1, 0, 1, 1]
    assert {line.note for line in lines if line.level == 0} == {
        "50 % of train, 2 seeds",
        "100 % of train, 2 seeds",
    }


def test_the_first_pair_is_of_two_models(client: TestClient, runs: list[Run]) -> None:
    models = {run.id: run.model for run in runs}
    halves = [run for run in runs if run.variant == "50 % of train"]
    pair = client.get(f"/api/v1/comparisons?runs={named(halves)}").json()["pair"]
    assert models[pair["a"]] != models[pair["b"]]


def test_the_experiments_page_draws_its_curve_and_ticks_what_a_comparison_takes(
    client: TestClient, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = client.get(f"/experiments/{runs[0].experiment_id}").text
    address = re.search(r'hx-get="(/compare/plots/learning_curve[^"]+)"', page)
    assert address is not None
    assert "Learning curve" in client.get(address[1], headers={"hx-request": "true"}).text
    assert client.get(address[1].replace("learning_curve", "by_group")).status_code == 404
    assert client.get(address[1].replace("learning_curve", "nothing")).status_code == 404
    assert page.count("checked") == len(runs)
    monkeypatch.setattr("app.experiments.queries.MOST_COMPARED", 3)
    page = client.get(f"/experiments/{runs[0].experiment_id}").text
    assert page.count("checked") == 3
    assert "The best 3 runs are ticked" in page
    assert MOST_COMPARED == 20
