"""Kills, crowds and memory of the server of local models, under the supervisor that looks after it."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.supervisor import Child, end, make_tether, supervise
from tests.inference.server import Answer, Server, model, running
from tests.training.bundles import bundle, finish, job, values_of

pytestmark = [pytest.mark.slow, pytest.mark.train, pytest.mark.laptop]
pytest.importorskip("torch")
CHAT = [{"role": "user", "content": "river Gold lamp"}]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = values_of("starter/tiny", epochs=1, vocabulary=400, max_seq_len=512)
    folder = bundle(
        tmp_path_factory.mktemp("faults") / "run-1", job("starter/tiny", values, max_new_tokens=64)
    )
    assert finish(folder) == 0, (folder / "console.txt").read_text()
    return folder


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    environment = {"INFERENCE_SOCKET": str(server.socket), "INFERENCE_THREADS": "1"}
    child = Child("inference", [sys.executable, "-m", "workers.inference"], environment)
    stop, tether = threading.Event(), make_tether()
    thread = threading.Thread(target=supervise, args=([child], tether, stop))
    thread.start()
    try:
        server.wait()
        yield server
    finally:
        stop.set()
        thread.join()
        end([child], 5)


def test_killed_amid_200_chats_it_is_back_and_every_client_knows(supervised: Server, run: Path) -> None:
    asked = {
        "model": model(run, "starter"),
        "messages": CHAT,
        "labels": ["x"],
        "temperature": 3.0,
        "max_tokens": 64,
    }
    assert supervised.chat(**asked).status == 200
    pid = supervised.health()["pid"]
    outcomes: list[str] = []

    def chat(number: int) -> None:
        try:
            answer = supervised.chat(**asked, seed=number)
            outcomes.append("answered" if "finish" in answer.last else answer.error["kind"])
        except httpx.TransportError:
            # What app/door tells its client as retryable.
            outcomes.append("broken connection")

    with ThreadPoolExecutor(200) as pool:
        for number in range(200):
            pool.submit(chat, number)
        while not outcomes:
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        supervised.wait(10)
        assert time.monotonic() - killed < 10
    assert len(outcomes) == 200
    assert set(outcomes) <= {"answered", "broken connection"}
    assert "broken connection" in outcomes
    assert supervised.health()["pid"] != pid
    assert supervised.chat(**asked).status == 200


def test_memory_is_given_back_and_nobody_is_refused_meanwhile(run: Path, tmp_path: Path) -> None:
    with running(tmp_path, INFERENCE_IDLE_SECONDS="1") as server:
        before = server.memory()
        for _ in range(2):
            assert server.chat(model=model(run, "starter"), messages=CHAT).status == 200
            assert server.memory() > before + 50
            give_up = time.monotonic() + 30
            while server.memory() > before + 5:
                assert time.monotonic() < give_up
                # Also while it replaces itself.
                assert server.health()["device"] in ("cpu", "cuda")
                time.sleep(0.05)
        assert server.memory() < 20
        assert server.process
        assert server.health()["pid"] == server.process.pid


def test_many_models_and_clients_that_leave(run: Path, tmp_path: Path) -> None:
    """Half of the clients hang up at some time; the others get what they asked for."""
    asked = {
        "model": model(run, "starter"),
        "messages": CHAT,
        "labels": ["x"],
        "temperature": 2.0,
        "max_tokens": 40,
    }
    with running(tmp_path) as server:

        def chat(number: int) -> Answer | None:
            if number % 2:
                return server.chat(**asked, seed=number)
            try:
                with httpx.Client(
                    transport=httpx.HTTPTransport(uds=str(server.socket)), timeout=0.01 * (number + 1)
                ) as client:
                    client.post("http://inference/chat", json={**asked, "seed": number})
            except httpx.TimeoutException:
                pass
            return None

        server.chat(**asked)
        with ThreadPoolExecutor(48) as pool:
            answers = [answer for answer in pool.map(chat, range(96)) if answer]
        assert {answer.status for answer in answers} == {200}
        assert all("finish" in answer.last for answer in answers)
        give_up = time.monotonic() + 10
        while server.health()["waiting"] or any(each["in_use"] for each in server.health()["models"]):
            assert time.monotonic() < give_up
            time.sleep(0.05)
