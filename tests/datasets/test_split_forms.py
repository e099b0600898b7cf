"""POST /datasets/{id}/splits: what the form makes, and what it says beside its fields."""

import re

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.tables import Split
from tests.pages import region


def test_seeded_split_is_made(client: TestClient, session: Session, ready: int) -> None:
    form = {"kind": "seeded", "test": "20", "validation": "12,5", "seed": "7", "name": "mine"}
    answer = client.post(f"/datasets/{ready}/splits", data=form, follow_redirects=False)
    assert answer.status_code == 303
    anchor = answer.headers["location"].rpartition("#")[2]
    made = region(client.get(f"/datasets/{ready}").text, anchor)
    assert ">mine</h3>" in made
    stored = session.get_one(Split, int(anchor.removeprefix("split-")))
    assert stored.parameters == {"seed": 7, "test": 0.2, "validation": 0.125}


def test_grouped_split_holds_out_what_is_named(client: TestClient, ready: int) -> None:
    form = {
        "kind": "grouped",
        "test": "10",
        "validation": "0",
        "seed": "1",
        "key": "family",
        "test_groups": "f1\nf2\n",
    }
    answer = client.post(f"/datasets/{ready}/splits", data=form, follow_redirects=False)
    assert answer.status_code == 303
    made = region(client.get(f"/datasets/{ready}").text, answer.headers["location"].rpartition("#")[2])
    assert "f1, f2" in made
    assert "40.0 %" in made


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"test": "many"}, "test"),
        ({"test": "100"}, "test"),
        ({"validation": "-1"}, "validation"),
        ({"seed": "1.5"}, "seed"),
        ({"test": "60", "validation": "50"}, "test"),
        ({"kind": "grouped"}, "pattern"),
        ({"kind": "grouped", "pattern": "("}, "pattern"),
        ({"kind": "grouped", "key": "family", "test_groups": "nobody"}, "test_groups"),
    ],
)
def test_bad_split_is_answered_beside_the_field(
    client: TestClient, ready: int, changed: dict[str, str], field: str
) -> None:
    form = {"kind": "seeded", "test": "10", "validation": "10", "seed": "1", **changed}
    answer = client.post(f"/datasets/{ready}/splits", data=form)
    assert answer.status_code == 422
    assert '<details class="another" id="new-split" open>' in answer.text
    wrong = re.search(rf'aria-describedby="e-(seeded-|grouped-)?{field}\b', answer.text)
    assert wrong, f"nothing is said beside {field}"
    assert f'value="{form["test"]}"' in answer.text


def test_taken_name_is_a_conflict_that_says_so(client: TestClient, ready: int) -> None:
    form = {"kind": "seeded", "test": "10", "validation": "10", "seed": "1", "name": "twice"}
    client.post(f"/datasets/{ready}/splits", data=form)
    answer = client.post(f"/datasets/{ready}/splits", data=form)
    assert answer.status_code == 409
    assert "has a split named" in answer.text
