"""What a training made is fetched at once, whole or not at all: downloads that are cut, refused, or meet a full disk."""

import errno
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import service_http
from app.runs import outputs
from app.storage import run_folder
from app.tables import RunState
from tests.emulator._world import World
from tests.hosting import Hosted, go, read, row_of
from workers.rescues import fetch_weights

pytestmark = pytest.mark.laptop
FIREWORKS = "fireworks/accounts/fireworks/models/qwen3-8b"
# Predicting has its own tests: here a run may rest as soon as its weights are there.
HERE = (RunState.PREDICTING, RunState.SCORING, RunState.DONE, RunState.FAILED)


def weights(run_id: int) -> dict[str, bytes]:
    """The files that are offered."""
    folder = outputs.weights_folder(run_folder(run_id))
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder else {}


def test_weights_are_there_when_the_run_is_done(hosted: Hosted, world: World, client: TestClient) -> None:
    run_id = hosted(model=FIREWORKS)
    (run,) = go(run_id)
    assert (run.state, run.error) == (RunState.DONE, "")
    assert "adapter_config.json" in weights(run_id)
    assert client.get(f"/runs/{run_id}/weights.zip").status_code == 200
    assert row_of(run_id).alarm == ""


def test_a_download_that_is_cut_goes_on_where_it_stood(hosted: Hosted, world: World) -> None:
    whole = hosted(model=FIREWORKS)
    go(whole, until=HERE)
    run_id = hosted(model=FIREWORKS)
    before = len(world.seen)
    world.fail("_files GET *", "cut", times=2)
    seen: list[dict[str, bytes]] = []
    go(run_id, until=lambda run: seen.append(weights(run_id)) or run.state in HERE)
    # Nothing was offered before all of it was there.
    assert all(not found or found.keys() == weights(whole).keys() for found in seen)
    assert {name: len(data) for name, data in weights(run_id).items()} == {
        name: len(data) for name, data in weights(whole).items()
    }
    assert row_of(run_id).alarm == ""
    calls = [each for each in list(world.seen)[before:] if each.service == "_files" and each.method == "GET"]
    assert len(calls) > len(weights(whole))


def test_a_download_that_never_works_does_not_hold_up_the_run(
    hosted: Hosted, world: World, client: TestClient
) -> None:
    run_id = hosted(model=FIREWORKS)
    world.fail("_files GET *", "drop", times=-1)
    go(run_id, until=(RunState.PREDICTING,))
    world.faults.clear()
    (run,) = go(run_id)
    assert run.state == RunState.DONE
    assert weights(run_id) == {}
    assert "could be fetched" in row_of(run_id).alarm
    assert "could be fetched" in client.get(f"/runs/{run_id}").text
    assert client.get(f"/runs/{run_id}/weights.zip").status_code == 404


def test_weights_that_were_given_up_are_fetched_when_a_person_asks(
    hosted: Hosted, world: World, client: TestClient
) -> None:
    run_id = hosted(model=FIREWORKS)
    assert client.post(f"/api/v1/runs/{run_id}/fetch-weights").status_code == 409
    world.fail("_files GET *", "drop", times=-1)
    go(run_id, until=(RunState.PREDICTING,))
    world.faults.clear()
    (before,) = go(run_id)
    world.fail("_files GET *", "drop", times=-1)
    assert "Fetch the weights again" in client.get(f"/runs/{run_id}").text
    for _ in range(2):
        assert client.post(f"/runs/{run_id}/fetch-weights", follow_redirects=False).status_code == 303
    assert client.get(f"/api/v1/runs/{run_id}").json()["service"]["weights"] == "asked"
    fetch_weights(1)
    assert "are being fetched" in client.get(f"/runs/{run_id}").text
    assert weights(run_id) == {}
    world.faults.clear()
    time.sleep(0.1)
    fetch_weights(1)
    fetch_weights(1)
    assert "adapter_config.json" in weights(run_id)
    page = client.get(f"/runs/{run_id}").text
    assert "Fetch the weights again" not in page
    assert (row_of(run_id).alarm, "could be fetched" in page) == ("", False)
    assert read(run_id) == before
    assert client.post(f"/runs/{run_id}/fetch-weights").status_code == 409


def test_a_full_disk_is_waited_for(hosted: Hosted, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id, real, full = hosted(model=FIREWORKS), service_http._write, [True, True]

    def write(answer: Any, path: Path, *more: Any) -> int:
        if full:
            full.pop()
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(answer, path, *more)

    monkeypatch.setattr(service_http, "_write", write)
    (run,) = go(run_id, until=lambda run: "No space left" in row_of(run_id).trouble)
    assert (run.state, weights(run_id)) == (RunState.TRAINING, {})
    go(run_id, until=HERE)
    assert "adapter_config.json" in weights(run_id)
