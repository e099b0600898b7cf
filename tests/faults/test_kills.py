"""kill -9 at random moments over one launch: every run ends exactly once, no item is missing or doubled."""

import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import Stack, part_of, rule_rows, running_stack, wait_for

GRID = [
    {"model": "baseline/majority"},
    {"model": "baseline/nearest"},
    {"model": "baseline/tfidf-linear"},
    {"model": "baseline/char-trees", "hyperparameters": {"trees": 50}},
    {"model": "starter/tiny", "hyperparameters": {"epochs": 6}},
]
ITEMS = 60


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    yield from running_stack(tmp_path)


def kill_one(stack: Stack, draw: random.Random) -> str:
    """Kills a process of a kind drawn by lot; says which."""
    kind = draw.choice(["web", "worker", "worker", "trainer", "trainer", "supervisor"])
    if kind == "supervisor":
        assert stack.process
        stack.process.kill()
        stack.process.wait()
        stack.start()
        return kind
    found = (
        stack.trainers()
        if kind == "trainer"
        else [child for child in stack.children() if part_of(child) == kind]
    )
    if not found:
        return f"no {kind}"
    try:
        os.kill(draw.choice(found).pid, signal.SIGKILL)
    except ProcessLookupError:
        return f"{kind} had just ended"
    return kind


def ended(stack: Stack, experiment: int) -> bool:
    runs = stack.call("GET", f"/experiments/{experiment}")["runs"]
    return all(run["state"] in ("done", "failed", "cancelled") for run in runs)


def launch(stack: Stack, grid: list[dict], seeds: list[int]) -> int:
    dataset = stack.upload(rule_rows(5 * ITEMS))
    body = {"dataset_id": dataset, "models": grid, "seeds": seeds}
    return int(stack.call("POST", "/experiments", json=body)["id"])


def check(stack: Stack, experiment: int, runs: int) -> None:
    """Every run is done, once, with a prediction and a reading of each item."""
    database = sqlite3.connect(stack.data / "tunebook.db")
    states = database.execute(
        "SELECT state, error FROM run WHERE experiment_id = ?", (experiment,)
    ).fetchall()
    assert states == [("done", "")] * runs
    counts = database.execute(
        "SELECT e.run_id, count(DISTINCT e.id), count(DISTINCT s.id), count(p.number), count(DISTINCT p.number),"
        " count(r.number) FROM evaluation e JOIN scoring s ON s.evaluation_id = e.id"
        " JOIN prediction p ON p.evaluation_id = e.id"
        " JOIN reading r ON r.scoring_id = s.id AND r.number = p.number GROUP BY e.run_id"
    ).fetchall()
    assert [row[1:] for row in counts] == [(1, 1, ITEMS, ITEMS, ITEMS)] * runs
    csv = stack.call("GET", f"/runs/{counts[0][0]}/predictions.csv")
    assert len(csv.splitlines()) == ITEMS + 1


def run_under_kills(stack: Stack, grid: list[dict], seeds: list[int], kills: int, runs: int) -> None:
    draw = random.Random()
    experiment = launch(stack, grid, seeds)
    done = []
    while len(done) < kills:
        time.sleep(draw.uniform(0.2, 2.5))
        kind = kill_one(stack, draw)
        if not kind.startswith("no "):
            done.append(kind)
    print("killed:", ", ".join(done))
    wait_for(lambda: ended(stack, experiment), 240)
    check(stack, experiment, runs)


@pytest.mark.train
def test_a_few_kills_lose_nothing(stack: Stack):
    run_under_kills(stack, [GRID[1], GRID[4]], seeds=[1], kills=5, runs=2)


@pytest.mark.slow
@pytest.mark.train
def test_thirty_kills_over_nine_runs_lose_nothing(stack: Stack):
    run_under_kills(stack, GRID, seeds=[1, 2, 3], kills=30, runs=9)
