"""The `tunebook` command against a Tunebook that runs: upload, launch, status, predictions, doctor, tokens."""

import csv
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.source import ROOT
from tests.stack import Stack, rule_rows, running_stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    yield from running_stack(tmp_path_factory.mktemp("data"))


def tunebook(stack: Stack, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """One command with the stack's settings; never a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "app", *(str(each) for each in arguments)],
        cwd=ROOT,
        env=stack.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    return done


def test_the_main_job_without_a_browser(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "rule.jsonl"
    file.write_text(rule_rows(50))
    uploaded = tunebook(stack, "upload", file)
    assert uploaded.returncode == 0
    assert "ready, 50 items (" in uploaded.stdout
    dataset = uploaded.stdout.split(":")[0].removeprefix("dataset ")

    models = ("--model", "baseline/majority", "--model", "baseline/tfidf-linear")
    launched = tunebook(stack, "launch", dataset, *models, "--seeds", "1,2", "--name", "cli", "--wait")
    assert launched.returncode == 0
    first, *lines = launched.stdout.splitlines()
    # Neither model depends on its seed, so each is one run.
    assert first.endswith(": 2 runs")
    assert all("done, accuracy " in line for line in lines)
    assert len(lines) == 2

    experiment = first.split(":")[0].removeprefix("experiment ")
    assert sorted(tunebook(stack, "status", experiment).stdout.splitlines()) == sorted(lines)

    run, out = lines[0].split(":")[0].removeprefix("run "), tmp_path / "predictions.csv"
    assert tunebook(stack, "predictions", run, "--out", out).returncode == 0
    shown = tunebook(stack, "predictions", run)
    assert shown.stdout.splitlines() == out.read_text().splitlines()
    rows = list(csv.DictReader(io.StringIO(shown.stdout)))
    assert len(rows) == 10
    assert {"item", "expected", "answer", "correct"} <= set(rows[0])
    assert stat.S_IMODE(out.stat().st_mode) & 0o077 == 0

    asked = json.loads(tunebook(stack, "ask", f"run-{run}", rows[0]["input"], "--top", 3, "--json").stdout)
    assert asked["text"] == rows[0]["answer"]
    top = asked["tokens"][0]
    assert {label: round(share, 4) for label, share in top.items()} == {
        label: round(float(rows[0][f"p({label})"]), 4) for label in ("acid", "base", "salt")
    }
    assert tunebook(stack, "ask", f"run-{run}", rows[0]["input"]).stdout == f"{rows[0]['answer']}\n"
    assert not list(tmp_path.glob("*.part"))


def test_a_refused_file_is_explained(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(rule_rows(2) + '{"messages": 5}\n')
    done = tunebook(stack, "upload", file)
    assert done.returncode == 1
    assert "refused" in done.stdout
    assert "line 3" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["upload", "/nowhere/x.jsonl"], "/nowhere/x.jsonl cannot be read"),
        (["status", 999999], "There is no experiment 999999 here"),
        (["predictions", 999999], "There is no run 999999 here"),
        (["launch", 999999, "--model", "baseline/majority"], "There is no dataset 999999 here"),
        (["launch", 1, "--model", "baseline/majority", "--seeds", "one"], "whole numbers"),
        (["predictions", "x"], "Invalid value"),
    ],
)
def test_mistakes_are_answered_in_words(stack: Stack, arguments: list[object], words: str) -> None:
    done = tunebook(stack, *arguments)
    assert done.returncode != 0
    assert words in done.stderr
    assert not done.stdout


def test_a_token_is_all_that_is_printed_and_opens_the_api(stack: Stack) -> None:
    done = tunebook(stack, "token", "laptop")
    secret = done.stdout.removesuffix("\n")
    assert secret.startswith("tb_")
    assert not set(secret) & set(" \n")
    answer = httpx.get(f"{stack.base}/api/v1/models", headers={"authorization": f"Bearer {secret}"})
    assert answer.status_code == 200


def test_the_command_line_leaves_no_tokens_behind(stack: Stack) -> None:
    secret = tunebook(stack, "token", "look").stdout.strip()
    headers = {"authorization": f"Bearer {secret}"}
    before = httpx.get(f"{stack.base}/lab", headers=headers).text.count("command line")
    tunebook(stack, "status", 999999)
    assert httpx.get(f"{stack.base}/lab", headers=headers).text.count("command line") == before


def test_a_new_link_signs_in(stack: Stack) -> None:
    link = tunebook(stack, "sign-in").stdout.strip()
    assert link.startswith(f"{stack.base}/sign-in?token=")
    assert httpx.get(link).status_code == 303
    assert httpx.get(link).status_code == 401


def test_the_doctor_finds_a_running_tunebook_well(stack: Stack) -> None:
    done = tunebook(stack, "doctor")
    assert done.returncode == 0, done.stdout
    assert "BAD" not in done.stdout
    assert f"port: {stack.port}: Tunebook answers" in done.stdout


def test_the_doctor_says_what_to_do(tmp_path: Path) -> None:
    wide = tmp_path / "data"
    wide.mkdir(mode=0o755)
    wide.chmod(0o755)
    ill = {
        "TUNEBOOK_DATA": str(wide),
        "TUNEBOOK_DATABASE_URL": "postgresql://127.0.0.1:1/none",
        "TUNEBOOK_BROKER_URL": "redis://127.0.0.1:1/0",
        "TUNEBOOK_MODEL_DIRS": "/nowhere",
        "TUNEBOOK_TRAINER_PYTHON": "/nowhere/python",
        "TUNEBOOK_HOST": "203.0.113.7",
    }
    done = subprocess.run(
        [sys.executable, "-m", "app", "doctor"],
        cwd=ROOT,
        env={**os.environ, **ill},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    bad = [
        line.split(":")[0].split(maxsplit=1)[1] for line in done.stdout.splitlines() if line.startswith("BAD")
    ]
    assert bad == [
        "data folder", "database", "queue", "port", "PyTorch", "model folders", "PostgreSQL", "Redis",
        "workers", "listens on",
    ]  # fmt: skip
    assert done.stdout.count("to do: ") == len(bad)


def test_no_tunebook_is_said(tmp_path: Path) -> None:
    environment = {**os.environ, "TUNEBOOK_DATA": str(tmp_path), "TUNEBOOK_PORT": "1"}
    command = [sys.executable, "-m", "app", "status", "1"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "No Tunebook answers at http://127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
