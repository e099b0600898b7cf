"""Inspect AI, lm-evaluation-harness and promptfoo, as their authors publish them, ask a running Tunebook's door, and
their logs come home. HARNESSES names a folder that keeps their environments between runs.
"""

import csv
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.stack import Stack, rule_rows, wait_for
from tests.training.test_toolkit_runs import _index

pytestmark = [pytest.mark.slow, pytest.mark.laptop]
PIP = {"inspect": ("inspect_ai", "openai"), "lm-eval": ("lm_eval[api]",)}
LIMIT_SECONDS = 900


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the harnesses are installed."""
    if not _index():
        pytest.skip("no package index can be reached: the harnesses cannot be installed")
    return Path(os.environ.get("HARNESSES") or tmp_path_factory.mktemp("harnesses"))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Tunebook with an experiment of one baseline that is done."""
    running = Stack(tmp_path_factory.mktemp("tunebook")).start()
    try:
        dataset = running.upload(rule_rows(60))
        body = {
            "dataset_id": dataset,
            "name": "Acid?",
            "models": [{"model": "baseline/tfidf-linear"}],
            "seeds": [1],
        }
        running.call("POST", "/experiments", json=body)
        wait_for(lambda: running.call("GET", "/runs/1")["state"] == "done", 120)
        yield running
    finally:
        running.stop()


def run(command: list[str], folder: Path, **more: str) -> None:
    done = subprocess.run(
        command, cwd=folder, env=os.environ | more, capture_output=True, text=True, timeout=LIMIT_SECONDS
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def python_tool(tools: Path, name: str) -> Path:
    """The environment's folder of commands."""
    folder = tools / name
    if not (folder / "ready").exists():
        run([sys.executable, "-m", "venv", "--clear", str(folder)], tools)
        run([str(folder / "bin" / "pip"), "install", "-q", *PIP[name]], tools)
        (folder / "ready").touch()
    return folder / "bin"


def task(stack: Stack, name: str, to: Path) -> Path:
    """The task's folder, as a member of the lab unpacks it."""
    headers = {"authorization": f"Bearer {stack.token}"}
    answer = httpx.get(f"{stack.base}/api/v1/experiments/1/tasks/{name}", headers=headers)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(to)
    return next(to.iterdir())


def comes_home(stack: Stack, name: str, log: Path) -> None:
    """The log becomes a run whose answers are the run's own."""
    with log.open("rb") as file:
        made = stack.call("POST", "/experiments/1/predictions", data={"model": name}, files={"file": file})
    assert made["matched_by"] == "12 of 12 test items, matched by item id"
    own, theirs = (answers(stack, run_id) for run_id in (1, made["id"]))
    assert own == theirs


def answers(stack: Stack, run_id: int) -> list[Any]:
    table = stack.call("GET", f"/runs/{run_id}/predictions.csv").lstrip("\ufeff")
    return [(row["item"], row["answer"]) for row in csv.DictReader(io.StringIO(table))]


def test_inspect_eval(stack: Stack, tools: Path, tmp_path: Path) -> None:
    folder = task(stack, "inspect", tmp_path)
    model = ["--model", "openai-api/tunebook/run-1", "--display", "plain"]
    keys = {"TUNEBOOK_BASE_URL": f"{stack.base}/v1", "TUNEBOOK_API_KEY": stack.token}
    run([str(python_tool(tools, "inspect") / "inspect"), "eval", "task.py", *model], folder, **keys)
    comes_home(stack, "inspect", next(folder.glob("logs/*.eval")))


def test_lm_eval_local_chat_completions(stack: Stack, tools: Path, tmp_path: Path) -> None:
    folder = task(stack, "lm-eval", tmp_path)
    name = next(folder.glob("*.yaml")).stem
    asks = f"model=run-1,base_url={stack.base}/v1/chat/completions"
    command = [
        str(python_tool(tools, "lm-eval") / "lm_eval"),
        "--model",
        "local-chat-completions",
        "--model_args",
        asks,
    ]
    command += [
        "--include_path",
        ".",
        "--tasks",
        name,
        "--apply_chat_template",
        "--log_samples",
        "--output_path",
        "out",
    ]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    run(command, folder, OPENAI_API_KEY=stack.token, **offline)
    comes_home(stack, "lm-eval", next(folder.glob("out/*/samples_*.jsonl")))


def test_promptfoo_eval(stack: Stack, tools: Path, tmp_path: Path) -> None:
    if subprocess.run(["which", "npm"], capture_output=True, check=False).returncode:
        pytest.skip("npm is not installed: promptfoo cannot be")
    place = tools / "promptfoo"
    command = place / "node_modules" / ".bin" / "promptfoo"
    if not command.exists():
        place.mkdir(parents=True, exist_ok=True)
        run(["npm", "install", "--silent", "--prefix", str(place), "promptfoo"], place)
    folder = task(stack, "promptfoo", tmp_path)
    alone = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1"}
    alone |= {"PROMPTFOO_CONFIG_DIR": str(tmp_path / "own"), "TUNEBOOK_API_KEY": stack.token}
    run([str(command), "eval", "--no-cache", "-o", "results.json"], folder, **alone)
    comes_home(stack, "promptfoo", folder / "results.json")
