"""A server that speaks POST /v1/chat/completions, with every way a real one fails; for the tests of endpoints.

Its good answers are those of the `openai` package's types. Faults are queued by a test and used up one per call.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[str], str]


@dataclass
class Fault:
    """What a call meets in the place of an answer: a status, or "hang", "cut", "garbage", "html", "drop"."""

    kind: str | int
    message: str = "emulated"
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class Emulator:
    """What a test sets and reads. `answer` makes the text for a prompt; `key` is the one that is accepted."""

    base_url: str = ""
    key: str = ""
    answer: Answer = lambda prompt: "MARK: 10"
    faults: list[Fault] = field(default_factory=list)
    # Faults for prompts that hold a text, for as long as they stay here.
    poison: dict[str, Fault] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    delay: float = 0.0
    busiest: int = 0
    active: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def prompts(self) -> list[str]:
        """The last message of each call that was answered or refused, in order."""
        return [call["messages"][-1]["content"] for call in self.calls]

    def fault_for(self, prompt: str) -> Fault | None:
        """The fault that this call meets."""
        with self.lock:
            for text, fault in self.poison.items():
                if text in prompt:
                    return fault
            return self.faults.pop(0) if self.faults else None


@contextmanager
def chat_server() -> Iterator[Emulator]:
    """Runs the emulator on a free port of this machine."""
    emulator = Emulator()
    handler = type("Handler", (_Handler,), {"emulator": emulator})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    emulator.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield emulator
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    emulator: Emulator

    def do_POST(self) -> None:
        emulator = self.emulator
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with emulator.lock:
            emulator.calls.append(body | {"path": self.path})
            emulator.active += 1
            emulator.busiest = max(emulator.busiest, emulator.active)
        try:
            time.sleep(emulator.delay)
            self._answer(body)
        finally:
            with emulator.lock:
                emulator.active -= 1

    def _answer(self, body: dict[str, Any]) -> None:
        emulator, prompt = self.emulator, body["messages"][-1]["content"]
        if emulator.key and self.headers.get("authorization") != f"Bearer {emulator.key}":
            said = self.headers.get("authorization", "").removeprefix("Bearer ")
            self._json(401, _error(f"Incorrect API key provided: {said}"))
        elif fault := emulator.fault_for(prompt):
            self._fail(fault)
        elif body.get("stream"):
            self._stream(completion(body["model"], emulator.answer(prompt), prompt))
        else:
            self._json(200, completion(body["model"], emulator.answer(prompt), prompt))

    def _stream(self, whole: dict[str, Any]) -> None:
        """The answer word by word, as server-sent events; `delay` lies between two of them."""
        text, chunk = whole["choices"][0]["message"]["content"], {**whole, "object": "chat.completion.chunk"}
        words = text.split(" ")
        pieces = [word if not at else f" {word}" for at, word in enumerate(words)]
        choices = [[{"index": 0, "delta": {"content": each}, "finish_reason": None}] for each in pieces]
        choices.append([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            for each in choices:
                self._event(json.dumps({**chunk, "choices": each, "usage": None}))
                time.sleep(self.emulator.delay)
            self._event(json.dumps({**chunk, "choices": []}))
            self._event("[DONE]")
        self.close_connection = True

    def _event(self, data: str) -> None:
        self.wfile.write(f"data: {data}\n\n".encode())
        self.wfile.flush()

    def _fail(self, fault: Fault) -> None:
        if isinstance(fault.kind, int):
            self._json(fault.kind, _error(fault.message), fault.headers)
        elif fault.kind == "hang":
            time.sleep(fault.seconds)
            self.close_connection = True
        elif fault.kind == "drop":
            self.close_connection = True
        elif fault.kind == "html":
            self._send(200, b"<html>Sign in</html>", {"content-type": "text/html"})
        elif fault.kind == "garbage":
            self._send(200, b'{"choices": [', {"content-type": "application/json"})
        elif fault.kind == "cut":
            self._send(200, b'{"choices": [', {"content-type": "application/json", "content-length": "999"})
            self.close_connection = True

    def _json(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        # Whoever asked may have been killed, or may have stopped waiting.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Quiet."""


def completion(model: str, text: str, prompt: str = "") -> dict[str, Any]:
    """A chat completion as OpenAI's API gives it; a token is four characters here."""
    counts = {"prompt_tokens": len(prompt) // 4, "completion_tokens": max(len(text) // 4, 1)}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": {**counts, "total_tokens": sum(counts.values())},
    }


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "emulated", "param": None, "code": None}}
