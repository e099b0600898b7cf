"""Runs as jobs of a real Slurm of one node, directly and over SSH."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.compute import slurm
from app.compute._base import Phase, Site
from app.compute.slurm import COMPUTE, states
from app.errors import AlreadyThere, Busy, Refused, Unclear
from tests.compute.slurm_cluster import Cluster
from tests.compute.ssh_server import carriers, make_order, own_sshd, replaced, wait_for


@pytest.fixture
def site(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("SLURM_CONF", str(cluster.config))
    made = Site("cluster", {"folder": str(tmp_path / "there"), "cpus": "1"}, "", tmp_path / "ours")
    yield made
    for job in COMPUTE.jobs(made):
        COMPUTE.release(made, job.handle)


def phase(site: Site, handle: dict[str, Any]) -> Phase:
    return COMPUTE.status(site, handle).phase


def running(site: Site, handle: dict[str, Any]) -> bool:
    return bool(wait_for(lambda: phase(site, handle) == Phase.RUNNING, 40))


def over(site: Site, handle: dict[str, Any], seconds: float = 40) -> Any:
    """The status once the job is over."""
    return wait_for(
        lambda: (now := COMPUTE.status(site, handle)).phase in (Phase.ENDED, Phase.GONE) and now, seconds
    )


def whole_run(site: Site, tmp_path: Path) -> None:
    """From check to release."""
    assert "slurm" in COMPUTE.check(site).note
    does = "echo one >> out/log.txt; env > out/env; until [ -e go ]; do sleep 0.05; done; echo two >> out/log.txt"
    asked = make_order(tmp_path / "bundle", does, hub_token="hf_secret")
    handle = COMPUTE.submit(site, asked)
    there = Path(handle["folder"]) / "bundle"
    wait_for((there / "out" / "env").exists, 40)
    assert phase(site, handle) == Phase.RUNNING
    (found,) = COMPUTE.find(site, asked.launch_key)
    assert (found.handle, found.status.phase) == (handle, Phase.RUNNING)
    COMPUTE.pull(site, handle, asked.folder)
    assert (asked.folder / "out" / "log.txt").read_text() == "one\n"
    (there / "go").touch()
    assert over(site, handle).phase == Phase.ENDED
    COMPUTE.fetch(site, handle, asked.folder)
    assert (asked.folder / "out" / "log.txt").read_text() == "one\ntwo\n"
    assert (asked.folder / "out" / "exit_code").read_text() == "0\n"
    environment = (asked.folder / "out" / "env").read_text().splitlines()
    assert {f"LAUNCH_KEY={asked.launch_key}", "DEADLINE_SECONDS=600", "HF_TOKEN=hf_secret"} <= set(
        environment
    )
    assert not any(line.startswith("TUNEBOOK_") for line in environment)
    for _ in range(2):
        COMPUTE.cancel(site, handle)
        COMPUTE.release(site, handle)
    assert COMPUTE.jobs(site) == []


def test_a_whole_run(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TUNEBOOK_SECRET", "not for jobs")
    whole_run(site, tmp_path)


@pytest.mark.slow
def test_a_whole_run_over_ssh(cluster: Cluster, tmp_path: Path):
    (tmp_path / "sshd").mkdir()
    for sshd in own_sshd(tmp_path / "sshd", {"SLURM_CONF": str(cluster.config)}):
        whole_run(sshd.site(tmp_path, cpus="1"), tmp_path)


def test_one_job_for_a_key_and_one_cancel_for_it(site: Site, cluster: Cluster, tmp_path: Path):
    asked = make_order(tmp_path / "bundle", "sleep 300 & sleep 300")
    results: list[object] = []

    def submit() -> None:
        try:
            results.append(COMPUTE.submit(site, asked))
        except AlreadyThere as error:
            results.append(error)

    threads = [threading.Thread(target=submit) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (handle,) = [each for each in results if isinstance(each, dict)]
    assert cluster.run("squeue", "-h", "-o", "%k", f"--name={asked.launch_key}").split() == [asked.launch_key]
    running(site, handle)
    COMPUTE.cancel(site, handle)
    wait_for(lambda: not carriers(asked.launch_key))
    ended = COMPUTE.status(site, handle)
    # Whether its script still wrote down how it ended is a race.
    assert ended.phase in (Phase.GONE, Phase.ENDED)
    assert ended.state == "CANCELLED"


def test_what_slurm_refuses_leaves_nothing(site: Site, tmp_path: Path):
    for number, wrong in enumerate(({"partition": "nope"}, {"memory": "999G"})):
        with pytest.raises(Refused, match="Slurm refuses the job"):
            COMPUTE.check(replaced(site, **wrong))
        with pytest.raises(Refused, match="Slurm refuses the job"):
            COMPUTE.submit(replaced(site, **wrong), make_order(tmp_path / f"b{number}", "true"))
    assert COMPUTE.jobs(site) == []
    assert list((tmp_path / "there" / "runs").iterdir()) == []


def fake_sbatch(folder: Path, then: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An sbatch whose answer is lost."""
    folder.mkdir()
    lost = "echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1"
    (folder / "sbatch").write_text(f"#!/bin/sh\n{then}\n{lost}\n")
    (folder / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_submission_whose_answer_was_lost_is_found(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = make_order(tmp_path / "bundle", "sleep 300")
    with monkeypatch.context() as patch:
        fake_sbatch(tmp_path / "fake", '/usr/bin/sbatch "$@" > /dev/null', patch)
        with pytest.raises(Unclear):
            COMPUTE.submit(site, asked)
    (found,) = COMPUTE.find(site, asked.launch_key)
    assert found.status.phase in (Phase.WAITING, Phase.RUNNING)
    with pytest.raises(AlreadyThere):
        COMPUTE.submit(site, asked)


def test_a_submission_that_never_took_place(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = make_order(tmp_path / "bundle", "true")
    with monkeypatch.context() as patch:
        fake_sbatch(tmp_path / "fake", "true", patch)
        with pytest.raises(Unclear):
            COMPUTE.submit(site, asked)
    assert COMPUTE.find(site, asked.launch_key) == []
    monkeypatch.setattr(slurm, "LOST_SECONDS", 0.0)
    (found,) = COMPUTE.find(site, asked.launch_key)
    assert (found.status.phase, found.status.state) == (Phase.GONE, "not submitted")


@pytest.mark.slow
def test_a_setup_line_that_fails(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(states, "SETTLE_SECONDS", 0.0)
    site = replaced(site, setup="module_that_is_not_there load cuda")
    ended = over(site, COMPUTE.submit(site, make_order(tmp_path / "bundle", "true")))
    assert (ended.phase, ended.state) == (Phase.GONE, "FAILED")
    assert "module_that_is_not_there" in ended.note


@pytest.mark.slow
def test_a_job_that_somebody_else_cancels(site: Site, cluster: Cluster, tmp_path: Path):
    asked = make_order(tmp_path / "bundle", "sleep 300")
    handle = COMPUTE.submit(site, asked)
    running(site, handle)
    cluster.run("scancel", f"--name={asked.launch_key}")
    assert over(site, handle).state == "CANCELLED"


@pytest.mark.slow
def test_the_time_limit_is_kept_by_slurm(site: Site, cluster: Cluster, tmp_path: Path):
    asked = make_order(tmp_path / "bundle", "sleep 300", deadline=1.0)
    handle = COMPUTE.submit(site, asked)
    running(site, handle)
    (number,) = cluster.run("squeue", "-h", "-o", "%i", f"--name={asked.launch_key}").split()
    # Slurm counts in minutes, and looks every half minute.
    cluster.run("scontrol", "update", f"jobid={number}", "EndTime=now+1")
    ended = over(site, handle, 100)
    assert (ended.phase, ended.state) == (Phase.GONE, "TIMEOUT")
    assert "time limit" in ended.note
    assert not carriers(asked.launch_key)


@pytest.mark.slow
def test_slurmctld_is_restarted_in_the_middle(site: Site, cluster: Cluster, tmp_path: Path):
    asked = make_order(tmp_path / "bundle", "until [ -e go ]; do sleep 0.05; done")
    handle = COMPUTE.submit(site, asked)
    running(site, handle)
    cluster.end("slurmctld", signal.SIGTERM)
    try:
        with pytest.raises(Busy, match="does not answer"):
            COMPUTE.status(site, handle)
        with pytest.raises(Busy, match="does not answer"):
            COMPUTE.submit(site, make_order(tmp_path / "other", "true"))
    finally:
        cluster.start("slurmctld")
        cluster.wait_until_up()
    assert phase(site, handle) == Phase.RUNNING
    assert [each.launch_key for each in COMPUTE.jobs(site)] == [asked.launch_key]
    (Path(handle["folder"]) / "bundle" / "go").touch()
    assert over(site, handle).phase == Phase.ENDED


@pytest.mark.slow
def test_the_node_goes_down(site: Site, cluster: Cluster, tmp_path: Path):
    asked = make_order(tmp_path / "bundle", "sleep 300")
    handle = COMPUTE.submit(site, asked)
    running(site, handle)
    cluster.end("node0", signal.SIGKILL)
    try:
        ended = over(site, handle, 120)
        assert (ended.phase, ended.state) == (Phase.GONE, "NODE_FAIL")
    finally:
        cluster.start("node0")
        cluster.wait_until_up(60)
    wait_for(lambda: not carriers(asked.launch_key))
