"""Clients that are slow, silent or gone, against a real web server: they are cut at a limit and hold up nobody."""

import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress

import pytest

from tests.faults.web_alone import BOUNDARY, Web, web  # noqa: F401  a fixture
from tests.source import ROOT
from tests.stack import rule_rows, wait_for

IDLE = 500
# Other pages' p95 is printed, and is to be under 0.3 s on a quiet machine; this much a busy one may take.
P95_SECONDS = 1.0
FIRST = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="slow.jsonl"\r\n'
    "Content-Type: application/jsonl\r\n\r\n"
).encode()


@pytest.mark.slow
def test_odd_lengths_and_parts_are_refused_and_nothing_is_kept(web: Web) -> None:  # noqa: F811
    """One server for all of them: a negative, wrong, huge or missing length, a cut body, parts without end."""
    good = FIRST + rule_rows(30).encode() + f"\r\n--{BOUNDARY}--\r\n".encode()
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n'
    many = b"".join((part % number).encode() for number in range(2000))
    nameless = f"--{BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\n".encode() + b"x" * 500_000
    tries = {
        "negative length": (web.head(-5), good),
        "length that is no number": (web.head("many"), good),
        "shorter than the body": (web.head(len(good) // 2), good),
        "larger than allowed": (web.head(2**60), good),
        "2,000 parts": (web.head(len(many) + len(good)), many, good),
        "a long field without a name": (web.head(len(nameless) + len(good)), nameless, b"\r\n", good),
        "1 MB of head": (web.head(len(good), f"X-Long: {'x' * 1_000_000}\r\n"), good),
        "gzip": (web.head(len(good), "Content-Encoding: gzip\r\n"), good),
    }
    for name, pieces in tries.items():
        answer = web.raw(*pieces)
        status = answer.split(b" ", 2)[1:2] or [b"closed"]
        assert status[0] == b"closed" or 400 <= int(status[0]) < 500, (name, answer[:300])
    for cut in (0.01, 0.5, 0.99):
        with socket.create_connection(("127.0.0.1", web.port)) as connection:
            connection.sendall(web.head(len(good)) + good[: int(len(good) * cut)])
    wait_for(lambda: web.incoming() == [], 20)
    assert web.call("GET", "/datasets")["datasets"] == []
    assert web.raw(web.head(len(good)), good).split(b" ", 2)[1] == b"201"


@pytest.mark.slow
def test_five_hundred_idle_and_slow_connections_hold_up_nobody(web: Web) -> None:  # noqa: F811
    """Silent connections, heads that never end, bodies of ten bytes a second; all of them are cut."""
    quiet = web.pages(40)
    with ExitStack() as stack:
        opened = []
        for number in range(IDLE):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", web.port)))
            if number % 5 == 1:
                connection.sendall(b"GET /datasets HTTP/1.1\r\nHost: 127.0.0.1\r\nX-")
            if number % 5 == 2:
                connection.sendall(web.head(100_000) + FIRST)
            opened.append(connection)
        stop = threading.Event()
        drip = threading.Thread(target=dripping, args=(opened[2::5], stop))
        drip.start()
        try:
            busy = web.pages(40)
            silent = [each for number, each in enumerate(opened) if number % 5 != 2]
            began = time.monotonic()
            wait_for(lambda: all(closed(each) for each in silent), 60)
            heads = time.monotonic() - began
            wait_for(lambda: all(closed(each) for each in opened), 120)
            bodies = time.monotonic() - began
        finally:
            stop.set()
            drip.join()
    wait_for(lambda: web.incoming() == [], 20)
    print(f"p95 of a page {quiet:.3f} s, with {IDLE} slow connections {busy:.3f} s;", end=" ")
    print(f"silent ones cut after {heads:.0f} s, slow bodies after {bodies:.0f} s")
    assert busy < max(P95_SECONDS, 3 * quiet)


def dripping(connections: list[socket.socket], stop: threading.Event) -> None:
    """Sends ten bytes a second on each of them."""
    while not stop.wait(1):
        for each in connections:
            with suppress(OSError):
                each.sendall(b"x" * 10)


def closed(connection: socket.socket) -> bool:
    """Whether the other side has closed it."""
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.setblocking(True)
    return True


@pytest.mark.slow
def test_a_line_of_a_gigabyte_is_refused_in_flat_memory(web: Web) -> None:  # noqa: F811
    """The upload streams to disk; the check of it is the worker's, which refuses at the size of a row."""
    size, piece = 1024**3, b"x" * 2**20
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    before, most = web.memory(), 0
    with socket.create_connection(("127.0.0.1", web.port), timeout=60) as connection:
        connection.sendall(web.head(len(FIRST) + size + len(tail)) + FIRST)
        for number in range(size // len(piece)):
            connection.sendall(piece)
            if number % 32 == 0:
                most = max(most, web.memory())
        connection.sendall(tail)
        assert connection.recv(65536).split(b" ", 2)[1] == b"201"
    assert most - before < 64 * 1024**2
    (uploaded,) = web.call("GET", "/datasets")["datasets"]
    code = f"from workers.datasets import check; check({uploaded['id']}); import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    idle = "import workers.datasets, resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    peaks, began = [], 0.0
    for each in (idle, code):
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", each],
            cwd=ROOT,
            env=web.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout) // 1024)
    refused = time.monotonic() - began
    told = web.call("GET", f"/datasets/{uploaded['id']}")
    assert told["state"] == "refused", told
    print(f"1 GiB in one line: web +{(most - before) >> 20} MiB, worker +{peaks[1] - peaks[0]} MiB,", end=" ")
    print(f"refused after {refused:.1f} s: {told['problems'][0]['message']}")
    assert peaks[1] - peaks[0] < 64


@pytest.mark.slow
def test_slow_readers_of_a_large_file_hold_up_nobody(web: Web) -> None:  # noqa: F811
    """Forty clients begin a download and read nothing more."""
    dataset = web.call("POST", "/datasets", files={"file": ("large.jsonl", rule_rows(150_000).encode())})[
        "id"
    ]
    subprocess.run(
        [sys.executable, "-c", f"from workers.datasets import check; check({dataset})"],
        cwd=ROOT,
        env=web.environment,
        check=True,
    )
    path = f"/datasets/{dataset}/splits/1.jsonl"
    quiet, before = web.pages(40), web.memory()
    with ExitStack() as stack:
        for _ in range(40):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", web.port)))
            connection.sendall(
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {web.token}\r\n\r\n".encode()
            )
            assert connection.recv(4096).split(b" ", 2)[1] == b"200"
        busy = web.pages(40)
        grown = web.memory() - before
        # A writer is not kept out either.
        web.call("POST", "/datasets", files={"file": ("small.jsonl", rule_rows(30).encode())})
    print(f"p95 of a page {quiet:.3f} s, with 40 slow readers {busy:.3f} s, memory +{grown >> 20} MiB")
    assert busy < max(P95_SECONDS, 3 * quiet)
    assert grown < 64 * 1024**2
