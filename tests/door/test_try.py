"""The Try page: a question is kept, each model is asked once, answers come as they are written and stay at their address."""

import json

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, col, select

from app.door.try_answer import claim
from app.errors import Conflict, NotFound
from app.lab.actor import Actor
from app.tables import AskedQuestion, Dataset, DoorCall
from tests.door.conftest import add_run, calls
from tests.door.inference import Inference
from tests.experiments.checked import checked_dataset
from tests.pages import stranger

LINES = {"accept": "application/x-ndjson"}


@pytest.fixture
def asked(client: TestClient, session: Session, actor: Actor, inference: Inference) -> str:
    """The address of a question that two runs are to answer."""
    names = [f"run-{add_run(session, actor).id}" for _ in range(2)]
    inference.p = {"a": 0.75, "b": 0.25}
    answer = client.post(
        "/door/try",
        data={"models": names, "text": "Is it an acid?", "temperature": "0"},
        follow_redirects=False,
    )
    assert answer.status_code == 303
    return answer.headers["location"]


def stored(session: Session) -> AskedQuestion:
    session.rollback()
    found = session.exec(select(AskedQuestion).order_by(col(AskedQuestion.id))).all()[0]
    session.expunge(found)
    # A transaction that stays open would keep the others out.
    session.rollback()
    return found


def test_each_model_is_asked_once_and_its_answer_stays(
    client: TestClient, session: Session, inference: Inference, asked: str
) -> None:
    assert client.get(asked).text.count("data-ask=") == 2
    answer = client.post(f"{asked}/answers/0", headers=LINES)
    pieces = [json.loads(line)["text"] for line in answer.text.splitlines()]
    assert "".join(pieces) == "Is it an acid?"
    assert len(pieces) > 1
    assert client.post(f"{asked}/answers/0", headers=LINES).status_code == 409
    assert len(inference.asked) == 1
    card = client.get(f"{asked}/answers/0").text
    assert "Is it an acid?" in card
    assert "75.0" in card
    # Without JavaScript the second card is a form.
    assert client.post(f"{asked}/answers/1", follow_redirects=False).status_code == 303
    kept = stored(session)
    assert [answer["text"] for answer in kept.answers] == ["Is it an acid?"] * 2
    assert kept.answers[0]["p"] == [["a", 0.75], ["b", 0.25]]
    assert "data-ask=" not in client.get(asked).text
    assert [call.model for call in calls(session)] == [answer["model"] for answer in kept.answers]


@pytest.mark.laptop
def test_what_goes_wrong_stands_on_its_card(client: TestClient, inference: Inference, asked: str) -> None:
    inference.error = (
        500,
        {"kind": "broken", "message": "The weights are damaged.", "hint": "", "retryable": False},
    )
    assert client.post(f"{asked}/answers/0", headers=LINES).status_code == 200
    assert "The weights are damaged." in client.get(asked).text


def test_another_project_sees_no_question(session: Session, actor: Actor, asked: str) -> None:
    public_id = asked.rpartition("/")[2]
    session.rollback()
    other = stranger(session)
    session.commit()
    with pytest.raises(NotFound):
        claim(other, public_id, 0)
    assert claim(actor, public_id, 0).labels == []
    with pytest.raises(Conflict):
        claim(actor, public_id, 0)


@pytest.mark.laptop
def test_a_form_that_lacks_something_says_what(client: TestClient, session: Session) -> None:
    answer = client.post("/door/try", data={"text": " ", "temperature": "warm"})
    assert answer.status_code == 422
    for words in ("Tick at least one model.", "Write a question", "Give a number from 0 to 2."):
        assert words in answer.text
    assert session.exec(select(DoorCall)).first() is None


@pytest.mark.laptop
def test_a_test_item_is_picked_and_known_as_long_as_it_is_unchanged(
    client: TestClient, session: Session, actor: Actor, inference: Inference
) -> None:
    dataset: Dataset = checked_dataset(session, actor, 20)
    number, name = dataset.id, f"run-{add_run(session, actor).id}"
    picked = client.get(f"/door/try/random?dataset={number}&models={name}")
    assert "wanted answer" in picked.text
    item = int(str(picked.url.params["item"]))
    text = picked.text.partition('name="text"')[2].partition(">")[2].partition("</textarea>")[0]
    data = {"models": name, "dataset": str(number), "item": str(item), "text": text}
    client.post("/door/try", data=data)
    assert stored(session).item_number == item
    page = client.post("/door/try", data={**data, "text": f"{text} really?"}).text
    assert "wanted" not in page
    assert client.get("/door/try/random?dataset=99").status_code == 404


@pytest.mark.laptop
def test_the_pages_of_the_door_teach_and_map_old_names(
    client: TestClient, session: Session, actor: Actor, inference: Inference
) -> None:
    assert "No answer recorded yet" in client.get("/door/answers").text
    name = f"run-{add_run(session, actor).id}"
    page = client.get("/door").text
    assert name in page
    assert "No script has asked yet" in page
    wrong = client.post("/door/names", data={"name": "gpt-4o", "model": "run-99"})
    assert wrong.status_code == 422
    assert "run 99" in wrong.text or "run-99" in wrong.text
    client.post("/door/names", data={"name": "gpt-4o", "model": name, "note": "tuned anew"})
    mapped = client.get("/door/names").text
    assert "tuned anew" in mapped
    asked = client.post("/door/try", data={"models": "gpt-4o", "text": "Is it?"}, follow_redirects=False)
    address = asked.headers["location"]
    client.post(f"{address}/answers/0")
    assert f"answered by {name}" in client.get(address).text
    calls(session)
    assert client.get("/door").text.count(f'class="mono">{name}<') == 1
    client.post("/door/names/1/remove")
    assert "tuned anew" not in client.get("/door/names").text


def test_a_run_of_a_number_beyond_every_database_is_no_model(
    client: TestClient, inference: Inference
) -> None:
    """On its card, also where the database itself would refuse the number."""
    asked = client.post(
        "/door/try", data={"models": "run-99999999999", "text": "Is it?"}, follow_redirects=False
    )
    address = asked.headers["location"]
    client.post(f"{address}/answers/0")
    assert "No model answers to" in client.get(address).text
