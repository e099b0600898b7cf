"""What Tunebook adds around a run: from the launch to the first step beyond what the trainer itself takes to start, and
from its last step to scores beyond its own end and the answers themselves."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench import Figure, at_most
from tests.stack import Stack, rule_rows, wait_for
from tests.training.base_model import make_base
from workers.training.job import read_job
from workers.training.toolkits import trl
from workers.training.toolkits._run import VARIABLES

ROUNDS, LIMIT_SECONDS, ITEMS = 3, 5, 300
SHORT = {"epochs": 1, "batch_size": 8}
MODELS = ("starter/tiny", "trl/small-model")


@dataclass
class Times:
    """Moments of one run in seconds: since 1970 as files tell them, 0 for what was not seen."""

    asked: float = 0.0
    first_step: float = 0.0
    last_step: float = 0.0
    # The trainer is done, answers are next.
    trained: float = 0.0
    answered: float = 0.0
    scored: float = 0.0

    @property
    def start(self) -> float:
        """Until the first step."""
        return self.first_step - self.asked

    @property
    def end(self) -> float:
        """From the last step on, without the answers."""
        return (self.trained - self.last_step) + (self.scored - self.answered if self.scored else 0.0)


def figures() -> Iterator[Figure]:
    """Medians over a few runs one after the other, each beside the same bundle without Tunebook."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_base(folder / "models" / "small-model")
        (folder / "data").mkdir()
        stack = Stack(folder / "data")
        stack.environment |= {
            "TUNEBOOK_MODEL_DIRS": str(folder / "models"),
            "TUNEBOOK_TOOLKIT_PYTHONS": f"trl={sys.executable}",
        }
        try:
            dataset = stack.start().upload(rule_rows(ITEMS))
            for model in MODELS:
                yield from _figures(stack, dataset, model, folder)
        finally:
            stack.stop()


def _figures(stack: Stack, dataset: int, model: str, folder: Path) -> Iterator[Figure]:
    starts, ends = [], []
    for number in range(ROUNDS):
        run, ours = _ours(stack, dataset, model, seed=number + 1)
        bundle = folder / f"bare-{run}"
        without = shutil.ignore_patterns("out")
        shutil.copytree(stack.data / "runs" / str(run), bundle, symlinks=True, ignore=without)
        bare = _bare_toolkit(bundle) if model.startswith("trl/") else _bare_bundle(bundle)
        starts.append(ours.start - bare.start)
        ends.append(ours.end - bare.end)
    name = model.partition("/")[0]
    yield at_most(f"overhead-{name}-queue-to-first-step", statistics.median(starts), "s", LIMIT_SECONDS)
    yield at_most(f"overhead-{name}-last-step-to-scores", statistics.median(ends), "s", LIMIT_SECONDS)
    both = [start + end for start, end in zip(starts, ends, strict=True)]
    yield at_most(f"overhead-{name}", statistics.median(both), "s", LIMIT_SECONDS)


def _ours(stack: Stack, dataset: int, model: str, seed: int) -> tuple[int, Times]:
    """A run from the launch to its scores; its id."""
    grid = [{"model": model, "hyperparameters": SHORT}]
    times = Times(asked=time.time())
    body = {"dataset_id": dataset, "models": grid, "seeds": [seed]}
    run = int(stack.call("POST", "/experiments", json=body)["runs"][0]["id"])
    out = stack.data / "runs" / str(run) / "out"
    wait_for(lambda: _watch(out, times), 300)

    def scored() -> bool:
        told = stack.call("GET", f"/runs/{run}")
        assert told["state"] not in ("failed", "cancelled"), told["error"]
        return told["state"] == "done" and bool(told["scores"])

    wait_for(scored, 60)
    times.scored = time.time()
    times.last_step = (out / "metrics.jsonl").stat().st_mtime
    times.answered = (out / "predictions.jsonl").stat().st_mtime
    return run, times


def _watch(out: Path, times: Times) -> bool:
    """Looks for 0.2 s whether the first step and the answers have begun; true when they have."""
    until = time.time() + 0.2
    while time.time() < until:
        metrics = out / "metrics.jsonl"
        if not times.first_step and metrics.is_file() and metrics.stat().st_size:
            times.first_step = time.time()
        if not times.trained and _stage(out) == "predicting":
            times.trained = time.time()
        if times.trained:
            return True
        time.sleep(0.01)
    return False


def _stage(out: Path) -> str:
    try:
        return str(json.loads((out / "progress.json").read_text())["stage"])
    except (OSError, ValueError, KeyError):
        return ""


def _bare_bundle(bundle: Path) -> Times:
    """The trainer that comes along, as the bundle starts it on any machine."""
    times = Times(asked=time.time())
    process = subprocess.Popen(
        ["sh", "run.sh", "--here"],
        cwd=bundle,
        env=os.environ | {"PYTHON": sys.executable},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    wait_for(lambda: _watch(bundle / "out", times), 300)
    assert process.wait(120) == 0
    times.last_step = (bundle / "out" / "metrics.jsonl").stat().st_mtime
    return times


def _bare_toolkit(bundle: Path) -> Times:
    """The toolkit's own command on the files of the bundle, without anything of ours."""
    job = read_job(bundle)
    (bundle / "data").mkdir()
    trl.prepare(job, job.model_path)
    times = Times(asked=time.time())
    program = str(Path(sys.executable).with_name("trl"))
    process = subprocess.Popen(
        [program, *trl.command(job)[1:]],
        cwd=bundle,
        env=os.environ | VARIABLES | trl.variables(job),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for line in process.stdout or ():
        step = trl.read(line.rstrip("\n").rpartition("\r")[2])
        if step is not None and step.loss is not None:
            times.first_step = times.first_step or time.time()
            times.last_step = time.time()
    assert process.wait(120) == 0
    times.trained = time.time()
    return times
