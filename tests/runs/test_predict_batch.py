"""Predicting by batch against an emulated service: paid once whatever is lost, every item answered."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import Session, select

from app.catalog import ways
from app.db import session_scope
from app.lab.actor import Actor
from app.providers._base import Batch
from app.providers.openai import PROVIDER
from app.runs.service import cancel_run
from app.storage import run_folder
from app.tables import RemoteBatchRow, ReplyState, Run, RunState, Sent
from tests.emulator._world import World
from tests.hosting import go
from tests.runs.predicting import Ask, answered, finish, replies

CREATE, LIST = "openai POST /v1/batches", "openai GET /v1/batches"
CHAT, POLL = "openai POST /v1/chat/completions", "openai GET /v1/batches/*"
ITEMS = 12


def batches(run_id: int) -> list[RemoteBatchRow]:
    with session_scope(write=False) as session:
        found = select(RemoteBatchRow).where(RemoteBatchRow.run_id == run_id)
        return list(session.exec(found.order_by(RemoteBatchRow.piece)))  # type: ignore[arg-type]


def lines(world: World, edit: Any) -> None:
    """Changes the output files of batches: edit(list of lines) -> list of lines."""
    from tests.emulator import _openai

    real = _openai.run_batch

    def run_batch(*arguments: Any) -> tuple[list[Any], list[Any]]:
        return edit(*real(*arguments))  # type: ignore[no-any-return]

    _openai.run_batch = run_batch


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lines() changes is put back."""
    from tests.emulator import _openai

    monkeypatch.setattr(_openai, "run_batch", _openai.run_batch)


def test_a_batch_answers_all_at_half_the_price(ask: Ask, world: World) -> None:
    run_id = ask(way="batch")
    run = finish(run_id)
    assert (run.state, run.error) == (RunState.DONE, "")
    assert len(answered(run_id)) == ITEMS
    assert all(sum((row.p or {}).values()) > 0.99 for row in replies(run_id))
    assert (world.count_made("openai", "batch"), world.count(CHAT)) == (1, 0)
    used = [(row.input_tokens or 0, row.output_tokens or 0) for row in replies(run_id)]
    full = sum(0.4 * given + 1.6 * made for given, made in used)
    assert run.cost_microdollars == pytest.approx(full / 2, abs=ITEMS)
    (row,) = batches(run_id)
    sent = (run_folder(run_id) / "service" / f"batch-test-{row.piece}.jsonl").read_text().splitlines()
    assert len(sent) == ITEMS
    assert run.ledger["way"]["resolved"] == "batch"


@pytest.mark.laptop
def test_the_cheaper_way_is_chosen_and_the_reason_kept(ask: Ask, world: World) -> None:
    run = finish(ask(way=""))
    assert run.snapshot["predicting"]["way"] == "batch"
    assert "50 % cheaper" in run.snapshot["predicting"]["reason"]
    assert world.count_made("openai", "batch") == 1


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("drop", {"effect": True}),
        (500, {"effect": True}),
        ("cut", {}),
        ("garbage", {}),
        ("hang", {"effect": True}),
    ],
)
@pytest.mark.laptop
def test_a_lost_answer_to_the_create_is_looked_for_and_adopted(
    ask: Ask, world: World, kind: str | int, more: dict[str, Any]
) -> None:
    world.fail(CREATE, kind, **more)
    world.late_list = 0.15
    run_id = ask(way="batch")
    assert finish(run_id).state == RunState.DONE
    assert world.count_made("openai", "batch") == 1
    assert world.duplicates() == {}
    assert len(answered(run_id)) == ITEMS


@pytest.mark.laptop
def test_a_create_that_is_found_nowhere_waits_for_a_person(ask: Ask, world: World) -> None:
    world.fail(CREATE, 500)
    run_id = ask(way="batch")
    run = finish(run_id)
    assert run.state == RunState.PAUSED
    assert "Not confirmed" in run.error
    assert (world.count(CREATE), world.count_made("openai", "batch")) == (1, 0)


@pytest.mark.laptop
def test_a_clear_refusal_goes_by_chat_with_the_reason(ask: Ask, world: World) -> None:
    world.fail(CREATE, 400, message="no batches for this account")
    run_id = ask(way="batch")
    run = finish(run_id)
    assert run.state == RunState.DONE
    assert "no batches for this account" in run.snapshot["predicting"]["reason"]
    assert world.count(CHAT) == ITEMS


@pytest.mark.laptop
def test_lines_in_any_order_twice_and_of_strangers_are_read_once(ask: Ask, world: World) -> None:
    lines(world, lambda good, bad: ([*reversed(good), good[0], {**good[1], "custom_id": "test-9999"}], bad))
    run_id = ask(way="batch")
    assert finish(run_id).state == RunState.DONE
    assert len(answered(run_id)) == ITEMS


def test_error_lines_are_kept_or_asked_again_by_chat(ask: Ask, world: World) -> None:
    def spoil(good: list[Any], bad: list[Any]) -> tuple[list[Any], list[Any]]:
        wrong = [(400, "too long"), (500, "broken"), (429, "busy")]
        errors = [
            {**line, "response": {"status_code": code, "body": {"error": {"message": said}}}}
            for line, (code, said) in zip(good, wrong, strict=False)
        ]
        return good[3:], errors

    lines(world, spoil)
    run_id = ask(way="batch")
    run = finish(run_id)
    assert run.state == RunState.DONE
    assert [row.error for row in replies(run_id, ReplyState.FAILED)] == ["too long"]
    assert world.count(CHAT) == 2
    assert "go by chat" in run.snapshot["predicting"]["reason"]


@pytest.mark.laptop
def test_an_expired_batch_keeps_what_is_done(ask: Ask, world: World) -> None:
    lines(world, lambda good, bad: (good[:5], bad))
    world.fail(POLL, "edit", times=-1, edit={"status": "expired"}, skip=3)
    run_id = ask(way="batch")
    assert finish(run_id).state == RunState.DONE
    assert len(answered(run_id)) == ITEMS
    assert world.count(CHAT) == ITEMS - 5


@pytest.mark.laptop
def test_large_parts_go_in_pieces(ask: Ask, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(PROVIDER.batch, Batch)
    object.__setattr__(PROVIDER.batch, "most_lines", 5)
    try:
        run_id = ask(way="batch")
        assert finish(run_id).state == RunState.DONE
    finally:
        object.__setattr__(PROVIDER.batch, "most_lines", 50_000)
    assert [row.total for row in batches(run_id)] == [5, 5, 2]
    assert world.count_made("openai", "batch") == 3
    assert len({row.launch_key for row in batches(run_id)}) == 3
    assert len(answered(run_id)) == ITEMS


@pytest.mark.laptop
def test_cancel_waits_for_the_batch_to_stop(session: Session, actor: Actor, ask: Ask, world: World) -> None:
    world.speed = 1.0
    run_id = ask(way="batch")
    go(run_id, until=lambda run: bool(batches(run_id)) and batches(run_id)[0].sent == Sent.YES)
    world.fail("openai POST /v1/batches/*/cancel", 500, times=2)
    cancel_run(session, actor, run_id)
    session.commit()
    assert finish(run_id).state == RunState.CANCELLED
    assert world.count("openai POST /v1/batches/*/cancel", answered=True) == 1
    assert answered(run_id) == {}


@pytest.mark.laptop
def test_killed_anywhere_it_is_sent_once(ask: Ask, world: World, home: Path) -> None:
    run_id = ask(way="batch")
    code = f"import workers.runs as r; r.send = lambda *a: None\nfor _ in range(99): r.advance({run_id})"
    for pause in (0.0, 0.02, 0.05, 0.1):
        worker = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
        started = time.monotonic()
        while not world.seen and time.monotonic() < started + 10:
            time.sleep(0.005)
        time.sleep(pause)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        with session_scope() as session:
            session.execute(update(Run).values(owner=None, lease_until=None))
    run = finish(run_id)
    # Killed between the commit and the call, nobody knows whether it was sent: a person decides.
    done = run.state == RunState.DONE
    assert done or "Not confirmed" in run.error
    assert world.count_made("openai", "batch") == done
    assert world.count("openai POST /v1/batches") <= 1
    assert len(answered(run_id)) == ITEMS * done


def test_ways() -> None:
    chosen = ways.choose_way(PROVIDER, PROVIDER.offers[0].price, True)
    assert (chosen.name, "50 %" in chosen.reason) == ("batch", True)
    assert ways.choose_way(PROVIDER, None, True).name == "chat"
    assert ways.choose_way(PROVIDER, PROVIDER.offers[0].price, True, "chat").name == "chat"
