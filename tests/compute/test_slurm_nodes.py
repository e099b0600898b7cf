"""A real training spread over two nodes of a real Slurm, by srun and torchrun."""

import json
import secrets
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from app.compute._base import Order, Phase, Site
from app.compute.slurm import COMPUTE
from tests.compute.slurm_cluster import LACKS, Cluster
from tests.compute.ssh_server import wait_for
from tests.training.base_model import make_base
from tests.training.bundles import bundle, finish, job, values_of

pytestmark = [pytest.mark.train, pytest.mark.slow]


def test_two_nodes_train_what_one_process_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if LACKS:
        pytest.skip(LACKS)
    base = make_base(tmp_path / "models" / "small-llama")
    values = values_of(
        "hf/small-llama", max_seq_len=64, epochs=4, learning_rate=3e-3, batch_size=4, gradient_accumulation=2
    )
    alone = bundle(tmp_path / "alone", job("hf/small-llama", values, model_path=str(base)), 64, 8, 20)
    assert finish(alone) == 0
    key = f"tb-{secrets.token_hex(8)}"
    spread = job("hf/small-llama", {**values, "devices": 2}, model_path=str(base), launch_key=key)
    folder = bundle(tmp_path / "spread", spread, 64, 8, 20)
    cluster = Cluster(nodes=2)
    try:
        monkeypatch.setenv("SLURM_CONF", str(cluster.config))
        fields = {"folder": str(tmp_path / "there"), "gpus_per_node": "1", "trainer_python": sys.executable}
        site = Site("cluster", fields, "", tmp_path / "ours")
        handle = COMPUTE.submit(site, Order(key, folder, 600.0, base=base, gpus=2))
        ended = wait_for(
            lambda: (now := COMPUTE.status(site, handle)).phase in (Phase.ENDED, Phase.GONE) and now, 300
        )
        COMPUTE.fetch(site, handle, folder)
        COMPUTE.release(site, handle)
    finally:
        cluster.stop()
    console = (folder / "out" / "console.txt").read_text()
    assert ended.phase == Phase.ENDED, (ended, console)
    assert (folder / "out" / "exit_code").read_text().strip() == "0", console
    ours, theirs = (
        load_file(each / "out" / "adapter" / "adapter_model.safetensors") for each in (alone, folder)
    )
    assert all((value - theirs[name]).abs().max() < 1e-3 for name, value in ours.items())
    ran = json.loads((folder / "out" / "resolved.json").read_text())["hyperparameters"]
    assert ran["devices"] == 2
