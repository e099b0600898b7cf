"""One Tunebook's OpenAI provider, pointed at another Tunebook's door: it trains there, and the predictions come home."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.stack import Stack, rule_rows, running_stack, wait_for

pytestmark = [pytest.mark.train, pytest.mark.slow]


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Stack]:
    """The Tunebook that trains."""
    (tmp_path / "far").mkdir()
    for stack in running_stack(tmp_path / "far"):
        stack.call("GET", "/datasets")
        yield stack


@pytest.fixture
def home_stack(far: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """The Tunebook of the lab, to which the other one is OpenAI."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
    monkeypatch.setenv("TUNEBOOK_OPENAI_BASE_URL", f"{far.base}/v1")
    monkeypatch.setenv("TUNEBOOK_OPENAI_API_KEY", far.token)
    monkeypatch.setenv("TUNEBOOK_REMOTE_POLL_SECONDS", "1")
    yield from running_stack(tmp_path / "home")


@pytest.mark.parametrize("model", ["baseline/tfidf-linear", "starter/tiny"])
def test_a_run_trains_at_another_tunebook(far: Stack, home_stack: Stack, model: str) -> None:
    home = home_stack
    dataset = home.upload(rule_rows(100))
    # What the other lab takes is not known: an admin allows it, and each run reserves what one may cost.
    for budget in ({"scope": "lab", "dollars": 10, "allow_unknown": True}, {"scope": "run", "dollars": 1}):
        home.call("POST", "/budgets", json=budget)
    wait_for(lambda: _ready(home), 60)
    asked: dict[str, Any] = {
        "dataset_id": dataset,
        "models": [{"model": f"openai/{model}", "hyperparameters": {"epochs": 20, "batch_size": 8}}],
        "seeds": [5],
    }
    made = home.call("POST", "/experiments", json=asked)
    run_id = made["runs"][0]["id"]
    state = wait_for(lambda: _ended(home, run_id), 240)
    assert state == "done", home.call("GET", f"/runs/{run_id}")
    # There it is one experiment with one run, found by the launch key that this run carries.
    there = far.call("GET", "/runs/1")
    assert (there["model"], there["state"]) == (model, "done")
    assert there["seed"] == (5 if model == "starter/tiny" else None)
    [job] = _door(far, "/fine_tuning/jobs")["data"]
    key = job["metadata"]["tunebook"]
    assert job["fine_tuned_model"] == f"ft:{model}:{key}::run-1"
    assert _door(far, f"/fine_tuning/jobs?metadata[tunebook]={key}")["data"] == [job]
    assert _door(far, "/fine_tuning/jobs?metadata[tunebook]=tb-other")["data"] == []
    text = home.call("GET", f"/runs/{run_id}/predictions.csv")
    predictions = list(csv.DictReader(io.StringIO(text)))
    assert len(predictions) == 20
    if model == "baseline/tfidf-linear":
        assert all(row["answer"] == row["expected"] for row in predictions)


def _ready(home: Stack) -> bool:
    found = home.call("GET", "/providers")
    services = found["providers"] if isinstance(found, dict) else found
    mine = next(each for each in services if each["name"] == "openai")
    return any(key["state"] == "ready" for key in mine["keys"])


def _ended(home: Stack, run_id: int) -> str:
    state = home.call("GET", f"/runs/{run_id}")["state"]
    return str(state) if state in ("done", "failed", "cancelled", "unknown", "paused") else ""


def _door(far: Stack, path: str) -> Any:
    answer = httpx.get(f"{far.base}/v1{path}", headers={"authorization": f"Bearer {far.token}"})
    answer.raise_for_status()
    return answer.json()
