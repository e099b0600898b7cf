"""The emulator's HTTP server: finds the service and its route, then sends the answer, spoilt if a fault says so.

Addresses: /SERVICE/..., /_files/TOKEN (presigned uploads and downloads), /_emulator/... (a test in another process).
"""

import contextlib
import dataclasses
import importlib
import json
import pkgutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import tests.emulator as package
from tests.emulator._control import control
from tests.emulator._service import Answer, Call, Problem, Service, flat
from tests.emulator._websocket import speak
from tests.emulator._world import Fault, Seen, World

GARBAGE = b'{"id": "x", "object": "fine_tuning.job", "status": "runn'
HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
PIECE = 65536
# Presigned addresses: no key, no routes.
FILES = Service("_files", "")


def service_names() -> list[str]:
    """Files of this folder that may give a SERVICE; each is named after it."""
    names = [info.name for info in pkgutil.iter_modules(package.__path__)]
    return [name for name in names if not name.startswith(("_", "test_"))]


@lru_cache
def service(name: str) -> Service | None:
    """One service; its file (and the SDK that it checks with) is imported when it is first asked for."""
    if name not in service_names():
        return None
    return getattr(importlib.import_module(f"tests.emulator.{name}"), "SERVICE", None)


def services() -> dict[str, Service]:
    """All of them, by name."""
    return {name: found for name in service_names() if (found := service(name)) is not None}


class Handler(BaseHTTPRequestHandler):
    """One connection; `world` is set by serve()."""

    world: World
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self._handle()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET

    def _handle(self) -> None:
        raw = self._body()
        parts = urlsplit(self.path)
        first, _, rest = parts.path.lstrip("/").partition("/")
        if first == "_emulator":
            return self._send(control(self.world, self.command, rest, raw))
        wanted = FILES if first == FILES.name else service(first)
        if wanted is None:
            return self._send(Answer({"error": f"no service {first!r}"}, 404))
        path, query = unquote(f"/{rest}"), flat(parts.query)
        call = Call(self.world, wanted, self.command, path, query, self.headers, raw)
        seen = Seen(first, call.method, call.path, parts.query, _readable(raw), self.world.now())
        with self.world.lock:
            self.world.seen.append(seen)
            self.world.active += 1
            self.world.busiest = max(self.world.busiest, self.world.active)
            fault = self.world.fault_for(seen.route)
        try:
            self._answer(call, seen, fault)
        finally:
            with self.world.lock:
                self.world.active -= 1

    def _answer(self, call: Call, seen: Seen, fault: Fault | None) -> None:
        seen.fault = fault.kind if fault else ""
        answer = Answer()
        if fault is None or fault.effect:
            answer = self._blob(call) if call.service is FILES else self._act(call)
            if call.form:
                seen.body = {
                    name: parts[0].text if not parts[0].filename else "a file"
                    for name, parts in call.form.items()
                }
        if fault is not None and fault.kind == "status":
            answer = Answer(call.service.error(fault.status, fault.message, ""), fault.status, fault.headers)
        if fault is not None and fault.kind in ("hang", "late"):
            time.sleep(fault.seconds)
        if fault is not None and fault.kind in ("drop", "hang"):
            return self._drop()
        seen.status = answer.status
        return self._send(answer, fault)

    def _act(self, call: Call) -> Answer:
        """The service's own answer."""
        service, world = call.service, self.world
        try:
            with world.lock:
                service.sign_in(call)
                route = service.find(call)
                pace = world.paces[service.name]
                wait = pace.take(time.monotonic()) if route.paced else 0.0
            if wait:
                raise Problem(429, "Rate limit reached for requests", "rate_limit_exceeded", **_limits(wait))
            with world.lock:
                service.check(call, route)
                given = route.act(call)
            answer = given if isinstance(given, Answer) else Answer(given)
            if route.paced and pace.per_second:
                remaining = {"x-ratelimit-remaining-requests": str(int(pace.left))}
                answer.headers = {
                    "x-ratelimit-limit-requests": str(pace.burst),
                    **remaining,
                    **answer.headers,
                }
            if route.paced and pace.latency:
                time.sleep(pace.latency)
            return answer
        except Problem as problem:
            headers = {name.replace("_", "-"): value for name, value in problem.headers.items()}
            return Answer(
                service.error(problem.status, problem.message, problem.code), problem.status, headers
            )

    def _blob(self, call: Call) -> Answer:
        blobs, token = self.world.blobs, call.path.lstrip("/")
        if self.command in ("PUT", "POST"):
            blobs[token] = call.raw
            return Answer(b"", headers={"etag": f'"{token}"'})
        if token not in blobs:
            return Answer(b"<Error><Code>NoSuchKey</Code></Error>", 404, {"content-type": "application/xml"})
        return self.ranged(blobs[token])

    def ranged(self, content: bytes) -> Answer:
        """A download, or the part of it that a Range header asks for."""
        asked = (self.headers.get("range") or "").removeprefix("bytes=").partition("-")
        kind = {"content-type": "application/octet-stream", "accept-ranges": "bytes"}
        if not asked[0].isdigit():
            return Answer(content, headers=kind)
        start = int(asked[0])
        if start >= len(content):
            return Answer(b"", 416, {"content-range": f"bytes */{len(content)}"})
        end = min(int(asked[2] or len(content) - 1), len(content) - 1)
        kind["content-range"] = f"bytes {start}-{end}/{len(content)}"
        return Answer(content[start : end + 1], 206, kind)

    def _body(self) -> bytes:
        if "chunked" not in (self.headers.get("transfer-encoding") or ""):
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    def _drop(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(2)

    def _send(self, answer: Answer, fault: Fault | None = None) -> None:
        spoilt = fault.kind if fault else ""
        if answer.status == 101:
            self.close_connection = True
            return speak(self.connection, self.headers.get("sec-websocket-key") or "", answer.body)
        if hasattr(answer.body, "__next__") and not spoilt:
            return self._stream(answer)
        headers = {"content-type": "application/json", **answer.headers}
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        if spoilt == "edit" and fault:
            body = json.dumps({**json.loads(body), **fault.edit}).encode()
        if spoilt in ("garbage", "html", "empty"):
            body = {"garbage": GARBAGE, "html": HTML, "empty": b""}[spoilt]
        size = 2**30 if spoilt == "huge" else len(body)
        self.send_response(answer.status)
        for name, value in {**headers, "content-length": str(size)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return None
        if spoilt == "cut":
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            return self._drop()
        if spoilt == "huge":
            return self._huge()
        if spoilt == "slow" and fault:
            return self._slowly(body, fault.seconds)
        self.wfile.write(body)
        return None

    def _slowly(self, body: bytes, seconds: float) -> None:
        for at in range(len(body)):
            self.wfile.write(body[at : at + 1])
            self.wfile.flush()
            time.sleep(seconds / max(len(body), 1))

    def _huge(self) -> None:
        for _ in range(2**30 // PIECE):
            self.wfile.write(b" " * PIECE)

    def _stream(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {"content-type": "text/event-stream", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in answer.body:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


def _limits(wait: float) -> dict[str, str]:
    reset = f"{wait:.3f}s"
    return {
        "retry_after_ms": f"{wait * 1000:.0f}",
        "x_ratelimit_remaining_requests": "0",
        "x_ratelimit_reset_requests": reset,
    }


def _readable(raw: bytes) -> Any:
    if len(raw) > 1_000_000:
        return f"{len(raw)} bytes"
    try:
        return json.loads(raw)
    except ValueError:
        return raw[:2000].decode(errors="replace")


class Server(ThreadingHTTPServer):
    """Many connections at once."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no news; anything else is."""
        with contextlib.suppress(OSError):
            super().handle_error(request, client_address)


def bind(world: World, port: int = 0) -> Server:
    """A server on 127.0.0.1 that holds this world; `port` 0: a free one."""
    server = Server(("127.0.0.1", port), type("Bound", (Handler,), {"world": world}))
    world.base = f"http://127.0.0.1:{server.server_port}"
    return server


@contextmanager
def emulator(port: int = 0, **settings: Any) -> Iterator[World]:
    """All emulated services in a thread, until the block ends; `settings` are fields of World."""
    world = dataclasses.replace(World(), **settings)
    server = bind(world, port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield world
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
