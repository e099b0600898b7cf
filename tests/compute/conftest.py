"""Bundles with a training process that sleeps, ends or dies as a test wishes."""

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.compute import local
from app.runs.bundle import CODE
from tests.compute.slurm_cluster import LACKS as NO_SLURM
from tests.compute.slurm_cluster import Cluster
from tests.compute.ssh_server import Sshd, own_sshd

MakeBundle = Callable[..., tuple[Path, str]]


@pytest.fixture
def make_bundle(tmp_path: Path) -> Iterator[MakeBundle]:
    """make_bundle(does="sleep", ...) gives (folder, launch key); whatever runs in it is ended after the test."""
    made: list[tuple[Path, str]] = []

    def make(**wish: Any) -> tuple[Path, str]:
        folder, key = tmp_path / f"bundle{len(made)}", uuid.uuid4().hex
        package = folder / "code" / "training"
        package.mkdir(parents=True)
        for name in ("__init__", "files", "process", "failures", "reporting", "deadline"):
            shutil.copy(CODE["training"] / f"{name}.py", package)
        shutil.copy(Path(__file__).with_name("fake_training.py"), package / "__main__.py")
        (folder / "config.json").write_text(json.dumps({"does": "sleep", "launch_key": key, **wish}))
        made.append((folder, key))
        return folder, key

    yield make
    for _, key in made:
        local.cancel({"launch_key": key}, grace_seconds=0)


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server that the tests of a process share; whoever stops or changes one starts their own."""
    yield from own_sshd(tmp_path_factory.mktemp("sshd"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Sshd]:
    """A server of the test's own, which it may break."""
    (tmp_path / "sshd").mkdir()
    yield from own_sshd(tmp_path / "sshd")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A Slurm of one node that the tests of a process share; whoever ends a daemon starts it again."""
    if NO_SLURM:
        pytest.skip(NO_SLURM)
    made = Cluster()
    yield made
    made.stop()
