"""/runs/{id} of hosted runs: what the service says, what a person is asked, and the same as JSON."""

import pytest
from fastapi.testclient import TestClient

from app.tables import RunState
from tests.emulator._world import World
from tests.hosting import CREATE, KEY, Hosted, change, go, read, row_of, unconfirmed

pytestmark = pytest.mark.laptop


def test_a_finished_run_shows_its_job_and_its_raw_answers(
    hosted: Hosted, world: World, client: TestClient
) -> None:
    run_id = hosted()
    go(run_id)
    page = client.get(f"/runs/{run_id}").text
    row = row_of(run_id)
    for text in ("At OpenAI", row.remote_id, row.tuned_model, "not disclosed by OpenAI", "never says"):
        assert text in page
    raw = client.get(f"/runs/{run_id}/files/job-last.json")
    assert raw.json()["id"] == row.remote_id
    assert client.get(f"/runs/{run_id}/files/train.jsonl").text.count("\n") == 48
    found = client.get(f"/api/v1/runs/{run_id}").json()
    assert found["service"]["remote_id"] == row.remote_id
    assert found["cost_microdollars"] == world.microdollars["openai"] or found["cost_microdollars"] > 0
    assert KEY not in page + raw.text + str(found)


def test_a_run_that_is_not_confirmed_asks_and_takes_the_answer(
    hosted: Hosted, world: World, client: TestClient
) -> None:
    run_id = hosted()
    world.fail(CREATE, 500)
    go(run_id, until=unconfirmed)
    page = client.get(f"/runs/{run_id}").text
    assert "Not confirmed." in page
    assert read(run_id).launch_key in page
    for choice in ("adopt", "create-again", "give-up"):
        assert f'action="/runs/{run_id}/{choice}"' in page
    assert client.post(f"/runs/{run_id}/adopt", data={"remote_id": ""}).status_code == 422
    assert client.get(f"/api/v1/runs/{run_id}").json()["service"]["asks"] == "unconfirmed"
    assert client.post(f"/api/v1/runs/{run_id}/create-again").json()["state"] == RunState.SUBMITTING
    assert client.post(f"/runs/{run_id}/create-again").status_code == 409
    (run,) = go(run_id)
    assert (run.state, world.count_made("openai", "job")) == (RunState.DONE, 1)
    assert "lets it be created again" in client.get(f"/runs/{run_id}").text


def test_a_paused_run_says_why_and_goes_on_by_its_button(
    hosted: Hosted, world: World, client: TestClient
) -> None:
    run_id = hosted()
    world.speed = 30
    go(run_id, until=(RunState.TRAINING,))
    world.refused_keys.add(KEY)
    go(run_id, until=(RunState.PAUSED,))
    page = client.get(f"/runs/{run_id}").text
    assert "Paused." in page
    assert "OpenAI answered 401" in page
    assert KEY not in page
    assert "so may its cost" in page
    world.refused_keys.clear()
    assert client.post(f"/runs/{run_id}/go-on", follow_redirects=False).status_code == 303
    assert read(run_id).state == RunState.TRAINING
    world.speed = 2000
    assert go(run_id)[0].state == RunState.DONE


def test_a_paused_run_is_cancelled_only_when_the_service_says_so(
    hosted: Hosted, world: World, client: TestClient
) -> None:
    run_id = hosted()
    world.speed = 1
    go(run_id, until=(RunState.TRAINING,))
    world.refused_keys.add(KEY)
    go(run_id, until=(RunState.PAUSED,))
    client.post(f"/runs/{run_id}/cancel")
    (run,) = go(run_id, until=(RunState.PAUSED,))
    assert run.cancel_asked
    assert "not confirmed by OpenAI" in run.error
    world.refused_keys.clear()
    change(run_id, due_at=None)
    (run,) = go(run_id, until=(RunState.CANCELLED,))
    assert row_of(run_id).state == "cancelled"


def test_retry_after_a_finished_training_pays_no_second_one(
    hosted: Hosted, world: World, client: TestClient
) -> None:
    run_id = hosted()
    go(run_id)
    key = read(run_id).launch_key
    change(run_id, state=RunState.FAILED)
    assert client.post(f"/api/v1/runs/{run_id}/retry").status_code == 200
    (run,) = go(run_id)
    assert (run.state, run.launch_key) == (RunState.DONE, key)
    assert world.count_made("openai", "job") == 1


def test_retry_after_a_failed_training_makes_a_new_one_under_a_new_key(
    hosted: Hosted, world: World, client: TestClient
) -> None:
    run_id = hosted()
    world.fail(CREATE, 400, message="No.")
    (failed,) = go(run_id)
    assert failed.state == RunState.FAILED
    assert client.post(f"/api/v1/runs/{run_id}/retry").status_code == 200
    (run,) = go(run_id)
    assert run.state == RunState.DONE
    assert run.launch_key != failed.launch_key
    assert run.snapshot["earlier_keys"] == [failed.launch_key]
