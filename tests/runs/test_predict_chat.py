"""Predicting by chat against an emulated service that fails in every way: each item is answered once."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import Session, select

from app.clock import in_seconds
from app.db import session_scope
from app.lab.actor import Actor
from app.runs import reply_chat
from app.runs.service import cancel_run
from app.storage import run_folder
from app.tables import Budget, Evaluation, Prediction, ReplyState, Run, RunState
from tests.emulator._world import World
from tests.hosting import KEY, go, read
from tests.runs.predicting import Ask, answered, endpoint, finish, replies

CHAT = "openai POST /v1/chat/completions"
ITEMS = 12


def predictions(session: Session, run_id: int) -> tuple[Evaluation, list[Prediction]]:
    evaluation = session.exec(select(Evaluation).where(Evaluation.run_id == run_id)).one()
    rows = session.exec(select(Prediction).where(Prediction.evaluation_id == evaluation.id)).all()
    session.commit()
    return evaluation, list(rows)


def test_a_model_is_asked_and_scored(session: Session, ask: Ask, world: World) -> None:
    run_id = ask()
    run = finish(run_id)
    assert (run.state, run.error) == (RunState.DONE, "")
    evaluation, found = predictions(session, run_id)
    assert len(found) == ITEMS
    assert {row.answer for row in found} == {"acid", "base", "salt"}
    assert all(sum(row.probabilities or []) > 0.99 for row in found)
    assert evaluation.decoding["top_logprobs"] == 20
    assert evaluation.latency_ms
    assert evaluation.tokens
    assert world.count(CHAT) == ITEMS
    assert run.cost_microdollars == world.microdollars["openai"] > 0
    assert all(row["resolved"] is not None for row in run.ledger.values())


@pytest.mark.laptop
def test_an_endpoint_is_asked_by_the_same_steps(
    session: Session, actor: Actor, ask: Ask, world: World
) -> None:
    run = finish(ask(endpoint(session, actor, world)))
    assert (run.state, run.error) == (RunState.DONE, "")
    used = sum((row.input_tokens or 0) + (row.output_tokens or 0) for row in replies(run.id or 0))
    assert run.cost_microdollars == 10 * used > 0


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (500, {}),
        ("cut", {}),
        ("garbage", {}),
        ("drop", {}),
        ("html", {}),
        (429, {"headers": {"retry-after": "0.1"}}),
        (429, {}),
        (503, {"headers": {"retry-after-ms": "50"}}),
    ],
)
@pytest.mark.laptop
def test_passing_faults_are_asked_again(
    ask: Ask, world: World, monkeypatch: pytest.MonkeyPatch, kind: str | int, more: dict[str, object]
) -> None:
    monkeypatch.setattr("app.runs.pace.FIRST_WINDOW", 4)
    world.fail(CHAT, kind, times=3, skip=2, effect=False, **more)
    run_id = ask()
    assert finish(run_id).state == RunState.DONE
    assert len(answered(run_id)) == ITEMS
    assert world.count(CHAT, answered=True) <= ITEMS + 3
    assert world.count(CHAT) == ITEMS + 3


@pytest.mark.laptop
def test_no_call_is_made_before_the_time_that_was_told(ask: Ask, world: World) -> None:
    world.fail(CHAT, 429, skip=4, headers={"retry-after": "4"})
    run_id = ask()
    go(run_id, until=lambda run: world.count(CHAT) >= 5)
    refused = max(seen.at for seen in world.seen if seen.status == 429)
    before = world.count(CHAT)
    # Nudged all the time, as by a message that comes twice.
    end = time.monotonic() + 1
    go(run_id, until=lambda run: time.monotonic() > end)
    assert world.count(CHAT) <= before + 1
    assert finish(run_id).state == RunState.DONE
    later = [seen.at for seen in world.seen if seen.at > refused + 0.5]
    assert min(later) >= refused + 4
    assert len(answered(run_id)) == ITEMS


@pytest.mark.laptop
def test_items_that_never_work_fail_alone(session: Session, ask: Ask, world: World) -> None:
    world.fail(CHAT, 400, skip=3, times=2, message="this item is too long")
    run_id = ask()
    run = finish(run_id)
    assert run.state == RunState.DONE
    failed = replies(run_id, ReplyState.FAILED)
    assert [row.attempts for row in failed] == [1, 1]
    assert all("too long" in (row.error or "") for row in failed)
    _, found = predictions(session, run_id)
    assert sum(row.answer is None and row.error is not None for row in found) == 2
    assert run.snapshot["predicting"]["failed"] == 2


@pytest.mark.laptop
def test_a_model_that_refuses_everything_ends_the_run_after_some(ask: Ask, world: World) -> None:
    world.fail(CHAT, 400, times=-1, message="this model reads no text")
    run = finish(ask())
    assert run.state == RunState.FAILED
    assert "reads no text" in run.error
    assert world.count(CHAT) <= reply_chat.ALL_REFUSED + 2


@pytest.mark.parametrize(
    ("status", "state"), [(401, RunState.PAUSED), (402, RunState.PAUSED), (404, RunState.FAILED)]
)
@pytest.mark.laptop
def test_troubles_of_the_whole_run_stop_it_with_their_sentence(
    ask: Ask, world: World, status: int, state: RunState
) -> None:
    fault = world.fail(CHAT, status, skip=3, times=-1, message=f"no, not with {KEY}")
    run_id = ask()
    run = finish(run_id)
    assert run.state == state
    assert "no, not with" in run.error
    assert KEY not in run.error
    assert 3 <= len(answered(run_id)) < ITEMS
    fault.times = 0
    if state == RunState.PAUSED:
        before = answered(run_id)
        assert go(run_id, until=(RunState.DONE,))[0].error == ""
        assert before.items() <= answered(run_id).items()
        assert world.count(CHAT, answered=True) == ITEMS


@pytest.mark.laptop
def test_what_a_service_does_not_take_is_left_out(session: Session, ask: Ask, world: World) -> None:
    world.fail(CHAT, 400, message="'logprobs' is not supported with this model")
    run_id = ask()
    assert finish(run_id).state == RunState.DONE
    evaluation, found = predictions(session, run_id)
    assert evaluation.decoding["top_logprobs"] == 0
    assert all(row.probabilities is None for row in found)
    assert world.count(CHAT) == ITEMS + 1


def test_the_reservation_is_never_passed(session: Session, actor: Actor, ask: Ask, world: World) -> None:
    owner = {"project_id": actor.project_id, "maker_id": actor.member_id}
    budget = Budget(**owner, scope="run", cap_microdollars=60)
    session.add(budget)
    session.commit()
    run_id = ask(reserved=60)
    run = finish(run_id)
    assert run.state == RunState.PAUSED
    assert "reservation" in run.error
    assert 0 < run.cost_microdollars <= 60
    some = answered(run_id)
    assert 0 < len(some) < ITEMS
    budget.cap_microdollars = 1_000_000
    session.add(budget)
    session.commit()
    assert go(run_id, until=(RunState.DONE,))[0].state == RunState.DONE
    assert some.items() <= answered(run_id).items()
    assert world.count(CHAT) == ITEMS


@pytest.mark.laptop
def test_a_cancelled_run_keeps_its_answers_and_asks_no_more(
    session: Session, actor: Actor, ask: Ask, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reply_chat, "SLICE_SECONDS", 0.1)
    monkeypatch.setattr(reply_chat, "MOST_AT_ONCE", 2)
    world.paces["openai"].latency = 0.1
    run_id = ask()
    go(run_id, until=lambda run: len(answered(run_id)) > 1)
    cancel_run(session, actor, run_id)
    session.commit()
    assert finish(run_id).state == RunState.CANCELLED
    assert 1 < len(answered(run_id)) < ITEMS
    before = world.count(CHAT)
    go(run_id)
    assert world.count(CHAT) == before


@pytest.mark.laptop
def test_labels_by_schema_keep_their_probabilities(session: Session, ask: Ask, world: World) -> None:
    world.replies["*"] = lambda prompt: '{"answer": "acid"}'
    run_id = ask(constrain=True)
    assert finish(run_id).state == RunState.DONE
    sent = next(seen.body for seen in world.seen if seen.route == CHAT)
    enum = sent["response_format"]["json_schema"]["schema"]["properties"]["answer"]["enum"]
    assert sorted(enum) == ["acid", "base", "salt"]
    _, found = predictions(session, run_id)
    assert {row.answer for row in found} == {"acid"}
    assert all(row.probabilities and max(row.probabilities) > 0.99 for row in found)


@pytest.mark.laptop
def test_killed_worker_loses_no_item_and_asks_none_twice_that_it_has(
    ask: Ask, world: World, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.paces["openai"].latency = 0.15
    run_id = ask()
    code = (
        "import workers.runs as r; from app.runs import reply_chat as c; c.MOST_AT_ONCE = 2; "
        f"r.send = lambda *a: None; r.advance({run_id})"
    )
    for _ in range(2):
        before = len(answered(run_id))
        worker = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
        for _ in range(400):
            if len(answered(run_id)) > before:
                break
            time.sleep(0.02)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        with session_scope() as session:
            session.execute(update(Run).values(owner=None, lease_until=None))
    kept = {row.number: row.model_dump() for row in replies(run_id, ReplyState.ANSWERED)}
    assert 1 < len(kept) < ITEMS
    assert finish(run_id).state == RunState.DONE
    rows = replies(run_id)
    assert [row.state for row in rows] == [ReplyState.ANSWERED] * ITEMS
    assert {row.number: row.model_dump() for row in rows if row.number in kept} == kept
    # At most the calls that were under way when it was killed are asked twice.
    assert world.count(CHAT) <= ITEMS + 2 * 2
    used = read(run_id).cost_microdollars
    assert used <= world.microdollars["openai"]
    lines = (run_folder(run_id) / "out" / "predictions.jsonl").read_text().splitlines()
    assert len(lines) == ITEMS


@pytest.mark.laptop
def test_two_workers_never_ask_at_once(ask: Ask, world: World) -> None:
    run_id = ask()
    with session_scope() as session:
        session.execute(
            update(Run).where(Run.id == run_id).values(owner="another", lease_until=in_seconds(20))
        )
    from workers.runs import advance

    advance(run_id)
    assert world.count(CHAT) == 0
