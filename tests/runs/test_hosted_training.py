"""A hosted run from its queue to its trained model: bytes sent, curves, log, ledger, cost, and what is kept."""

import json

import pytest
from sqlmodel import select

from app.db import session_scope
from app.runs.queries import run_view
from app.storage import run_folder
from app.tables import RunMetric, RunState, Sent
from tests.emulator._world import World
from tests.hosting import CREATE, KEY, MODEL, VALUES, Hosted, go, row_of


def test_a_training_from_queue_to_model(hosted: Hosted, world: World) -> None:
    run_id = hosted()
    (run,) = go(run_id)
    row = row_of(run_id)
    assert (run.state, run.error) == (RunState.DONE, "")
    assert world.count_made("openai", "job") == 1
    assert world.made[0].launch_key == run.launch_key
    assert (row.sent, row.creates, row.phase, row.state) == (Sent.YES, 1, "done", "succeeded")
    assert row.tuned_model.startswith("ft:gpt-4.1-mini")
    assert row.rescued_at is not None
    assert 0 < run.cost_microdollars == world.microdollars["openai"]


def test_the_bytes_that_were_sent_are_kept(hosted: Hosted, world: World) -> None:
    run_id = hosted()
    go(run_id)
    folder = run_folder(run_id)
    sent = (folder / "service" / "train.jsonl").read_bytes()
    stored = [each["_content"] for each in world.things["openai", "main", "file"].values()]
    assert sent in stored
    assert len(sent.splitlines()) == 48
    assert row_of(run_id).files["train"]["ready"]
    first, last = (
        json.loads((folder / "service" / f"job-{name}.json").read_text()) for name in ("first", "last")
    )
    assert first["id"] == last["id"] == row_of(run_id).remote_id
    assert (first["fine_tuned_model"], last["status"]) == (None, "succeeded")
    config = json.loads((folder / "config.json").read_text())
    assert config["hyperparameters"] == VALUES
    for path in folder.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()


def test_curves_log_and_ledger_come_back(hosted: Hosted, world: World, session, actor) -> None:
    run_id = hosted()
    (run,) = go(run_id)
    with session_scope(write=False) as reading:
        points = reading.exec(select(RunMetric.step, RunMetric.value).where(RunMetric.name == "loss")).all()
    assert len(points) == 36
    lines = (run_folder(run_id) / "out" / "log.txt").read_text().splitlines()
    assert len(lines) == len(set(lines))
    assert "successfully completed" in lines[-1]
    assert len((run_folder(run_id) / "out" / "metrics.jsonl").read_text().splitlines()) == 36
    assert {name: run.ledger[name]["resolved"] for name in VALUES} == VALUES
    assert run.ledger["optimiser"]["undisclosed_by"] == "OpenAI"
    rows = {row.name: row for row in run_view(session, actor, run_id).ledger}
    assert rows["optimiser"].resolved == "not disclosed by OpenAI"
    assert all(row.resolved != "–" for row in rows.values())
    session.commit()


@pytest.mark.laptop
def test_everything_twice_changes_nothing(hosted: Hosted, world: World) -> None:
    from workers.runs import advance

    run_id = hosted()
    go(run_id)
    before, calls = row_of(run_id).model_dump(), len(world.seen)
    advance(run_id)
    assert row_of(run_id).model_dump() == before
    assert len(world.seen) == calls


@pytest.mark.laptop
def test_a_refusal_fails_the_run_with_the_services_sentence(hosted: Hosted, world: World) -> None:
    world.fail(CREATE, 400, message="Training is closed for this organisation.")
    (run,) = go(hosted())
    assert run.state == RunState.FAILED
    assert "OpenAI answered 400: Training is closed for this organisation." in run.error
    assert run.hint
    assert row_of(run.id or 0).sent == Sent.REFUSED
    assert world.count(CREATE) == 1


@pytest.mark.laptop
def test_a_failed_training_says_why(hosted: Hosted, world: World) -> None:
    run_id = hosted()
    world.fail(
        "openai GET */jobs/ftjob-*",
        "edit",
        times=-1,
        edit={
            "status": "failed",
            "error": {"code": "x", "message": "The loss is not a number.", "param": None},
        },
    )
    (run,) = go(run_id)
    assert run.state == RunState.FAILED
    assert run.error == "OpenAI says that the training failed: The loss is not a number."
    assert all(line["resolved"] is not None or line["undisclosed_by"] for line in run.ledger.values())


@pytest.mark.laptop
def test_no_key_pauses_and_a_key_lets_it_go_on(hosted: Hosted, world: World, monkeypatch) -> None:
    monkeypatch.delenv("TUNEBOOK_OPENAI_API_KEY")
    run_id = hosted()
    (run,) = go(run_id)
    assert (run.state, run.error) == (RunState.PAUSED, "OpenAI needs a key.")
    monkeypatch.setenv("TUNEBOOK_OPENAI_API_KEY", KEY)
    (run,) = go(run_id, until=(RunState.DONE,))
    assert world.count_made("openai", "job") == 1
    assert run.model == MODEL
