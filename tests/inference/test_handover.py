"""Questions that go on to another model server, which speaks as vLLM, llama-server and Ollama do."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.inference.server import model, running

pytestmark = pytest.mark.laptop
CHAT = [{"role": "user", "content": "Say ü"}]


class Other(BaseHTTPRequestHandler):
    """Serves run-1 by the name that Ollama gives it."""

    asked: list[dict[str, Any]] = []
    status = 200

    def do_GET(self) -> None:
        self._send(200, json.dumps({"data": [{"id": "run-1:latest"}, {"id": "base"}]}))

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        self.asked.append(json.loads(self.rfile.read(length)))
        if self.status != 200:
            self._send(self.status, json.dumps({"error": "no room"}))
            return
        told = {"token": "ü", "logprob": -0.5, "top_logprobs": [{"token": "ü", "logprob": -0.5}]}
        chunks = [
            {"choices": [{"delta": {"role": "assistant"}}]},
            {"choices": [{"delta": {"content": "ü"}, "logprobs": {"content": [told]}}]},
            {"choices": [{"delta": {"content": "!"}, "finish_reason": "length"}]},
            {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
        ]
        self._send(200, "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n")

    def _send(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Other, "asked", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def _run(folder: Path, **config: Any) -> Path:
    folder.mkdir()
    told = {"kind": "hub", "max_new_tokens": 77, "labels": [], "hyperparameters": {}} | config
    (folder / "config.json").write_text(json.dumps(told))
    return folder


def test_a_run_that_another_server_has_is_answered_there(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = _run(tmp_path / "run-1")
    away = f"http://127.0.0.1:9/v1, {other}"
    with running(tmp_path, INFERENCE_SERVERS=away) as server:
        answer = server.chat(
            model=model(text, "hub"), messages=CHAT, seed=3, stop=["x"], logprobs=True, top_logprobs=1
        )
        assert answer.text == "ü!"
        assert answer.tokens == [{"token": "ü", "logprob": -0.5, "top": [["ü", -0.5]]}]
        assert answer.last == {"finish": "length", "prompt_tokens": 5, "completion_tokens": 2, "p": None}
        asked = Other.asked[-1]
        assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("run-1:latest", 77, 0.0)
        assert (asked["seed"], asked["stop"], asked["messages"]) == (3, ["x"], CHAT)
        for status, kind in ((500, "busy"), (429, "busy"), (400, "bad_request"), (401, "broken")):
            monkeypatch.setattr(Other, "status", status)
            assert server.chat(model=model(text, "hub"), messages=CHAT).error["kind"] == kind


def test_what_needs_the_runs_own_way_stays_here(other: str, tmp_path: Path) -> None:
    """With the device taken, an answer from here is told apart without loading anything."""
    with running(tmp_path, INFERENCE_SERVERS=other, INFERENCE_TAKEN="1") as server:
        with server.client() as client:
            client.post("/device/take", json={"launch_key": "key-1"})
        (tmp_path / "labels").mkdir()
        (tmp_path / "chooses").mkdir()
        kept = [
            {"model": model(_run(tmp_path / "labels" / "run-1", labels=["a"]), "hub")},
            {
                "model": model(
                    _run(tmp_path / "chooses" / "run-1", hyperparameters={"decoding": "json_schema"}), "hub"
                )
            },
            {"model": model(_run(tmp_path / "run-2"), "hub")},
            {"model": model(_run(tmp_path / "run-1"), "hub"), "labels": ["a"]},
        ]
        for body in kept:
            assert server.chat(**body, messages=CHAT).error["message"] == "A training holds the device."
        assert Other.asked == []
