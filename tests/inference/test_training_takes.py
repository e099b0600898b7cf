"""A training that begins on the device of the models: they make room, and come back when it is over, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.config import settings
from app.model_server import give_device, take_device
from app.socket_path import LONGEST, socket_path
from tests.inference.server import Server, running
from workers.inference import holders


@pytest.mark.laptop
@pytest.mark.usefixtures("home")
def test_the_steps_of_a_run_take_and_give_the_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(type(settings()), "inference_socket", tmp_path / "inference.sock")
    # Without a server nothing happens.
    take_device("key-1")
    with running(tmp_path, INFERENCE_TAKEN="1") as server:
        take_device("key-1")
        assert server.health()["training"]
        take_device("key-2")
        give_device("key-1")
        assert server.health()["training"]
        refused = _ask(server, tmp_path)
        assert refused == ("busy", True)
        give_device("key-2")
        assert not server.health()["training"]
    with running(tmp_path) as server:
        take_device("key-1")
        assert server.health()["training"] == server.health()["device"].startswith("cuda")


def _ask(server: Server, folder: Path) -> tuple[str, bool]:
    """Asks a starter."""
    run = folder / "run-1"
    run.mkdir(exist_ok=True)
    (run / "config.json").write_text("{}")
    asked = {"model": {"id": "run-1", "kind": "starter", "bundle": str(run)}}
    error = server.chat(**asked, messages=[{"role": "user", "content": "x"}]).error
    return error["kind"], error["retryable"]


@pytest.mark.laptop
def test_a_training_that_died_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "LOOK_SECONDS", 0)
    wait = "import time; print(flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", wait], env={**os.environ, "LAUNCH_KEY": "key-of-7a"}, stdout=subprocess.PIPE
    ) as training:
        assert training.stdout
        training.stdout.readline()
        held = holders.Holders()
        held.take("key-of-7a")
        assert held.any()
        monkeypatch.setenv(*next(iter(held.variable().items())))
        after_restart = holders.Holders()
        assert after_restart.any()
        training.send_signal(signal.SIGKILL)
    assert not held.any()
    assert not after_restart.any()
    # One that runs where its processes cannot be seen gives the device back itself.
    held.take("key-elsewhere")
    assert held.any()
    assert held.any()
    held.give("key-elsewhere")
    assert not held.any()


@pytest.mark.laptop
def test_a_long_folder_has_its_socket_elsewhere(tmp_path: Path) -> None:
    short, long = Path("/srv/data"), Path("/srv") / ("data" * 30)
    assert socket_path(short, "inference") == short / "inference.sock"
    moved = socket_path(long, "inference")
    assert len(os.fsencode(moved)) <= LONGEST
    assert moved != socket_path(long / "other", "inference")
    assert moved == socket_path(long, "inference")
