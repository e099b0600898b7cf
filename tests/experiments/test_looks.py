"""How often a test set was looked at while choosing: looks that were followed by a launch on the same split."""

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.evaluations.looks import Looks
from app.lab.actor import Actor
from app.tables import Dataset, Look
from tests.experiments.checked import checked_dataset, finish, launch


@pytest.fixture
def dataset(session: Session, actor: Actor) -> Dataset:
    """60 items."""
    return checked_dataset(session, actor)


def looks(client: TestClient, experiment_id: int | None) -> tuple[int, int]:
    """(before this launch, before the last one), as the API says."""
    found = client.get(f"/api/v1/experiments/{experiment_id}").json()
    return found["looks_before_this_launch"], found["looks_before_the_last_launch"]


def test_a_look_counts_when_something_was_launched_after_it(
    session: Session, actor: Actor, dataset: Dataset, client: TestClient
) -> None:
    first, runs = launch(session, actor, dataset, "baseline/majority")
    client.get(f"/experiments/{first.id}")
    # Nothing was scored yet, so nothing was seen.
    assert session.exec(select(Look)).all() == []
    session.commit()
    finish(runs)
    for _ in range(3):
        assert client.get(f"/experiments/{first.id}").status_code == 200
    client.get(f"/runs/{runs[0].id}/predictions.csv")
    assert looks(client, first.id) == (0, 0)
    second, more = launch(session, actor, dataset, "baseline/majority")
    assert looks(client, first.id) == (0, 1)
    finish(more)
    client.get(f"/api/v1/comparisons?runs={runs[0].id},{more[0].id}")
    third, _ = launch(session, actor, dataset, "baseline/majority")
    assert looks(client, first.id) == (0, 2)
    assert looks(client, second.id) == (1, 2)
    assert looks(client, third.id) == (2, 2)
    assert (
        "The test set was looked at 2 times before the last launch"
        in client.get(f"/experiments/{third.id}").text
    )


@pytest.mark.laptop
@pytest.mark.parametrize(
    "address",
    ["/experiments/{experiment}", "/runs/{run}/predictions.csv", "/api/v1/comparisons?runs={run}", "/"],
)
def test_each_address_alone_is_a_look(
    session: Session, actor: Actor, dataset: Dataset, client: TestClient, address: str
) -> None:
    first, runs = launch(session, actor, dataset, "baseline/majority")
    finish(runs)
    assert client.get(address.format(experiment=first.id, run=runs[0].id)).status_code == 200
    second, _ = launch(session, actor, dataset, "baseline/majority")
    assert looks(client, second.id) == (1, 1)


def test_a_locked_experiment_is_not_looked_at(
    session: Session, actor: Actor, dataset: Dataset, client: TestClient
) -> None:
    first, runs = launch(session, actor, dataset, "baseline/majority", choose_on="validation")
    finish(runs)
    client.get(f"/experiments/{first.id}")
    client.get(f"/runs/{runs[0].id}")
    client.get("/")
    launch(session, actor, dataset, "baseline/majority", choose_on="validation")
    assert looks(client, first.id) == (0, 0)
    session.commit()


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Looks(0, 0), "The test set was looked at never before the last launch on this split."),
        (Looks(1, 1), "The test set was looked at once before the last launch on this split."),
        (
            Looks(1, 3),
            "The test set was looked at 3 times before the last launch on this split, once before this one.",
        ),
    ],
)
def test_the_sentence(found: Looks, said: str) -> None:
    assert found.sentence == said.replace("looked at never", "never looked at")
