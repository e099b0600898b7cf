"""One experiment over everything at once: a hosted service, Axolotl on a host over SSH, the built-in trainer by Slurm, a
baseline; the whole product by `tunebook up`, and one comparison of all four at the end."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compute.conftest import cluster  # noqa: F401  fixture
from tests.compute.slurm_cluster import Cluster
from tests.compute.ssh_server import Sshd, own_sshd
from tests.emulator import emulator
from tests.emulator.__main__ import environment
from tests.stack import Stack, rule_rows, running_stack, wait_for
from tests.training.base_model import make_base
from tests.training.test_toolkit_runs import environments

pytestmark = [pytest.mark.slow, pytest.mark.train, pytest.mark.laptop]
ITEMS = 12
SHORT = {"epochs": 2, "batch_size": 4, "learning_rate": 2e-3, "lora_r": 8, "lora_alpha": 16}
GRID = (
    {"model": "together/Qwen/Qwen3.5-9B"},
    {"model": "axolotl/small-model", "compute": "host", "hyperparameters": SHORT},
    {"model": "hf/small-model", "compute": "cluster", "hyperparameters": SHORT},
    {"model": "baseline/tfidf-linear"},
)
# Making Axolotl's environment takes minutes where ENVIRONMENTS names none.
LIMIT_SECONDS = 1500
PIP = ("PIP_", "UV_", "SSL_", "REQUESTS_", "HTTPS_PROXY", "HTTP_PROXY")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Sshd]:
    """A host whose sessions reach the package index as this process does."""
    (tmp_path / "sshd").mkdir()
    told = {name: value for name, value in os.environ.items() if name.startswith(PIP) and " " not in value}
    yield from own_sshd(tmp_path / "sshd", told)


@pytest.fixture
def stack(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:  # noqa: F811
    """The product, with one emulated service, a folder of models and Slurm's commands."""
    make_base(tmp_path / "models" / "small-model")
    (tmp_path / "data").mkdir()
    with emulator(speed=20.0) as world:
        for name, value in environment(world).items():
            if name.startswith(("TUNEBOOK_ALLOW", "TUNEBOOK_TOGETHER")):
                monkeypatch.setenv(name, value)
        monkeypatch.setenv("TUNEBOOK_REMOTE_POLL_SECONDS", "2")
        monkeypatch.setenv("TUNEBOOK_MODEL_DIRS", str(tmp_path / "models"))
        monkeypatch.setenv("SLURM_CONF", str(cluster.config))
        yield from running_stack(tmp_path / "data")


def add(stack: Stack, name: str, kind: str, fields: dict[str, str], secret: str | None = None) -> int:
    """A place that was looked at and is ready."""
    body = {"name": name, "kind": kind, "fields": fields, "secret": secret, "allow_private": True}
    made = stack.call("POST", "/compute", json=body)["id"]

    def looked_at() -> dict[str, Any] | None:
        card = next(one for one in stack.call("GET", "/compute")["machines"] if one["id"] == made)
        return card if card["state"] not in ("checking", "new") else None

    card = wait_for(looked_at, 60)
    assert card["state"] == "ready", card
    return int(made)


def places(stack: Stack, host: Sshd, tmp_path: Path) -> None:
    """The host, where runs make their own environments, and the cluster, which has a Python for training."""
    keep = f"export ENVIRONMENTS='{environments(tmp_path)}'"
    site = host.site(tmp_path / "far", host_key="", setup=keep)
    add(stack, "host", "ssh", dict(site.fields), site.secret)
    add(stack, "cluster", "slurm", {"folder": str(tmp_path / "shared"), "trainer_python": sys.executable})
    stack.call("POST", "/budgets", json={"scope": "lab", "dollars": 100})


def test_one_experiment_over_a_service_a_host_a_cluster_and_this_machine(
    stack: Stack, host: Sshd, tmp_path: Path
) -> None:
    places(stack, host, tmp_path)
    body = {"dataset_id": stack.upload(rule_rows(5 * ITEMS)), "models": list(GRID), "seeds": [1]}
    key = wait_for(lambda: launched(stack, body), 60)
    runs = wait_for(lambda: ended(stack, key), LIMIT_SECONDS)
    seen = {one["model"]: one for one in (stack.call("GET", f"/runs/{run['id']}") for run in runs)}
    assert {model: (one["state"], one["error"]) for model, one in seen.items()} == {
        row["model"]: ("done", None) for row in GRID
    }
    where = {model: one["snapshot"].get("compute", {}).get("name") for model, one in seen.items()}
    assert where == {row["model"]: row.get("compute") for row in GRID}
    compared = stack.call("GET", "/comparisons", params={"runs": ",".join(str(run["id"]) for run in runs)})
    assert compared["shared_items"] == ITEMS
    assert {row["model"] for row in compared["runs"]} == {row["model"] for row in GRID}
    assert all(0 <= row["scores"]["accuracy"]["value"] <= 1 for row in compared["runs"])
    wait_for(lambda: not any((tmp_path / "far" / "there" / "runs").iterdir()), 60)
    wait_for(lambda: not any((tmp_path / "shared" / "runs").iterdir()), 60)
    assert all(not one["orphans"] for one in stack.call("GET", "/compute")["machines"])


def launched(stack: Stack, body: dict[str, Any]) -> int:
    """The experiment's id."""
    return int(stack.call("POST", "/experiments", json=body)["id"])


def ended(stack: Stack, experiment: int) -> list[dict[str, Any]] | None:
    """The runs, once all of them are over."""
    runs = stack.call("GET", f"/experiments/{experiment}")["runs"]
    over = all(run["state"] in ("done", "failed", "cancelled", "paused", "unknown") for run in runs)
    return list(runs) if over else None
