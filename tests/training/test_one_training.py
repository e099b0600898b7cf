"""One set of hyperparameters gives one training, whoever trains: the built-in trainer and toolkits on the same rows, all
in every batch, so that the order of rows is nobody's. The adapter's random beginning is all that a seed still decides.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainers.toolkits import stated_job, toolkit_folder, toolkits
from tests.training.base_model import make_base
from tests.training.bundles import answers, bundle, finish, job, values_of
from tests.training.test_toolkit_runs import LIMIT_SECONDS, environments

pytestmark = pytest.mark.train
ROWS = 24
ASKED = {
    # Long enough to learn the answers: those of a model that has not are noise. Three steps of warm-up, since Axolotl
    # makes two of one.
    "epochs": 30, "batch_size": ROWS, "gradient_accumulation": 1, "learning_rate": 1e-2, "lora_r": 8, "lora_alpha": 16,
    "max_seq_len": 64, "warmup_ratio": 0.1,
}  # fmt: skip


def python_of(name: str, tmp_path: Path) -> dict[str, str]:
    """TRL is in the Python of the tests; the others' bundles make their environments."""
    if name == "trl":
        return os.environ | {"PYTHON": sys.executable}
    return os.environ | {"ENVIRONMENTS": str(environments(tmp_path))}


def losses(folder: Path) -> list[float]:
    """The training loss of each step."""
    rows = [json.loads(line) for line in (folder / "out" / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["trl", "axolotl", "llamafactory", "ludwig"])
def test_a_toolkit_trains_as_the_built_in_trainer_does(tmp_path: Path, name: str):
    base = make_base(tmp_path / "small-llama")
    values = values_of("hf/acme/small", **ASKED)
    own = bundle(tmp_path / "own", job("hf/small-llama", values, model_path=str(base)), train=ROWS)
    assert finish(own) == 0, (own / "console.txt").read_text()[-2000:]
    wanted = replace(stated_job(toolkits()[name], str(base), **ASKED), counts={"train": ROWS})
    other = toolkit_folder(tmp_path / name, wanted, train=ROWS, test=20)
    # The same test items as the built-in trainer's bundle has.
    (other / "test.jsonl").write_text((own / "test.jsonl").read_text())
    done = subprocess.run(
        ["sh", "run.sh", "--here"], cwd=other, env=python_of(name, tmp_path) | {"MODEL": str(base)},
        capture_output=True, text=True, timeout=LIMIT_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    ours, theirs = losses(own), losses(other)
    assert len(ours) == len(theirs) == ASKED["epochs"]
    assert ours[0] == pytest.approx(theirs[0], abs=0.02)
    # Another seed of the built-in trainer moves the last loss by 0.006.
    assert ours[-1] == pytest.approx(theirs[-1], abs=0.02), (ours, theirs)
    mine, yours = answers(own), answers(other)
    assert set(mine.values()) == {"metal", "none"}
    assert sum(mine[item] != yours[item] for item in mine) <= 1, (mine, yours)
