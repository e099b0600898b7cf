"""Faults while a hosted job runs: answers that cannot be read or believed, refused keys, services that are down."""

import time

import pytest

from app.storage import run_folder
from app.tables import RunState, Sent
from tests.emulator._world import World
from tests.hosting import CREATE, KEY, Hosted, change, go, read, row_of
from workers.runs import advance

pytestmark = pytest.mark.laptop
ANY_POLL = "openai GET */jobs/ftjob-*"


@pytest.mark.parametrize("fault", ["garbage", "html", "empty", "huge"])
def test_l12_polls_that_cannot_be_read_change_nothing(hosted: Hosted, world: World, fault: str) -> None:
    run_id = hosted()
    world.speed = 100
    go(run_id, until=(RunState.TRAINING,))
    world.fail("openai GET */jobs/ftjob-??????*", fault, times=2)
    (run,) = go(run_id, until=lambda run: row_of(run_id).failures > 0)
    assert run.state == RunState.TRAINING
    assert row_of(run_id).trouble
    (run,) = go(run_id)
    assert (run.state, row_of(run_id).failures) == (RunState.DONE, 0)


def test_l12_strange_states_are_shown_and_asked_again(hosted: Hosted, world: World) -> None:
    run_id = hosted()
    world.fail(ANY_POLL, "edit", times=8, edit={"status": "contemplating"})
    (run,) = go(run_id, until=lambda run: "contemplating" in run.progress_note)
    assert run.state == RunState.TRAINING
    assert row_of(run_id).state == "contemplating"
    (run,) = go(run_id)
    assert run.state == RunState.DONE


def test_l12_another_jobs_answer_is_not_believed(hosted: Hosted, world: World) -> None:
    run_id = hosted()
    world.speed = 100
    go(run_id, until=(RunState.TRAINING,))
    own = row_of(run_id).remote_id
    world.fail(ANY_POLL, "edit", times=2, edit={"id": "ftjob-other", "status": "failed"})
    (run,) = go(run_id, until=lambda run: "ftjob-other" in row_of(run_id).trouble)
    assert (run.state, row_of(run_id).remote_id) == (RunState.TRAINING, own)
    (run,) = go(run_id)
    assert run.state == RunState.DONE


def test_l13_a_key_that_is_refused_pauses_all(hosted: Hosted, world: World, caplog) -> None:
    runs = hosted(2)
    world.speed = 50
    go(*runs, until=(RunState.TRAINING,))
    world.refused_keys.add(KEY)
    for run in go(*runs, until=(RunState.PAUSED,)):
        assert "OpenAI answered 401" in run.error
        assert KEY not in run.error
    assert KEY not in caplog.text
    world.refused_keys.clear()
    for run_id in runs:
        change(run_id, due_at=None)
    for run in go(*runs, until=(RunState.DONE,)):
        assert run.error == ""
    assert world.count(CREATE) == 2


def test_l13_a_key_of_another_account_pauses(hosted: Hosted, world: World, monkeypatch) -> None:
    run_id = hosted()
    world.speed = 1
    go(run_id, until=(RunState.TRAINING,))
    world.accounts["sk-other"] = "other"
    monkeypatch.setenv("TUNEBOOK_OPENAI_API_KEY", "sk-other")
    (run,) = go(run_id, until=(RunState.PAUSED,))
    assert "does not know job ftjob-" in run.error
    assert "another account" in run.hint
    assert world.count_made("openai", "job") == 1


def test_l13_a_changed_base_url_gets_no_key(hosted: Hosted, world: World, monkeypatch) -> None:
    run_id = hosted()
    world.speed = 1
    go(run_id, until=(RunState.TRAINING,))
    calls = len(world.seen)
    monkeypatch.setenv("TUNEBOOK_OPENAI_BASE_URL", "http://localhost:9/v1")
    (run,) = go(run_id, until=(RunState.PAUSED,))
    assert "is now set to http://localhost:9/v1" in run.error
    assert len(world.seen) == calls


def test_l13_money_runs_out_before_the_create(hosted: Hosted, world: World) -> None:
    run_id = hosted()
    world.fail(CREATE, 429, message="You exceeded your current quota: insufficient_quota")
    (run,) = go(run_id, until=(RunState.PAUSED,))
    assert "quota" in run.error
    assert row_of(run_id).sent == Sent.NO
    change(run_id, due_at=None)
    (run,) = go(run_id, until=(RunState.DONE,))
    assert world.count_made("openai", "job") == 1


def test_l14_a_service_that_is_down_is_asked_seldom_and_found_again(
    hosted: Hosted, world: World, monkeypatch
) -> None:
    run_id = hosted()
    world.speed = 100
    go(run_id, until=(RunState.TRAINING,))
    world.fail("openai *", "drop", times=-1)
    before = len(world.seen)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        advance(run_id)
        time.sleep(0.01)
    # 0.05 s, then doubled each time: 3 s hold 6 calls.
    assert len(world.seen) - before <= 8
    assert read(run_id).state == RunState.TRAINING
    world.faults.clear()
    (run,) = go(run_id)
    assert run.state == RunState.DONE
    assert world.count(CREATE) == 1


def test_no_folder_is_half_written(hosted: Hosted, world: World) -> None:
    run_id = hosted()
    go(run_id)
    assert not list(run_folder(run_id).rglob(".*"))
