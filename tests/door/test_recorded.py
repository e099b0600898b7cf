"""Recorded answers: filtered, corrected, marked, and made into a dataset whose rows say where they came from."""

import json
from typing import Any

import pytest
from sqlmodel import Session, select

from app.door.ids import new_id
from app.door.recorded import AnswerFilter, correct_answer, list_answers, mark_answer
from app.door.recorded_dataset import dataset_of_answers
from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.lab.actor import Actor
from app.storage import dataset_file
from app.tables import Dataset, DoorCall
from tests.pages import stranger


def record(session: Session, actor: Actor, question: str, answer: str, **more: Any) -> int:
    """One call whose words were kept."""
    row = DoorCall(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        public_id=new_id("chatcmpl-"),
        asked_model="ft:gpt-4o-mini:lab::abc",
        model="run-1",
        status=200,
        request={"messages": [{"role": "user", "content": question}]},
        response={"role": "assistant", "content": answer, "refusal": None},
        **more,
    )
    session.add(row)
    session.flush()
    return row.id or 0


def questions(session: Session, actor: Actor, **chosen: str) -> list[str]:
    return [line.question for line in list_answers(session, actor, AnswerFilter(**chosen)).lines]


def test_answers_are_found_by_mark_text_and_metadata(session: Session, actor: Actor) -> None:
    first = record(session, actor, "Is HCl an acid?", "yes", labels={"study": "one"})
    second = record(session, actor, "Löst sich 100 % NaCl?", "ja", labels={"study": "two"})
    unkept = DoorCall(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        public_id=new_id("chatcmpl-"),
        asked_model="run-1",
        model="run-1",
        status=200,
    )
    session.add(unkept)
    session.flush()
    mark_answer(session, actor, first, "good")
    correct_answer(session, actor, second, "nein")
    acid, salt = "Is HCl an acid?", "Löst sich 100 % NaCl?"
    assert questions(session, actor) == [salt, acid]
    assert questions(session, actor, show="good") == [acid]
    assert questions(session, actor, show="corrected") == [salt]
    assert questions(session, actor, show="unmarked") == []
    assert questions(session, actor, search="löst sich 100 %") == [salt]
    assert questions(session, actor, search="nein") == [salt]
    assert questions(session, actor, search="1_0") == []
    assert questions(session, actor, label="study = one") == [acid]
    assert questions(session, actor, model="run-2") == []
    assert questions(session, stranger(session)) == []
    with pytest.raises(NotFound):
        mark_answer(session, actor, unkept.id or 0, "good")
    for wrong in ({"show": "strange"}, {"label": "study"}):
        with pytest.raises(Invalid):
            AnswerFilter(**wrong)


def test_the_models_own_words_take_a_correction_back(session: Session, actor: Actor) -> None:
    number = record(session, actor, "Is HCl an acid?", "no")
    corrected = list_answers(session, actor, AnswerFilter()).lines[0]
    assert (corrected.answer, corrected.said) == ("no", "")
    correct_answer(session, actor, number, " yes\r\n")
    line = list_answers(session, actor, AnswerFilter()).lines[0]
    assert (line.answer, line.said) == ("yes", "no")
    correct_answer(session, actor, number, "no")
    assert questions(session, actor, show="corrected") == []
    with pytest.raises(Invalid):
        correct_answer(session, actor, number, "  ")
    viewer = Actor(actor.member_id, actor.project_id, "Viewer", "viewer")
    with pytest.raises(Forbidden):
        correct_answer(session, viewer, number, "yes")
    with pytest.raises(NotFound):
        correct_answer(session, stranger(session), number, "yes")


def test_an_answer_that_called_tools_is_not_corrected_as_text(session: Session, actor: Actor) -> None:
    number = record(session, actor, "What is it?", "")
    row = session.get_one(DoorCall, number)
    row.response = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "look"}}]}
    session.flush()
    with pytest.raises(Conflict):
        correct_answer(session, actor, number, "salt")


def test_a_dataset_holds_corrections_and_where_each_row_came_from(session: Session, actor: Actor) -> None:
    record(session, actor, "first?", "right")
    wrong = record(session, actor, "second?", "wrong")
    bad = record(session, actor, "third?", "bad")
    correct_answer(session, actor, wrong, "mended")
    mark_answer(session, actor, bad, "bad")
    made = dataset_of_answers(session, actor, AnswerFilter(model="run-1"), "My answers", rejected=True)
    session.commit()
    rows = [json.loads(line) for line in dataset_file(made.id or 0).read_text().splitlines()]
    assert [row["messages"][-1]["content"] for row in rows] == ["right", "mended"]
    assert rows[1]["rejected_message"] == {"role": "assistant", "content": "wrong"}
    assert "rejected_message" not in rows[0]
    kept = session.exec(select(DoorCall).order_by(DoorCall.id)).all()  # type: ignore[arg-type]
    assert [row["source"]["call"] for row in rows] == [call.public_id for call in kept[:2]]
    assert rows[1]["source"]["corrected"] is True
    assert "2 answers recorded at the door (model `run-1`)" in session.get_one(Dataset, made.id).origin
    with pytest.raises(Conflict):
        dataset_of_answers(session, actor, AnswerFilter(show="bad"), "None")
