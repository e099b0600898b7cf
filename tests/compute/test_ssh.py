"""Runs on a host over SSH, against a real sshd on loopback."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.compute._base import Order, Phase, Site
from app.compute._host_files import start_lines
from app.compute.ssh import COMPUTE
from app.errors import AlreadyThere, Refused
from tests.compute.ssh_server import Sshd, carriers, make_order, replaced, wait_for

# Children of all sorts: in the run's group, and in a session of its own.
CHILDREN = "sleep 300 & setsid sleep 300 & echo $$ > out/pid"


@pytest.fixture
def site(sshd: Sshd, tmp_path: Path) -> Iterator[Site]:
    made = sshd.site(tmp_path)
    yield made
    for job in COMPUTE.jobs(made):
        COMPUTE.release(made, job.handle)


def order(tmp_path: Path, does: str, name: str = "bundle", **more) -> Order:
    return make_order(tmp_path / name, does, **more)


def phase(site: Site, handle) -> Phase:
    return COMPUTE.status(site, handle).phase


def over(site: Site, handle):
    """The status once the run is over."""
    return wait_for(lambda: (now := COMPUTE.status(site, handle)).phase in (Phase.ENDED, Phase.GONE) and now)


def test_a_run_goes_there_and_its_results_come_home(site: Site, tmp_path: Path):
    does = "echo one >> out/log.txt; mkdir -p out/checkpoints 'out/adapter dir'; echo w > 'out/adapter dir/weights'"
    does += "; command -v python3 > out/which; python3 -c 'import sys; print(sys.prefix)' >> out/which; touch out/lock out/checkpoints/c; printf torn >> out/log.txt; env > out/env"
    does += "; until [ -e go ]; do sleep 0.05; done; echo >> out/log.txt; echo '{}' > out/metrics.jsonl"
    asked = order(tmp_path, does, hub_token="hf_secret")
    handle = COMPUTE.submit(site, asked)
    wait_for(lambda: (Path(handle["folder"]) / "bundle" / "out" / "env").exists())
    assert phase(site, handle) == Phase.RUNNING
    out = asked.folder / "out"
    COMPUTE.pull(site, handle, asked.folder)
    assert (out / "log.txt").read_text() == "one\n"
    (Path(handle["folder"]) / "bundle" / "go").touch()
    assert over(site, handle).phase == Phase.ENDED
    COMPUTE.pull(site, handle, asked.folder)
    assert (out / "log.txt").read_text() == "one\ntorn\n"
    assert not (out / "exit_code").exists()
    for _ in range(2):
        COMPUTE.fetch(site, handle, asked.folder)
    assert (out / "exit_code").read_text() == "0\n"
    assert (out / "adapter dir" / "weights").read_text() == "w\n"
    assert (out / "old").read_text() == "what came home before"
    assert not (out / "checkpoints").exists()
    assert not (out / "lock").exists()
    # The Python that was named, in its own environment.
    assert (out / "which").read_text().splitlines() == [f"{handle['folder']}/bin/python3", sys.prefix]
    environment = (out / "env").read_text().splitlines()
    assert {f"LAUNCH_KEY={asked.launch_key}", "DEADLINE_SECONDS=600", "HF_TOKEN=hf_secret"} <= set(
        environment
    )
    assert subprocess.run(["grep", "-r", "hf_secret", tmp_path / "there", "--exclude=env"]).returncode == 1
    for _ in range(2):
        COMPUTE.release(site, handle)
    assert COMPUTE.jobs(site) == []
    assert list((tmp_path / "there" / "runs").iterdir()) == []
    assert [path.name for path in (tmp_path / "ours").glob("*") if path.is_dir()] == []


def test_a_pull_brings_only_what_is_new_and_all_of_what_was_replaced(site: Site, tmp_path: Path):
    asked = order(tmp_path, "echo a > out/log.txt; echo '{\"n\": 1}' > out/progress.json; sleep 300")
    handle = COMPUTE.submit(site, asked)
    there, here = Path(handle["folder"]) / "bundle" / "out", asked.folder / "out"
    wait_for(lambda: (there / "progress.json").exists())

    def pulled() -> str:
        COMPUTE.pull(site, handle, asked.folder)
        return (here / "log.txt").read_text()

    assert pulled() == "a\n"
    # The line that is here already is not sent again.
    with (there / "log.txt").open("a") as file:
        file.write("b\n" * 1000)
    assert pulled() == "a\n" + "b\n" * 1000
    (there / "log.txt").write_text("another run\n")
    (there / "progress.json").write_text('{"n": 2}')
    assert pulled() == "another run\n"
    assert (here / "progress.json").read_text() == '{"n": 2}'
    threads = [threading.Thread(target=pulled) for _ in range(3)]
    with (there / "log.txt").open("a") as file:
        file.write("once\n")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pulled() == "another run\nonce\n"


def test_found_by_its_key_and_cancelled_with_all_children(site: Site, tmp_path: Path):
    asked = order(tmp_path, f"{CHILDREN}; sleep 300")
    handle = COMPUTE.submit(site, asked)
    wait_for(lambda: len(carriers(asked.launch_key)) >= 4)
    found = COMPUTE.find(site, asked.launch_key)
    assert [each.handle for each in found] == [handle]
    assert found[0].status.phase == Phase.RUNNING
    assert found[0].created_at == pytest.approx(time.time(), abs=60)
    assert COMPUTE.find(site, "tb-0123456789abcdef") == []
    for _ in range(2):
        COMPUTE.cancel(site, handle)
        assert carriers(asked.launch_key) == []
    assert COMPUTE.status(site, handle).state == "cancelled"
    assert phase(site, handle) == Phase.GONE


def test_the_deadline_is_kept_there(site: Site, tmp_path: Path):
    asked = order(tmp_path, f"{CHILDREN}; sleep 300", deadline=0.5)
    handle = COMPUTE.submit(site, asked)
    wait_for(lambda: carriers(asked.launch_key))
    # Nobody asks meanwhile.
    wait_for(lambda: not carriers(asked.launch_key))
    ended = over(site, handle)
    assert (ended.phase, ended.state) == (Phase.GONE, "deadline")
    assert "deadline" in ended.note


def test_a_release_ends_what_still_runs(site: Site, tmp_path: Path):
    asked = order(tmp_path, f"{CHILDREN}; sleep 300")
    handle = COMPUTE.submit(site, asked)
    wait_for(lambda: carriers(asked.launch_key))
    COMPUTE.release(site, handle)
    assert carriers(asked.launch_key) == []
    assert not Path(handle["folder"]).exists()
    assert COMPUTE.status(site, handle).state == "removed"


@pytest.mark.slow
def test_runs_take_turns(site: Site, tmp_path: Path):
    first, second, third = (order(tmp_path, "until [ -e go ]; do sleep 0.05; done", str(n)) for n in range(3))
    handles = [COMPUTE.submit(site, each) for each in (first, second, third)]
    wait_for(lambda: carriers(first.launch_key))
    waiting = COMPUTE.status(site, handles[1])
    assert waiting.phase == Phase.WAITING
    assert "device" in waiting.note
    assert not carriers(second.launch_key)
    COMPUTE.cancel(site, handles[1])
    assert phase(site, handles[1]) == Phase.GONE
    (Path(handles[0]["folder"]) / "bundle" / "go").touch()
    wait_for(lambda: carriers(third.launch_key))
    assert phase(site, handles[0]) == Phase.ENDED


def test_a_second_submit_of_the_same_key_is_refused(site: Site, tmp_path: Path):
    asked = order(tmp_path, "sleep 300")
    handle = COMPUTE.submit(site, asked)
    with pytest.raises(AlreadyThere, match=asked.launch_key):
        COMPUTE.submit(site, asked)
    assert [each.handle for each in COMPUTE.jobs(site)] == [handle]


def test_of_two_submits_at_once_one_starts(site: Site, tmp_path: Path):
    asked = order(tmp_path, "echo started >> starts; sleep 300")
    results: list[object] = []

    def submit() -> None:
        try:
            results.append(COMPUTE.submit(site, asked))
        except AlreadyThere as error:
            results.append(error)

    threads = [threading.Thread(target=submit) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(each, dict) for each in results) == 1
    assert sum(isinstance(each, AlreadyThere) for each in results) == 2
    (found,) = COMPUTE.jobs(site)
    starts = Path(found.handle["folder"]) / "bundle" / "starts"
    assert wait_for(lambda: starts.exists() and starts.read_text()) == "started\n"
    assert len(list((tmp_path / "there" / "runs").iterdir())) == 1


def test_base_weights_go_once(site: Site, tmp_path: Path):
    blob = tmp_path / "blob"
    blob.write_bytes(os.urandom(100_000))
    base = tmp_path / "models" / "tiny model"
    base.mkdir(parents=True)
    (base / "model.safetensors").symlink_to(blob)
    handles = []
    for number in range(2):
        asked = order(tmp_path, "cp 'tiny model/model.safetensors' out/copy", f"bundle{number}", base=base)
        handles.append(COMPUTE.submit(site, asked))
        assert over(site, handles[-1]).phase == Phase.ENDED
        copied = Path(handles[-1]["folder"]) / "bundle" / "out" / "copy"
        assert copied.read_bytes() == blob.read_bytes()
    bases = list((tmp_path / "there" / "base").iterdir())
    assert len(bases) == 1
    COMPUTE.release(site, handles[0])
    assert (bases[0] / "model.safetensors").read_bytes() == blob.read_bytes()
    blob.write_bytes(os.urandom(100_001))
    COMPUTE.submit(site, order(tmp_path, "true", "other", base=base))
    assert len(list((tmp_path / "there" / "base").iterdir())) == 2


def test_a_setup_line_that_fails_ends_the_run_with_its_words(site: Site, tmp_path: Path):
    site = replaced(site, setup="echo before\r\nmodule_that_is_not_there load cuda")
    ended = over(site, COMPUTE.submit(site, order(tmp_path, "true")))
    assert ended.phase == Phase.GONE
    assert "module_that_is_not_there" in ended.note


def test_what_comes_before_a_run():
    fields = {"python": "/opt/py 3.12/bin/python", "trainer_python": "", "setup": "module load cuda\r\n"}
    assert start_lines(fields, "/a b/runs/tb-0123456789abcdef") == [
        "set -e",
        "cd '/a b/runs/tb-0123456789abcdef/bundle'",
        "export ENVIRONMENTS='/a b/environments'",
        "mkdir -p '/a b/runs/tb-0123456789abcdef/bin'",
        "printf '%s\\n' '#!/bin/sh\nexec '\"'\"'/opt/py 3.12/bin/python'\"'\"' \"$@\"' > '/a b/runs/tb-0123456789abcdef/bin/python3'",
        "chmod +x '/a b/runs/tb-0123456789abcdef/bin/python3'",
        "export PATH='/a b/runs/tb-0123456789abcdef/bin':\"$PATH\"",
        "module load cuda",
        "cd '/a b/runs/tb-0123456789abcdef/bundle'",
    ]
    assert "export PYTHON=/env/bin/python" in start_lines({"trainer_python": "/env/bin/python"}, "/a/runs/k")


@pytest.mark.slow
def test_runs_share_the_gpus_of_the_host(own: Sshd, tmp_path: Path):
    fake = tmp_path / "bin"
    fake.mkdir()
    listed = "".join(f"echo '{number}, NVIDIA H100, 81559'\n" for number in range(3))
    (fake / "nvidia-smi").write_text(f"#!/bin/sh\n{listed}")
    (fake / "nvidia-smi").chmod(0o755)
    own.stop()
    own.environment["PATH"] = f"{fake}:/usr/bin:/bin"
    own.start()
    site = own.site(tmp_path, gpus="0 2")
    seen = COMPUTE.check(site)
    assert seen.note.startswith("2 × NVIDIA H100, Python")
    assert seen.facts["gpus"] == [{"name": "NVIDIA H100", "memory_bytes": 81559 << 20}] * 2
    does = "echo $CUDA_VISIBLE_DEVICES > out/log.txt; until [ -e go ]; do sleep 0.05; done"
    handles = [COMPUTE.submit(site, order(tmp_path, does, str(number))) for number in range(3)]
    logs = [Path(each["folder"]) / "bundle" / "out" / "log.txt" for each in handles]
    wait_for(lambda: sum(log.exists() for log in logs) == 2)
    wait_for(lambda: sorted(log.read_text() for log in logs if log.exists()) == ["0\n", "2\n"])
    phases = [phase(site, each) for each in handles]
    assert sorted(phases) == [Phase.RUNNING, Phase.RUNNING, Phase.WAITING]
    both = COMPUTE.submit(site, replace(order(tmp_path, does, "both"), gpus=2))
    for each in [*handles, both]:
        (Path(each["folder"]) / "bundle" / "go").touch()
    assert over(site, both).phase == Phase.ENDED
    assert (Path(both["folder"]) / "bundle" / "out" / "log.txt").read_text() == "0,2\n"
    with pytest.raises(Refused, match="4 GPUs, and the host has 2"):
        COMPUTE.submit(site, replace(order(tmp_path, "true", "many"), gpus=4))
    for each in [*handles, both]:
        COMPUTE.release(site, each)
    assert list((tmp_path / "there" / "runs").iterdir()) == []
