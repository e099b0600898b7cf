"""What the socket says to good and bad requests; baselines, which need no PyTorch."""

import json
import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.inference.server import Server, model, rows, running
from tests.training.bundles import bundle, finish, job, values_of

pytestmark = pytest.mark.laptop
CHAT = [{"role": "user", "content": "river Gold"}]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baseline") / "run-1"
    bundle(folder, job("baseline/majority", values_of("baseline/majority")), 65)
    assert finish(folder) == 0, (folder / "console.txt").read_text()
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("socket")) as server:
        yield server


def test_a_baseline_answers_with_its_probabilities_as_the_run_did(server: Server, run: Path) -> None:
    for row in rows(run):
        asked = {"model": model(run, "baseline"), "messages": row["prompt"]}
        answer = server.chat(**asked, logprobs=True, top_logprobs=5)
        assert answer.text == row["prediction"]["answer"]
        assert answer.last["p"] == row["prediction"]["p"]
        assert [token["token"] for token in answer.tokens] == [answer.text]
        assert {label for label, _ in answer.tokens[0]["top"]} == set(row["prediction"]["p"])
    assert [each["kind"] for each in server.health()["models"]] == ["baseline"]
    with server.client() as client:
        assert client.post("/unload", json={"id": "run-1"}).json() == {"unloaded": 1, "in_use": 0}
    assert server.health()["models"] == []


def test_only_its_owner_can_connect_and_it_stays_small(server: Server) -> None:
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o600
    assert server.memory() < 20
    assert server.health() == {
        **server.health(), "pid": server.process and server.process.pid, "models": [], "waiting": 0, "training": False
    }  # fmt: skip


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({"messages": []}, 400, "messages"),
    ({"messages": "hello"}, 400, "messages"),
    ({"messages": [{"role": "god", "content": "x"}]}, 400, "role"),
    ({"messages": [{"role": "user", "content": {"a": 1}}]}, 400, "content"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
        400,
        "text only",
    ),
    ({"messages": [{"role": "user", "content": "\ud800"}]}, 400, "Unicode"),
    ({"messages": [{"role": "assistant", "tool_calls": [1]}]}, 400, "tool_calls"),
    ({"temperature": "hot"}, 400, "temperature"),
    ({"temperature": float("nan")}, 400, "temperature"),
    ({"temperature": -1}, 400, "temperature"),
    ({"top_p": 2}, 400, "top_p"),
    ({"max_tokens": 0}, 400, "max_tokens"),
    ({"max_tokens": True}, 400, "max_tokens"),
    ({"top_logprobs": 21}, 400, "top_logprobs"),
    ({"seed": 2**70}, 400, "seed"),
    ({"stop": ["x"] * 17}, 400, "stop"),
    ({"stop": [""]}, 400, "stop"),
    ({"schema": []}, 400, "schema"),
    ({"choose": "yes"}, 400, "choose"),
    ({"tools": [1]}, 400, "tools"),
    ({"model": None}, 400, "model"),
    ({"model": {"id": "x", "kind": "oracle", "bundle": "/"}}, 400, "kind"),
    ({"model": {"id": "x", "kind": "starter"}}, 400, "bundle"),
    ({"model": {"id": "x", "kind": "starter", "bundle": "relative"}}, 400, "absolute"),
    ({"model": {"id": "x", "kind": "starter", "bundle": "/\0"}}, 400, "absolute"),
    ({"model": {"id": "x", "kind": "baseline", "bundle": "/nowhere"}}, 404, "no bundle"),
]


@pytest.mark.parametrize(("change", "status", "said"), BAD, ids=lambda value: str(value)[:40])
def test_bad_requests_are_told_what_is_wrong(
    server: Server, run: Path, change: dict[str, Any], status: int, said: str
) -> None:
    asked = {"model": model(run, "baseline"), "messages": CHAT, **change}
    with server.client() as client:
        answer = client.post("/chat", content=json.dumps(asked), headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert said in error["message"] + error["hint"]
    assert error["kind"] == {400: "bad_request", 404: "not_found"}[status]
    assert error["retryable"] is False


RAW = [
    (b"hello\r\n\r\n", b" 400 "),
    (b"GET /health HTTP/1.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n", b" 400 "),
    (b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n", b" 404 "),
    (b"GET /chat HTTP/1.1\r\nhost: x\r\n\r\n", b" 404 "),
    (b"POST /chat HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello", b" 400 "),
    (b"POST /chat HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n[]", b" 400 "),
    (b"POST /chat HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n{" + b" " * 2**25, b" 413 "),
    (b"POST /chat HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n" + b"[" * 100_000, b" 400 "),
    (b"POST /unload HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{\"id\": 1}", b" 400 "),
    (b"POST /device/take HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}", b" 400 "),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "status"), RAW, ids=range(len(RAW)))
def test_what_is_no_request_harms_nobody(server: Server, sent: bytes, status: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(server.socket))
        try:
            client.sendall(sent)
        except BrokenPipeError:
            assert status == b" 413 "
        answer = client.recv(4096)
    assert status in answer[:20], answer
    assert server.health()["waiting"] == 0


def test_the_line_is_bounded_and_what_is_over_it_may_ask_again(run: Path, tmp_path: Path) -> None:
    with running(tmp_path, INFERENCE_WAITING="1") as server:
        answers = server.together([{"model": model(run, "baseline"), "messages": CHAT}] * 40)
        assert {answer.status for answer in answers} == {200, 503}
        refused = next(answer for answer in answers if answer.status == 503)
        assert refused.error == {**refused.error, "kind": "busy", "retryable": True}


def test_the_socket_of_a_killed_process_is_taken_over(run: Path, tmp_path: Path) -> None:
    with running(tmp_path) as server:
        assert server.process
        killed = server.process
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        assert server.socket.exists()
        server.start()
        server.wait()
        # A third one beside it waits for its turn.
        other = Server(tmp_path)
        other.start()
        time.sleep(0.5)
        assert server.health()["pid"] == server.process.pid
        assert other.process
        assert other.process.poll() is None
        other.process.kill()
        other.process.wait()
    assert not server.socket.exists()
