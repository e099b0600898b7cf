"""Runs of other toolkits to the end, each in an environment that its bundle makes; ENVIRONMENTS keeps those between runs."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.trainers.toolkits import stated_job, toolkit_folder, toolkits
from tests.trainers.unsloth_config import command_config
from tests.training.base_model import make_base
from tests.training.bundles import read
from tests.training.gemma_model import make_gemma
from workers.training.files import read_json

pytestmark = [pytest.mark.train, pytest.mark.slow]
LIMIT_SECONDS = 900


def environments(tmp_path: Path) -> Path:
    """Where environments are made: the folder that ENVIRONMENTS names, else one of this test. Skips without an index."""
    if not _index():
        pytest.skip("no package index can be reached: the toolkit's environment cannot be made")
    return Path(os.environ.get("ENVIRONMENTS") or tmp_path / "environments")


@cache
def _index() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        asked = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-cache-dir",
            "--no-deps",
            "-d",
            folder,
            "six",
        ]
        return subprocess.run(asked, capture_output=True, timeout=300, check=False).returncode == 0


def ended(
    tmp_path: Path,
    name: str,
    make: Callable[[Path], Path],
    more: dict[str, str] | None = None,
    seed: int = 1,
    **values: Any,
) -> Path:
    """The folder of a run that has ended, started as a reader of the paper would."""
    base = make(tmp_path / "small-model")
    wanted = replace(stated_job(toolkits()[name], str(base), **values), seed=seed)
    folder = toolkit_folder(tmp_path / "bundle", wanted)
    done = subprocess.run(
        ["sh", "run.sh", "--here"],
        cwd=folder,
        env=os.environ | {"MODEL": str(base), "ENVIRONMENTS": str(environments(tmp_path))} | (more or {}),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


def check(folder: Path, steps: int = 15) -> None:
    """What must hold of each run: all answers with probabilities, a curve, a ledger that says what was sent. Of 60 rows in
    batches of 4 there are 15 steps."""
    predicted = read(folder, "predictions.jsonl")
    assert len(predicted) == 12
    for row in predicted:
        assert set(row["p"]) == {"metal", "none"}
        assert sum(row["p"].values()) == pytest.approx(1, abs=1e-5)
    points = [point for point in read(folder, "metrics.jsonl") if "loss" in point]
    assert [point["step"] for point in points] == list(range(1, steps + 1))
    resolved, config = read(folder, "resolved.json"), read_json(folder / "config.json")
    for name, sent in config["hyperparameters"].items():
        if name in config["toolkit"]["keys"]:
            assert resolved["hyperparameters"][name] == sent, name
    assert 0 < resolved["trained_parameters"] < resolved["parameters"]
    assert str(folder.parent) not in (folder / "out" / "adapter" / "adapter_config.json").read_text()


@pytest.mark.parametrize("name", ["axolotl", "llamafactory"])
def test_what_stands_on_transformers_trainer_runs_to_the_end(tmp_path: Path, name: str):
    check(ended(tmp_path, name, make_base))


def test_autotrain_packs_rows_and_its_seed_counts(tmp_path: Path):
    """60 rows fill 11 blocks of 64 tokens, 3 batches; AutoTrain itself would begin alike whatever the seed."""
    losses = []
    for seed in (1, 2):
        wanted = ended(tmp_path / str(seed), "autotrain", make_base, seed=seed)
        check(wanted, steps=3)
        losses.append([point["loss"] for point in read(wanted, "metrics.jsonl") if "loss" in point])
    assert losses[0] != losses[1]


def test_ludwig_trains_answers_and_keeps_the_best(tmp_path: Path):
    folder = ended(tmp_path, "ludwig", make_base, keep_best=True)
    check(folder)
    assert any("validation_loss" in point for point in read(folder, "metrics.jsonl"))


def test_mlx_trains_answers_and_fuses(tmp_path: Path):
    folder = ended(tmp_path, "mlx", make_base, export="merged")
    check(folder)
    assert (folder / "out" / "adapter" / "adapters.safetensors").is_file()
    assert (folder / "out" / "merged" / "config.json").is_file()
    assert any("validation_loss" in point for point in read(folder, "metrics.jsonl"))


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_kerashub_trains_a_gemma_whose_adapter_peft_reads(tmp_path: Path, backend: str):
    """With JAX over a mesh of two devices, which here are two parts of the processor."""
    mesh = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"} if backend == "jax" else {}
    split = 2 if backend == "jax" else 1
    folder = ended(tmp_path, "kerashub", make_gemma, mesh, backend=backend, model_parallel=split)
    check(folder)
    adapter = read_json(folder / "out" / "adapter" / "adapter_config.json")
    assert adapter["rank_pattern"] == {"q_proj": 32, "k_proj": 16, "v_proj": 16}
    assert adapter["alpha_pattern"] == {"q_proj": 64, "k_proj": 32, "v_proj": 32}
    log = (folder / "out" / "log.txt").read_text()
    assert ("2 accelerators as 1 x 2 (batch x model)" in log) == (backend == "jax")


def test_unsloth_takes_an_equal_configuration_by_its_own_check(tmp_path: Path):
    """Its command refuses unknown keys and wrong types, and runs without a GPU and without PyTorch."""
    place = environments(tmp_path) / "unsloth-check"
    python = place / "bin" / "python"
    if not (place / "complete").is_file():
        version = toolkits()["unsloth"].version
        needed = ["typer", "pydantic", "pyyaml", "click", "httpx", "requests", "rich"]
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True, timeout=LIMIT_SECONDS)
        for packages in (["--no-deps", f"unsloth=={version}"], needed):
            install = [str(python), "-m", "pip", "install", "--quiet", *packages]
            subprocess.run(install, check=True, timeout=LIMIT_SECONDS)
        (place / "complete").touch()
    kind = toolkits()["unsloth"]
    for values in ({}, {"gradient_checkpointing": "yes", "quantization": "4bit", "lora_targets": "q_proj"}):
        settings = yaml.safe_load(kind.config(stated_job(kind, **values))["unsloth.yaml"])
        file = tmp_path / "command.yaml"
        file.write_text(json.dumps(command_config(settings, "train.jsonl")), encoding="utf-8")
        (tmp_path / "train.jsonl").write_text('{"messages": []}\n', encoding="utf-8")
        done = subprocess.run(
            [str(python.with_name("unsloth")), "train", "-c", str(file), "--dry-run"],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        wrong = {**command_config(settings, "train.jsonl"), "no_such_key": 1}
        file.write_text(json.dumps(wrong), encoding="utf-8")
        done = subprocess.run(
            [str(python.with_name("unsloth")), "train", "-c", str(file), "--dry-run"],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert "no_such_key" in done.stdout + done.stderr
