"""Processes on this machine: started, found, watched and ended for real."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.compute import local
from app.errors import Unavailable
from tests.compute.conftest import MakeBundle

DAY = 86_400.0
# Starts a run as a worker would, says the handle, and is gone.
WORKER = """
import json, os, sys
from pathlib import Path
from app.compute import local
folder, key, deadline, end = sys.argv[1:]
print(json.dumps(local.submit(Path(folder), sys.executable, float(deadline), key)), flush=True)
os.kill(os.getpid(), int(end))
"""


def wait_for(holds: Callable[[], Any], seconds: float = 20) -> Any:
    """What `holds` gives once it is true."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)
    return found


def submit(folder: Path, key: str, deadline: float = DAY) -> dict[str, Any]:
    return local.submit(folder, sys.executable, deadline_seconds=deadline, launch_key=key)


def introduced(folder: Path) -> dict[str, Any]:
    return wait_for(lambda: local._introduction(folder))


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def children_of(folder: Path) -> list[int]:
    introduced(folder)
    return [int(pid) for pid in (folder / "out" / "children").read_text().split()]


def test_a_process_that_ends_by_itself(make_bundle: MakeBundle) -> None:
    folder, key = make_bundle(does="end")
    handle = submit(folder, key)
    assert set(handle) == {"pid", "start_time", "boot_id", "launch_key"}
    wait_for(lambda: local.status(handle, folder) != "running")
    assert local.status(handle, folder) == "ended"
    wait_for(lambda: not psutil.pid_exists(handle["pid"]))
    assert local.find(folder, key) is None


def test_running_and_found_by_what_it_wrote(make_bundle: MakeBundle) -> None:
    folder, key = make_bundle()
    handle = submit(folder, key)
    assert local.status(handle, folder) == "running"
    written = introduced(folder)
    assert local.find(folder, key) == written
    assert written["pid"] == handle["pid"]
    assert written["start_time"] == pytest.approx(handle["start_time"], abs=0.5)
    assert written["boot_id"] == handle["boot_id"]
    assert local.find(folder, "another key") is None


def test_found_before_it_has_written_anything(make_bundle: MakeBundle) -> None:
    folder, key = make_bundle(mute=True)
    other_folder, other_key = make_bundle(mute=True)
    handle = submit(folder, key)
    submit(other_folder, other_key)
    found = local.find(folder, key)
    assert found == handle
    assert not (folder / "out" / "process.json").exists()
    assert local.find(other_folder, key) is None


def test_killed_is_not_ended(make_bundle: MakeBundle) -> None:
    folder, key = make_bundle()
    handle = submit(folder, key)
    introduced(folder)
    os.kill(handle["pid"], signal.SIGKILL)
    wait_for(lambda: local.status(handle, folder) != "running")
    assert local.status(handle, folder) == "killed"
    assert local.find(folder, key) is None


def test_a_zombie_has_ended(make_bundle: MakeBundle) -> None:
    folder, key = make_bundle()
    process = subprocess.Popen([sys.executable, "-c", "pass"], env={**os.environ, local.KEY: key})
    handle = local._handle(psutil.Process(process.pid), key)
    wait_for(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    (folder / "out").mkdir()
    assert local.status(handle, folder) == "killed"
    (folder / "out" / "exit_code").write_text("0\n")
    assert local.status(handle, folder) == "ended"
    process.wait()


@pytest.mark.parametrize(
    "forgery", [{"start_time": 1.0}, {"boot_id": "00000000-0000-0000-0000-000000000000"}, {"pid": None}]
)
def test_a_reused_pid_is_never_taken_for_ours(make_bundle: MakeBundle, forgery: dict[str, Any]) -> None:
    if "boot_id" in forgery and not local._boot_id():
        pytest.skip("this system has no boot id")
    folder, key = make_bundle()
    stranger = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
    )
    try:
        handle = local._handle(psutil.Process(stranger.pid), key) | forgery
        (folder / "out").mkdir()
        (folder / "out" / "process.json").write_text(json.dumps(handle))
        assert local.status(handle, folder) == "killed"
        assert local.find(folder, key) is None
        local.cancel(handle, grace_seconds=1)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_clock_that_was_set_does_not_lose_the_process(make_bundle: MakeBundle) -> None:
    folder, key = make_bundle()
    handle = submit(folder, key)
    moved = handle | {"start_time": handle["start_time"] - 3600}
    assert local.status(moved, folder) == "running"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_outlives_the_worker_and_is_adopted(make_bundle: MakeBundle, end: signal.Signals) -> None:
    folder, key = make_bundle()
    worker = subprocess.run(
        [sys.executable, "-c", WORKER, str(folder), key, str(DAY), str(int(end))],
        capture_output=True,
        check=False,
    )
    handle = json.loads(worker.stdout)
    introduced(folder)
    assert local.status(handle, folder) == "running"
    assert local.find(folder, key)["pid"] == handle["pid"]  # type: ignore[index]
    local.cancel(handle, grace_seconds=5)
    assert gone(handle["pid"])


def test_no_secret_of_ours_reaches_the_process(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEBOOK_DATABASE_URL", "postgresql://lab:canary@db/lab")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    folder, key = make_bundle(does="end")
    handle = submit(folder, key)
    wait_for(lambda: local.status(handle, folder) == "ended")
    environment = json.loads((folder / "out" / "environment").read_text())
    assert "canary" not in str(environment)
    assert not [name for name in environment if name.startswith("TUNEBOOK_")]
    assert environment["PYTHONPATH"] == str(folder / "code")
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert environment["LAUNCH_KEY"] == key


def test_cancel_gives_time_to_stop(make_bundle: MakeBundle) -> None:
    folder, key = make_bundle()
    handle = submit(folder, key)
    introduced(folder)
    started = time.monotonic()
    local.cancel(handle, grace_seconds=20)
    assert time.monotonic() - started < 10
    assert local.status(handle, folder) == "killed"
    local.cancel(handle, grace_seconds=20)
    assert time.monotonic() - started < 10


def test_cancel_leaves_nothing_behind(make_bundle: MakeBundle) -> None:
    folder, key = make_bundle(stubborn=True, children=True)
    handle = submit(folder, key)
    children = children_of(folder)
    local.cancel(handle, grace_seconds=0.3)
    assert all(gone(pid) for pid in [handle["pid"], *children])


def test_children_of_a_killed_process_do_not_keep_the_next_one_out(make_bundle: MakeBundle) -> None:
    folder, key = make_bundle(children=True)
    first = submit(folder, key)
    children = children_of(folder)
    os.kill(first["pid"], signal.SIGKILL)
    wait_for(lambda: local.status(first, folder) == "killed")
    assert not any(gone(pid) for pid in children)
    second = submit(folder, key)
    wait_for(lambda: local._introduction(folder).get("pid") == second["pid"])
    assert all(gone(pid) for pid in children)


def test_two_processes_never_work_in_one_folder(make_bundle: MakeBundle) -> None:
    folder, key = make_bundle()
    first = submit(folder, key)
    introduced(folder)
    second = subprocess.run(
        [sys.executable, "-m", "training", str(folder)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": "code"},
        check=False,
    )
    assert second.returncode == 75
    assert local.status(first, folder) == "running"
    assert local.find(folder, key)["pid"] == first["pid"]  # type: ignore[index]


def test_the_deadline_holds_without_the_worker(make_bundle: MakeBundle) -> None:
    folder, key = make_bundle(stubborn=True, children=True)
    worker = subprocess.run(
        [sys.executable, "-c", WORKER, str(folder), key, "1", str(int(signal.SIGKILL))],
        capture_output=True,
        check=False,
    )
    handle = json.loads(worker.stdout)
    own_child = children_of(folder)[0]
    wait_for(lambda: local.status(handle, folder) != "running")
    assert local.status(handle, folder) == "ended"
    assert (folder / "out" / "exit_code").read_text().strip() == "1"
    error = json.loads((folder / "out" / "error.json").read_text())
    assert "deadline" in error["message"]
    assert error["hint"]
    wait_for(lambda: gone(own_child))


def test_a_python_that_is_not_there_is_said(make_bundle: MakeBundle) -> None:
    folder, key = make_bundle()
    with pytest.raises(Unavailable, match="/no/such/python") as caught:
        local.submit(folder, "/no/such/python", deadline_seconds=DAY, launch_key=key)
    assert "TUNEBOOK_TRAINER_PYTHON" in caught.value.hint


def test_what_it_prints_is_kept(make_bundle: MakeBundle) -> None:
    folder, key = make_bundle()
    (folder / "config.json").write_text("not JSON")
    handle = submit(folder, key)
    wait_for(lambda: local.status(handle, folder) == "killed")
    assert "JSONDecodeError" in (folder / "out" / "console.txt").read_text()
