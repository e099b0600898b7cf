"""A toolkit's run as a bundle: TRL's command line in the Python of the tests, on a tiny model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainers.toolkits import stated_job, toolkit_folder, toolkits
from tests.training.base_model import make_base
from tests.training.bundles import read
from workers.training.files import read_json

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of TRL that has ended."""
    root = tmp_path_factory.mktemp("toolkit")
    base = make_base(root / "small-llama")
    folder = toolkit_folder(root / "bundle", stated_job(toolkits()["trl"], str(base)), train=24)
    run(folder)
    return folder


def run(folder: Path, *arguments: str) -> None:
    """`sh run.sh` with the Python of the tests."""
    environment = os.environ | {
        "PYTHON": sys.executable,
        "MODEL": read_json(folder / "here.json")["model_path"],
    }
    done = subprocess.run(
        ["sh", "run.sh", *(arguments or ("--here",))],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_a_toolkit_trains_and_answers_every_item(ended: Path):
    assert (ended / "out" / "exit_code").read_text().strip() == "0"
    test = [json.loads(line)["item"] for line in (ended / "test.jsonl").read_text().splitlines()]
    predicted = read(ended, "predictions.jsonl")
    assert sorted(row["item"] for row in predicted) == sorted(test)
    assert all(set(row["p"]) == {"metal", "none"} for row in predicted)
    points = [point for point in read(ended, "metrics.jsonl") if "loss" in point]
    assert [point["step"] for point in points] == list(range(1, 7)), "24 rows in batches of 4"


def test_its_ledger_is_read_back_under_our_names(ended: Path):
    resolved = read(ended, "resolved.json")
    values, config = resolved["hyperparameters"], read_json(ended / "config.json")
    for name, sent in config["hyperparameters"].items():
        if name not in ("neftune_noise_alpha",):
            assert values[name] == sent, name
    assert values["seed"] == 1
    assert resolved["trained_parameters"] > 0
    assert resolved["base"]["sha256"]
    assert read(ended, "environment.json")["packages"]["trl"]


def test_what_it_leaves_names_no_folder_of_this_machine(ended: Path):
    assert (
        read_json(ended / "out" / "adapter" / "adapter_config.json")["base_model_name_or_path"]
        == "small-llama"
    )
    assert not (ended / "out" / "work").exists()
    assert not (ended / "data").exists()


def test_a_toolkit_that_fails_says_why(tmp_path: Path):
    base = make_base(tmp_path / "small-llama")
    folder = toolkit_folder(tmp_path / "bundle", stated_job(toolkits()["trl"], str(base)))
    (folder / "trl.yaml").write_text((folder / "trl.yaml").read_text() + "no_such_key: 1\n")
    with pytest.raises(AssertionError):
        run(folder)
    assert "no_such_key" in (folder / "out" / "log.txt").read_text()
    assert "ended with code" in read(folder, "error.json")["message"]
