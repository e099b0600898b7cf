"""Runs over SSH when things break: cut connections, killed programs, a host that lacks something, a full disk."""

import json
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.compute._base import Phase, Site
from app.compute._host import program
from app.compute.ssh import COMPUTE
from app.errors import AlreadyThere, Busy, KeyRefused
from tests.compute.ssh_server import Sshd, carriers, make_order, wait_for

MEGABYTE = 1 << 20


@pytest.fixture
def site(sshd: Sshd, tmp_path: Path) -> Iterator[Site]:
    made = sshd.site(tmp_path)
    yield made
    for job in COMPUTE.jobs(made):
        COMPUTE.release(made, job.handle)


def over(site: Site, handle):
    return wait_for(
        lambda: (now := COMPUTE.status(site, handle)).phase in (Phase.ENDED, Phase.GONE) and now, 40
    )


def test_the_host_is_not_reached(own: Sshd, tmp_path: Path):
    site = own.site(tmp_path)
    own.stop()
    for call in (
        lambda: COMPUTE.check(site),
        lambda: COMPUTE.jobs(site),
        lambda: COMPUTE.submit(site, make_order(tmp_path / "bundle", "true")),
    ):
        with pytest.raises(Busy, match="cannot be reached"):
            call()
    with pytest.raises(Busy, match="cannot be reached"):
        COMPUTE.check(own.site(tmp_path, host="no-such-host.invalid"))


def test_the_server_is_killed_and_comes_back_while_a_run_goes_on(own: Sshd, tmp_path: Path):
    site = own.site(tmp_path)
    asked = make_order(tmp_path / "bundle", "until [ -e go ]; do sleep 0.05; done; echo done > out/log.txt")
    handle = COMPUTE.submit(site, asked)
    wait_for(lambda: carriers(asked.launch_key))
    own.stop()
    for call in (COMPUTE.status, COMPUTE.cancel):
        with pytest.raises(Busy):
            call(site, handle)
    assert carriers(asked.launch_key)
    own.start()
    assert COMPUTE.status(site, handle).phase == Phase.RUNNING
    (Path(handle["folder"]) / "bundle" / "go").touch()
    assert over(site, handle).phase == Phase.ENDED
    COMPUTE.fetch(site, handle, asked.folder)
    assert (asked.folder / "out" / "log.txt").read_text() == "done\n"


def test_another_key_of_the_host_is_refused(own: Sshd, tmp_path: Path):
    site = own.site(tmp_path)
    handle = COMPUTE.submit(site, make_order(tmp_path / "bundle", "true"))
    own.stop()
    own.new_host_key()
    own.start()
    for call in (
        lambda: COMPUTE.check(site),
        lambda: COMPUTE.status(site, handle),
        lambda: COMPUTE.jobs(site),
    ):
        with pytest.raises(KeyRefused, match="does not show the host key"):
            call()


def submit(site: Site, order) -> None:
    COMPUTE.submit(site, order)


def copying(worker: int) -> list[psutil.Process]:
    """Clients of ssh and rsync below a worker that copy files."""
    return [
        each
        for each in psutil.Process(worker).children(recursive=True)
        if each.is_running() and each.status() != psutil.STATUS_ZOMBIE and "rsync" in " ".join(each.cmdline())
    ]


def test_the_worker_is_killed_in_the_middle_of_the_upload(site: Site, tmp_path: Path):
    base = tmp_path / "base model"
    base.mkdir()
    (base / "weights").write_bytes(os.urandom(60 * MEGABYTE))
    asked = make_order(tmp_path / "bundle", f"cmp 'base model/weights' '{base}/weights' || exit 1", base=base)
    worker = multiprocessing.get_context("fork").Process(target=submit, args=(site, asked))
    worker.start()
    parts = tmp_path / "there" / "base"
    wait_for(lambda: any(parts.glob("*.part/.weights.*")) or any(parts.glob("*.part/weights")), 30)
    victims = copying(worker.pid)
    for each in [psutil.Process(worker.pid), *victims]:
        each.kill()
    worker.join()
    assert victims
    assert COMPUTE.find(site, asked.launch_key) == []
    handle = COMPUTE.submit(site, asked)
    assert over(site, handle).phase == Phase.ENDED
    assert [path.suffix for path in parts.iterdir()] == [""]


def test_the_ssh_client_is_killed_in_the_middle_of_the_upload(site: Site, tmp_path: Path):
    asked = make_order(tmp_path / "bundle", "true")
    (asked.folder / "test.jsonl").write_bytes(os.urandom(60 * MEGABYTE))
    runs = tmp_path / "there" / "runs"

    def kill() -> None:
        wait_for(lambda: any(runs.glob("*/bundle/.test.jsonl.*")), 30)
        for each in copying(os.getpid()):
            each.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(Busy, match="lost"):
        COMPUTE.submit(site, asked)
    thread.join()
    assert COMPUTE.find(site, asked.launch_key) == []
    assert over(site, COMPUTE.submit(site, asked)).phase == Phase.ENDED


def test_the_worker_is_killed_right_after_the_start(site: Site, tmp_path: Path):
    asked = make_order(tmp_path / "bundle", "echo started >> starts; sleep 300")
    worker = multiprocessing.get_context("fork").Process(target=submit, args=(site, asked))
    worker.start()
    place = tmp_path / "there" / "runs" / asked.launch_key
    while not place.exists():
        time.sleep(0.001)
    for each in [*psutil.Process(worker.pid).children(recursive=True), psutil.Process(worker.pid)]:
        each.kill()
    worker.join()
    (found,) = COMPUTE.find(site, asked.launch_key)
    assert found.status.phase in (Phase.WAITING, Phase.RUNNING)
    with pytest.raises(AlreadyThere):
        COMPUTE.submit(site, asked)
    wait_for((place / "bundle" / "starts").exists)
    assert COMPUTE.status(site, found.handle).phase == Phase.RUNNING
    assert (place / "bundle" / "starts").read_text() == "started\n"


def test_the_program_does_nothing_when_it_is_cut_off(tmp_path: Path):
    wish = {"root": str(tmp_path / "there"), "key": "tb-0123456789abcdef", "nonce": "1"}
    whole = program([("stage", wish)], "answer ")
    for size in (0, 1000, len(whole) // 2, len(whole) - 200, len(whole) - 3):
        done = subprocess.run(["/usr/bin/env", "python3", "-"], input=whole[:size], capture_output=True)
        assert b"answer" not in done.stdout
    assert not (tmp_path / "there").exists()
    done = subprocess.run(["/usr/bin/env", "python3", "-"], input=whole, capture_output=True)
    assert b"answer" in done.stdout


@pytest.mark.slow
def test_the_host_was_restarted(site: Site, tmp_path: Path):
    asked = make_order(tmp_path / "bundle", "sleep 300")
    handle = COMPUTE.submit(site, asked)
    place = Path(handle["folder"])
    wait_for((place / "main.json").exists)
    # A power cut takes the watcher first.
    for name in ("watcher.json", "main.json"):
        who = json.loads((place / name).read_text())
        os.kill(who["pid"], signal.SIGKILL)
        # The pid is now another process's, in another boot.
        (place / name).write_text(json.dumps({**who, "pid": os.getpid(), "boot_id": "another"}))
    wait_for(lambda: carriers(asked.launch_key))
    for pid in carriers(asked.launch_key):
        os.kill(pid, signal.SIGKILL)
    ended = over(site, handle)
    assert (ended.phase, ended.state) == (Phase.GONE, "restarted")
    # It had ended before; a cancel that comes after that changes nothing, and ends nobody else's process.
    (place / "bundle" / "out" / "exit_code").write_text("0\n")
    COMPUTE.cancel(site, handle)
    assert COMPUTE.status(site, handle).phase == Phase.ENDED


def test_a_killed_run_is_gone(site: Site, tmp_path: Path):
    asked = make_order(tmp_path / "bundle", "echo last words; kill -9 $$")
    ended = over(site, COMPUTE.submit(site, asked))
    assert ended.phase == Phase.GONE
    assert "last words" in ended.note


@pytest.mark.slow
def test_children_that_heed_no_signal_are_killed(site: Site, tmp_path: Path):
    stubborn = (
        "trap '' TERM; setsid sh -c \"trap '' TERM; while :; do sleep 1; done\" & while :; do sleep 1; done"
    )
    asked = make_order(tmp_path / "bundle", stubborn)
    handle = COMPUTE.submit(site, asked)
    wait_for(lambda: len(carriers(asked.launch_key)) >= 3)
    COMPUTE.cancel(site, handle)
    assert not carriers(asked.launch_key)


@pytest.mark.slow
def test_the_deadline_is_kept_without_the_watcher(site: Site, tmp_path: Path):
    asked = make_order(tmp_path / "bundle", "sleep 300", deadline=1.0)
    handle = COMPUTE.submit(site, asked)
    place = Path(handle["folder"])
    wait_for((place / "main.json").exists)
    os.kill(json.loads((place / "watcher.json").read_text())["pid"], signal.SIGKILL)
    assert carriers(asked.launch_key)
    wait_for(lambda: not carriers(asked.launch_key), 30)
    assert COMPUTE.status(site, handle).phase == Phase.GONE
