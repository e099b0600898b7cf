"""A training that is killed goes on from its newest checkpoint, and several processes train what one trains."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.torch import load_file

from tests.training.base_model import make_base
from tests.training.bundles import answers, bundle, finish, job, read, start, values_of

pytestmark = [pytest.mark.train, pytest.mark.slow]
USUAL = {"epochs": 20, "learning_rate": 3e-3, "batch_size": 4, "gradient_accumulation": 2}
GONE_SECONDS = 20.0


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("models") / "small-llama")


def _bundle(folder: Path, base: Path, **changes: Any) -> Path:
    values = values_of("hf/small-llama", max_seq_len=64, **{**USUAL, **changes})
    return bundle(folder, job("hf/small-llama", values, model_path=str(base)), 64, 8, 20)


def _start_and_kill(folder: Path) -> "subprocess.Popen[bytes]":
    """Kills the whole group as soon as there is a complete checkpoint."""
    process = start(folder)
    while process.poll() is None and not list((folder / "out").glob("checkpoints/*/complete.json")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return process


def _weights(folder: Path) -> bytes:
    [file] = [
        *(folder / "out").glob("model/model.safetensors"),
        *(folder / "out").glob("adapter/*.safetensors"),
    ]
    return file.read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "full"},
        {"use_dora": True, "packing": True, "batch_size": 1, "lora_dropout": 0.1, "epochs": 40},
        {"padding_free": "yes", "early_stopping_patience": 3, "epochs": 60, "learning_rate": 2e-2},
    ],
    ids=["full", "dora and packing", "early stopping"],
)
def test_it_goes_on_after_a_kill_as_if_nothing_had_happened(
    changes: dict[str, Any], base: Path, tmp_path: Path
) -> None:
    whole = _bundle(tmp_path / "whole", base, **changes)
    assert finish(whole) == 0, (whole / "console.txt").read_text()
    folder = _bundle(tmp_path / "killed", base, **changes)
    _start_and_kill(folder)
    half = folder / "out" / "checkpoints" / "checkpoint-999"
    half.mkdir()
    assert finish(folder) == 0, (folder / "console.txt").read_text()
    assert "goes on from checkpoint-" in (folder / "out" / "log.txt").read_text()
    assert not half.exists()
    assert _weights(whole) == _weights(folder)
    assert answers(whole) == answers(folder)


@pytest.mark.parametrize("distributed", ["ddp", "fsdp"])
def test_two_processes_train_what_one_trains(distributed: str, base: Path, tmp_path: Path) -> None:
    changes = {"epochs": 4, "early_stopping_patience": 9}
    one = _bundle(tmp_path / "one", base, **changes)
    two = _bundle(tmp_path / "two", base, **changes, devices=2, distributed=distributed)
    for folder in (one, two):
        assert finish(folder) == 0, (folder / "console.txt").read_text()
    curves = [
        [
            (point["step"], name, point[name])
            for point in read(folder, "metrics.jsonl")
            for name in point
            if "loss" in name
        ]
        for folder in (one, two)
    ]
    assert [point[:2] for point in curves[0]] == [point[:2] for point in curves[1]]
    assert [point[2] for point in curves[0]] == pytest.approx([point[2] for point in curves[1]], abs=1e-3)
    ours, theirs = (
        load_file(folder / "out" / "adapter" / "adapter_model.safetensors") for folder in (one, two)
    )
    assert ours.keys() == theirs.keys()
    assert all((value - theirs[name]).abs().max() < 1e-3 for name, value in ours.items())
    ran = read(two, "resolved.json")["hyperparameters"]
    assert (ran["devices"], ran["distributed"]) == (2, distributed)
    assert (
        read(two, "resolved.json")["trained_parameters"] == read(one, "resolved.json")["trained_parameters"]
    )


def test_no_process_is_left_when_the_first_is_killed(base: Path, tmp_path: Path) -> None:
    folder = _bundle(tmp_path / "run", base, devices=2, epochs=60)
    _start_and_kill(folder)
    until = time.monotonic() + GONE_SECONDS
    while (left := _processes(folder)) and time.monotonic() < until:
        time.sleep(0.2)
    assert not left
    assert finish(folder) == 0, (folder / "console.txt").read_text()
    assert "goes on from checkpoint-" in (folder / "out" / "log.txt").read_text()


def _processes(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def test_what_stops_the_processes_is_said_by_the_run(base: Path, tmp_path: Path) -> None:
    folder = _bundle(tmp_path / "run", base, devices=2, lora_targets="no_such_layer")
    assert finish(folder) == 1
    assert "no_such_layer" in read(folder, "error.json")["message"]
