"""The training process around any model: its files, its lock, its ends."""

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from app.evaluations.finish import complete_lines
from app.runs import outputs
from tests.training.bundles import accuracy, answers, bundle, finish, job, read, start, values_of


def test_a_baseline_runs_from_its_bundle_alone(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "run", job("baseline/tfidf-linear", values_of("baseline/tfidf-linear")))
    assert finish(folder) == 0
    assert outputs.read_exit_code(folder) == 0
    numbers = list(range(64, 84))
    lines = complete_lines(folder / "out" / "predictions.jsonl", numbers)
    assert [line.number for line in lines] == numbers
    assert all(line.p and abs(sum(line.p.values()) - 1) < 1e-6 for line in lines)
    assert accuracy(folder) > 0.8
    assert outputs.read_progress(folder).stage == "predicting"
    assert read(folder, "environment.json")["packages"]["scikit-learn"]
    assert read(folder, "environment.json")["hardware"]["memory_bytes"] > 1e8
    assert read(folder, "usage.json")["train_seconds"] > 0
    preview = outputs.read_list(folder, "preview.json")
    assert preview[0]["segments"][-1] == {"text": "metal", "trained": True}
    assert not list((folder / "out").glob(".*.new"))


def test_the_process_says_who_it_is(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "run", job("baseline/majority", values_of("baseline/majority")))
    process = start(folder)
    while not (folder / "out" / "process.json").exists():
        assert process.poll() is None
    said = read(folder, "process.json")
    created = psutil.Process(process.pid).create_time() if process.poll() is None else said["start_time"]
    assert said["pid"] == process.pid
    assert said["launch_key"] == "key-1"
    assert abs(said["start_time"] - created) < 0.05
    assert process.wait(60) == 0


def test_two_never_work_in_one_folder(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "run", job("baseline/majority", values_of("baseline/majority")))
    with (folder / "out" / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert finish(folder) == 75
        assert sorted(path.name for path in (folder / "out").iterdir()) == ["lock"]
    assert finish(folder) == 0


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "run", job("baseline/majority", values_of("baseline/majority")))
    assert finish(folder) == 0
    before = (folder / "out" / "predictions.jsonl").stat().st_mtime_ns
    assert finish(folder) == 0
    assert (folder / "out" / "predictions.jsonl").stat().st_mtime_ns == before


def test_a_failure_is_one_plain_sentence(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "run", job("baseline/majority", values_of("baseline/majority")))
    (folder / "code" / "baselines" / "majority.py").write_text("import no_such_package\n")
    assert finish(folder) == 1
    assert outputs.read_exit_code(folder) == 1
    error = read(folder, "error.json")
    assert "no_such_package" in error["message"]
    assert "environment.txt" in error["hint"]
    assert "Traceback" in outputs.read_log(folder)


def test_killed_again_and_again_it_still_ends_with_each_item_once(tmp_path: Path) -> None:
    folder = bundle(
        tmp_path / "run", job("baseline/nearest", values_of("baseline/nearest")), train=200, test=600
    )
    chance = random.Random(4)
    for _ in range(5):
        process = start(folder)
        time.sleep(chance.uniform(0.05, 1.2))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert finish(folder) == 0
    assert len(answers(folder)) == 600
    assert list(answers(folder)) == [f"item-{number}" for number in range(200, 800)]


def test_sigterm_ends_it_without_an_exit_code(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "run", job("baseline/majority", values_of("baseline/majority")))
    (folder / "code" / "baselines" / "majority.py").write_text("import time\ntime.sleep(60)\n")
    process = start(folder)
    while "training items" not in outputs.read_log(folder):
        time.sleep(0.02)
    process.terminate()
    assert process.wait(10) == 128 + signal.SIGTERM
    assert outputs.read_exit_code(folder) is None
    assert "stopped from outside" in outputs.read_log(folder)


def test_run_sh_repeats_a_run_and_compares_it(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "run", job("baseline/tfidf-linear", values_of("baseline/tfidf-linear")))
    assert finish(folder) == 0
    shipped = (folder / "out" / "predictions.jsonl").read_bytes()
    done = _run_sh(folder)
    assert done.returncode == 0, done.stderr
    assert "20 of 20 answers agree." in done.stdout
    assert (folder / "out" / "predictions.jsonl").read_bytes() == shipped
    rows = [json.loads(line) for line in shipped.decode().splitlines()]
    rows[3]["answer"] = "something else"
    (folder / "out" / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    differs = _run_sh(folder)
    assert differs.returncode == 1
    assert "19 of 20 answers agree." in differs.stdout
    assert "something else" in differs.stdout


def _run_sh(folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "PYTHON": sys.executable}
    return subprocess.run(
        ["sh", "run.sh", "--check"], cwd=folder, env=environment, capture_output=True, text=True, timeout=240
    )
