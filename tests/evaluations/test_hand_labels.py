"""GET and POST /judgings/{id}/label: blind, per member, and what they say of the judge."""

import re

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.lab.actor import Actor
from app.lab.sign_in import make_token
from app.tables import HandLabel, TokenKind
from tests.evaluations.judged import ITEMS, other_run, start
from tests.pages import stranger
from workers.judgings import advance


def labelled_item(text: str) -> int:
    return int(re.search(r'name="number" value="(\d+)"', text)[1])  # type: ignore[index]


def test_labelling_is_blind_and_gives_kappa(
    client: TestClient, session: Session, run: int, endpoint: int
) -> None:
    number = start(client, run, endpoint)
    advance(number)
    seen = []
    for _ in range(ITEMS):
        text = client.get(f"/judgings/{number}/label").text
        for hidden in ("lab/first", "hf/", "Because", "judge-1", "MARK"):
            assert hidden not in text
        item = labelled_item(text)
        seen.append(item)
        label = "1" if item in (1, 10, 11) or item == 2 else "2"
        done = client.post(
            f"/judgings/{number}/label", data={"number": item, "label": label}, follow_redirects=False
        )
        assert done.headers["location"] == f"/judgings/{number}/label"
    assert sorted(seen) == list(range(ITEMS)) != seen
    assert "All labelled" in client.get(f"/judgings/{number}/label").text
    (line,) = client.get(f"/api/v1/judgings/{number}").json()["agreement"]
    assert (line["n"], line["unsure"], line["rate"][0], line["kappa"][0]) == (ITEMS, 0, "91.7", "0.80")
    assert "0.80" in client.get(f"/judgings/{number}").text
    # Another judging of the same answers is held against the same labels, and the last label counts.
    client.post(f"/judgings/{number}/label", data={"number": 2, "label": "0"})
    other = start(client, run, endpoint, scale="points")
    assert client.get(f"/api/v1/judgings/{other}").json()["agreement"][0]["n"] == 0
    session.expire_all()
    assert len(session.exec(select(HandLabel)).all()) == ITEMS
    assert client.get(f"/api/v1/judgings/{number}").json()["agreement"][0]["unsure"] == 1


def test_places_in_a_pair_say_nothing(
    client: TestClient, session: Session, actor: Actor, run: int, endpoint: int
) -> None:
    second = other_run(session, actor, run)
    number = start(client, run, endpoint, scale="pair", other_run_id=second)
    first_place = []
    for _ in range(ITEMS):
        item = client.get(f"/api/v1/judgings/{number}/labels/next").json()
        first_place.append("first" in item["answers"][0])
        said = {"number": item["number"], "label": "1" if first_place[-1] else "2"}
        assert client.post(f"/api/v1/judgings/{number}/labels", json=said).status_code == 204
    assert 0 < sum(first_place) < ITEMS
    session.expire_all()
    assert {label.value for label in session.exec(select(HandLabel))} == {1.0}


@pytest.mark.parametrize(
    "said", [{"number": 0, "label": "3"}, {"number": 999, "label": "1"}, {"number": "x", "label": "1"}, {}]
)
def test_labels_that_are_none_are_refused(
    client: TestClient, run: int, endpoint: int, said: dict[str, object]
) -> None:
    number = start(client, run, endpoint)
    assert client.post(f"/judgings/{number}/label", data=said).status_code == 422


def test_members_label_for_themselves(
    client: TestClient, session: Session, actor: Actor, run: int, endpoint: int
) -> None:
    number = start(client, run, endpoint)
    client.post(f"/judgings/{number}/label", data={"number": 0, "label": "1"})
    other = stranger(session)
    colleague = Actor(other.member_id, actor.project_id, other.name, other.role)
    secret = make_token(session, colleague, TokenKind.API, "colleague")
    session.commit()
    headers = {"authorization": f"Bearer {secret}"}
    client.post(f"/judgings/{number}/label", data={"number": 0, "label": "2"}, headers=headers)
    lines = client.get(f"/api/v1/judgings/{number}").json()["agreement"]
    assert {line["name"] for line in lines} == {"Lab", "Stranger"}
