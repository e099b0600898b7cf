"""Asking again for items without an answer, and changing the way: from the page and from the API."""

import pytest
from fastapi.testclient import TestClient
from sqlmodel import col, select

from app.db import session_scope
from app.tables import Evaluation, Prediction, RemoteBatchRow, ReplyState, RunState, Score, Scoring
from tests.emulator._world import World
from tests.hosting import go, read
from tests.runs.predicting import Ask, answered, finish, replies

CHAT = "openai POST /v1/chat/completions"
CREATE = "openai POST /v1/batches"
ITEMS = 12


def accuracies(run_id: int) -> list[float | None]:
    """Of all scorings of the run, oldest first."""
    with session_scope(write=False) as session:
        found = select(Score.value).join(Scoring, col(Scoring.id) == Score.scoring_id)
        found = found.join(Evaluation, col(Evaluation.id) == Scoring.evaluation_id)
        rows = found.where(Evaluation.run_id == run_id, Score.name == "accuracy").order_by(col(Scoring.id))
        return list(session.exec(rows))


def test_items_without_an_answer_are_asked_again(client: TestClient, ask: Ask, world: World) -> None:
    world.fail(CHAT, 400, skip=3, times=2, message="this item is too long")
    run_id = ask()
    finish(run_id)
    before = answered(run_id)
    page = client.get(f"/runs/{run_id}").text
    assert "Ask again for 2 items without an answer" in page
    assert "this item is too long" in page
    told = client.get(f"/api/v1/runs/{run_id}/replies").json()
    assert (told["answered"], told["failed"], told["can_ask_again"]) == (10, 2, True)
    answer = client.post(f"/api/v1/runs/{run_id}/ask-again")
    assert answer.json() == {"id": run_id, "asked": 2}
    assert client.post(f"/api/v1/runs/{run_id}/ask-again").status_code == 409
    assert go(run_id, until=(RunState.DONE,))[0].state == RunState.DONE
    assert before.items() <= answered(run_id).items()
    assert len(answered(run_id)) == ITEMS
    assert world.count(CHAT) == ITEMS + 2
    assert accuracies(run_id) == pytest.approx([10 / 12, 1.0])
    with session_scope(write=False) as session:
        rows = session.exec(select(Prediction)).all()
    assert all(row.error is None and row.answer for row in rows)
    assert "Ask again" not in client.get(f"/runs/{run_id}").text
    assert client.post(f"/api/v1/runs/{run_id}/ask-again").status_code == 409


@pytest.mark.laptop
def test_an_unconfirmed_batch_can_be_given_up_for_chat(client: TestClient, ask: Ask, world: World) -> None:
    world.fail(CREATE, 500)
    run_id = ask(way="batch")
    assert finish(run_id).state == RunState.PAUSED
    assert "Ask the rest by chat" in client.get(f"/runs/{run_id}").text
    assert client.post(f"/api/v1/runs/{run_id}/predict-by/mail").status_code == 422
    assert client.post(f"/runs/{run_id}/predict-by/chat", follow_redirects=False).status_code == 303
    assert finish(run_id).state == RunState.DONE
    assert len(answered(run_id)) == ITEMS
    assert (world.count(CREATE), world.count(CHAT)) == (1, ITEMS)
    assert "given up by" in client.get(f"/runs/{run_id}").text
    assert client.post(f"/api/v1/runs/{run_id}/predict-by/chat").status_code == 409


@pytest.mark.laptop
def test_cancel_of_a_paused_run_stops_its_batch(client: TestClient, ask: Ask, world: World) -> None:
    world.speed = 1.0
    run_id = ask(way="batch")

    def is_sent(_run: object) -> bool:
        with session_scope(write=False) as session:
            return session.exec(select(RemoteBatchRow.sent)).first() == "yes"

    go(run_id, until=is_sent)
    world.refused_keys.add("sk-canary-1f0c77")
    finish(run_id)
    assert read(run_id).state == RunState.PAUSED
    assert client.post(f"/api/v1/runs/{run_id}/cancel").status_code == 200
    world.refused_keys.clear()
    assert go(run_id, until=(RunState.CANCELLED,))[0].state == RunState.CANCELLED
    assert world.count("openai POST /v1/batches/*/cancel", answered=True) == 1
    assert replies(run_id, ReplyState.WAITING)
