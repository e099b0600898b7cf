"""A judging in a real Tunebook whose worker is killed: every item is marked once, and the check finds the endpoint."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.emulator.openai_chat import Emulator, chat_server
from tests.stack import Stack, part_of, rule_rows, running_stack, wait_for


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with chat_server() as running:
        running.delay = 0.2
        running.answer = lambda prompt: f"MARK: {'right' if prompt.count('acid') > 1 else 'wrong'}"
        yield running


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
    yield from running_stack(tmp_path)


@pytest.mark.slow
@pytest.mark.laptop
def test_killed_workers_lose_no_mark(stack: Stack, emulator: Emulator) -> None:
    dataset = stack.upload(rule_rows(300))
    models = [{"model": "baseline/majority", "hyperparameters": {}}]
    body = {"dataset_id": dataset, "name": "judged", "models": models, "seeds": [1]}
    run = stack.call("POST", "/experiments", json=body)["runs"][0]["id"]
    wait_for(lambda: stack.call("GET", f"/runs/{run}")["state"] == "done", 60)
    new = {"name": "judge", "base_url": emulator.base_url, "model": "m"}
    endpoint = stack.call("POST", "/endpoints", json=new)["id"]
    wait_for(lambda: stack.call("GET", "/endpoints")[0]["state"] == "ready", 20)
    made = stack.call("POST", f"/runs/{run}/judgings", json={"endpoint_id": endpoint, "scale": "right"})
    for _ in range(3):
        before = stack.call("GET", f"/judgings/{made['id']}")["calls_done"]
        wait_for(lambda low=before: stack.call("GET", f"/judgings/{made['id']}")["calls_done"] > low, 60)
        for process in stack.children():
            if part_of(process) == "worker":
                kill(process)
        time.sleep(0.5)
    done = wait_for(lambda: ended(stack, made["id"]), 120)
    marks = stack.call("GET", f"/judgings/{made['id']}/marks")
    assert (done["state"], done["result"]["n"], len(marks)) == ("done", 60, 60)
    assert {mark["state"] for mark in marks} == {"marked"}
    assert stack.call("GET", f"/runs/{run}")["scores"]["judge_score"]["n"] == 60


def ended(stack: Stack, judging: int) -> dict | None:  # type: ignore[type-arg]
    """The judging once it is over."""
    found = stack.call("GET", f"/judgings/{judging}")
    return found if found["state"] not in ("queued", "working") else None


def kill(process: psutil.Process) -> None:
    """kill -9 to a process that may be gone already."""
    try:
        process.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return
