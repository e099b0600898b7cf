"""`tunebook up` for real: one link, clean ends, children that come back, and none that outlives it."""

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from app import supervisor
from app.waiting import Waiting
from tests.fresh import forget_settings
from tests.source import ROOT
from tests.stack import Stack, part_of, rule_rows, running_stack, wait_for

# The first worker is the clock as well; others come when messages wait.
PARTS = ("web", "worker", "inference")
# A training run long enough to be stopped in the middle of it.
LONG = {"model": "starter/tiny", "hyperparameters": {"epochs": 400}}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    yield from running_stack(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One that is running after each of its tests as it was before."""
    yield from running_stack(tmp_path_factory.mktemp("shared"))


def child(stack: Stack, name: str) -> psutil.Process | None:
    """The web, worker or clock process itself, not what it forked."""
    assert stack.process
    for process in psutil.Process(stack.process.pid).children():
        if part_of(process) == name:
            return process
    return None


def everything(stack: Stack) -> list[psutil.Process]:
    """Web, worker and the server of models, once they are there."""
    return wait_for(lambda: all(child(stack, name) for name in PARTS) and stack.children(), 20)


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [
        process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


def run_again(stack: Stack, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A second `tunebook up` beside the first."""
    return subprocess.run(
        [sys.executable, "-m", "app", "up"],
        cwd=ROOT,
        env={**stack.environment, **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_the_link_signs_in_and_the_second_start_is_fast(stack: Stack) -> None:
    with httpx.Client(follow_redirects=True) as browser:
        answer = browser.get(stack.link)
        assert answer.status_code == 200
        assert answer.url.path == "/"
        assert "server" not in answer.headers
    first, log = stack.link, stack.data / "up.log"
    stack.stop()
    began = time.monotonic()
    stack.start()
    seconds = time.monotonic() - began
    assert stack.link != first
    assert httpx.get(f"{stack.base}/healthz").text == "ok\n"
    # Five seconds is the promise for a machine at rest; tests may share theirs with others.
    assert seconds < 5 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)), seconds
    assert "token=" not in log.read_text()


def test_the_data_folder_is_private(shared: Stack) -> None:
    everything(shared)
    shared.upload(rule_rows(10))
    files = [path for path in shared.data.rglob("*") if path.name != "up.log"]
    assert {path.name for path in files} >= {"tunebook.db", "queue", "datasets", "lock"}
    shared = [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert not shared


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_cleanly_and_leaves_nothing(stack: Stack, number: signal.Signals) -> None:
    processes = everything(stack)
    assert stack.process
    began = time.monotonic()
    with httpx.Client() as open_connection:
        open_connection.get(f"{stack.base}/healthz")
        stack.process.send_signal(number)
        assert stack.process.wait(20) == 0
    # Ten seconds on a machine at rest; tests may share theirs with others.
    assert time.monotonic() - began < 10 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert not living(processes)
    assert not (stack.data / "lock").read_text()
    with socket.create_server(("127.0.0.1", stack.port)):
        pass


@pytest.mark.parametrize("name", PARTS)
def test_a_child_that_is_killed_comes_back(shared: Stack, name: str) -> None:
    everything(shared)
    old = child(shared, name)
    assert old
    old.kill()
    # The port stays open meanwhile: requests wait instead of being refused.
    assert httpx.get(f"{shared.base}/healthz", timeout=20).status_code == 200
    new = wait_for(lambda: child(shared, name), 20)
    assert new.pid != old.pid
    dataset = shared.upload(rule_rows(10))
    assert shared.call("GET", f"/datasets/{dataset}")["state"] == "ready"


def test_forks_share_nothing_but_memory(shared: Stack) -> None:
    """The supervisor has no threads and no database when it forks; its lock and its pipe stay its own."""
    everything(shared)
    assert shared.process
    parent = psutil.Process(shared.process.pid)
    assert parent.num_threads() == 1
    assert {Path(file.path).name for file in parent.open_files()} <= {"lock", "up.log"}
    port = {process.pid for process in shared.children() if process.net_connections("tcp")}
    web = child(shared, "web")
    assert web
    assert port == {web.pid}
    inference = child(shared, "inference")
    assert inference
    # It has the tether and its options, and none of the settings; nor would a fork show it: it is a fresh process.
    assert [name for name in inference.environ() if name.startswith("TUNEBOOK_")] == ["TUNEBOOK_TETHER"]
    assert "TUNEBOOK_DATA" in web.environ()
    for process in shared.children():
        assert "lock" not in {Path(file.path).name for file in process.open_files()}
        assert os.getpgid(process.pid) == process.pid


def test_another_worker_is_wanted_while_messages_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEBOOK_DATA", str(tmp_path))
    forget_settings()
    second, third = Waiting(1), Waiting(2)
    assert not second()
    folder = tmp_path / "queue" / "messages"
    folder.mkdir(parents=True)
    (folder / "1_a.celery.msg").touch()
    assert not second(), "it came just now"
    assert second()
    (folder / "1_a.celery.msg").unlink()
    for name in ("2_b.celery.msg", "3_c.celery.msg"):
        (folder / name).touch()
    assert [second(), third()] == [False, False]
    assert [second(), third()] == [True, True]
    forget_settings()


def test_a_child_on_demand_comes_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(supervisor, "REST_SECONDS", 0.2)
    needed, stop, tether = threading.Event(), threading.Event(), supervisor.make_tether()
    sleeper = supervisor.Child("sleeper", ["sleep", "60"], wanted=needed.is_set)
    thread = threading.Thread(target=supervisor.supervise, args=([sleeper], tether, stop))
    thread.start()
    try:
        time.sleep(0.1)
        assert sleeper.process is None
        needed.set()
        wait_for(lambda: sleeper.process, 5)
        needed.clear()
        wait_for(lambda: sleeper.process is None, 5)
        assert sleeper.failures == 0
    finally:
        stop.set()
        thread.join()
        supervisor.end([sleeper], 1)


def test_nothing_outlives_a_killed_supervisor(stack: Stack) -> None:
    processes = everything(stack)
    assert stack.process
    stack.process.kill()
    stack.process.wait()
    wait_for(lambda: not living(processes), 12)
    stack.start()
    assert httpx.get(f"{stack.base}/healthz").status_code == 200


def test_nothing_outlives_a_killed_supervisor_and_worker(stack: Stack) -> None:
    """The workers hold the tether as well."""
    processes = everything(stack)
    worker = child(stack, "worker")
    assert stack.process
    assert worker
    stack.process.kill()
    worker.kill()
    stack.process.wait()
    wait_for(lambda: not living(processes), 15)


def test_a_start_right_after_a_kill_waits_for_the_port(stack: Stack) -> None:
    assert stack.process
    stack.process.kill()
    stack.process.wait()
    stack.start()
    assert httpx.get(f"{stack.base}/healthz").status_code == 200


def test_one_folder_has_one_tunebook(shared: Stack) -> None:
    again = run_again(shared, TUNEBOOK_PORT="0")
    assert again.returncode == 1
    assert f"runs on {shared.data.resolve()} already" in again.stderr
    assert "Traceback" not in again.stderr
    assert httpx.get(f"{shared.base}/healthz").status_code == 200


def test_a_taken_port_is_said(shared: Stack, tmp_path_factory: pytest.TempPathFactory) -> None:
    again = run_again(shared, TUNEBOOK_DATA=str(tmp_path_factory.mktemp("other")))
    assert again.returncode == 1
    assert f"Port {shared.port} on 127.0.0.1 is taken" in again.stderr
    assert f"PORT={shared.port + 1}" in again.stderr
    assert "Traceback" not in again.stderr


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TUNEBOOK_PORT", "abc", "TUNEBOOK_PORT cannot be used"),
        ("TUNEBOOK_PORT", "70000", "cannot listen"),
        ("TUNEBOOK_HOST", "203.0.113.7", "cannot listen"),
        ("TUNEBOOK_DATA", "/proc/tunebook", "cannot be written"),
        ("TUNEBOOK_DATABASE_URL", "postgresql://127.0.0.1:1/none", "database cannot be opened"),
    ],
)
def test_what_cannot_start_says_why(tmp_path: Path, name: str, value: str, words: str) -> None:
    environment = {"TUNEBOOK_DATA": str(tmp_path), "TUNEBOOK_PORT": "0", name: value}
    done = subprocess.run(
        [sys.executable, "-m", "app", "up"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.train
def test_ctrl_c_ends_training_and_a_start_continues_it(stack: Stack) -> None:
    dataset = stack.upload(rule_rows(200))
    body = {"dataset_id": dataset, "models": [LONG], "seeds": [1]}
    run = stack.call("POST", "/experiments", json=body)["runs"][0]["id"]

    def steps() -> int:
        series = stack.call("GET", f"/runs/{run}/metrics")["series"]
        return int(max((point[0] for points in series.values() for point in points), default=0))

    wait_for(lambda: steps() > 20, 60)
    assert stack.trainers()
    stack.stop()
    assert not stack.trainers()
    stack.start()
    state = wait_for(
        lambda: (
            (now := stack.call("GET", f"/runs/{run}"))["state"] == "training" and stack.trainers() and now
        ),
        30,
    )
    assert state["state"] == "training"
    before = steps()
    wait_for(lambda: steps() > before, 60)
    stack.call("POST", f"/runs/{run}/cancel")
    wait_for(lambda: stack.call("GET", f"/runs/{run}")["state"] == "cancelled", 30)
    assert not stack.trainers()
