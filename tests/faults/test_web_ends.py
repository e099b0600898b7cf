"""The web server ends in the middle of uploads: by kill -9 nothing half is kept, by TERM what is under way is answered."""

import os
import random
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from app.web.upload import LEFT_BEHIND_SECONDS
from tests.faults.web_alone import BOUNDARY, Web, web  # noqa: F401  a fixture
from tests.stack import rule_rows

KILLS, CLIENTS = 20, 8
FIRST = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="cut.jsonl"\r\n'
    "Content-Type: application/jsonl\r\n\r\n"
).encode()


@pytest.mark.slow
def test_kills_during_uploads_leave_a_whole_dataset_or_none(web: Web) -> None:  # noqa: F811
    """Twenty kills at random moments of an upload of 3 MB; what was answered is there, what was not is whole or not."""
    draw, answered, sent = random.Random(), set[int](), []
    for number in range(KILLS):
        rows = rule_rows(20_000 + number).encode()
        sent.append(len(rows))
        body = FIRST + rows + f"\r\n--{BOUNDARY}--\r\n".encode()
        with socket.create_connection(("127.0.0.1", web.port), timeout=20) as connection:
            connection.sendall(web.head(len(body)))
            cut = draw.randrange(len(body)) if draw.random() < 0.6 else len(body)
            connection.sendall(body[:cut])
            # A whole upload of that size is answered after half a second or so.
            time.sleep(draw.uniform(0, 1.0))
            assert web.web
            os.kill(web.web.pid, signal.SIGKILL)
            web.web.wait()
            with suppress(ConnectionError):
                if connection.recv(100).split(b" ")[1:2] == [b"201"]:
                    answered.add(len(rows))
        web.begin()
    kept = {
        each["id"]: web.call("GET", f"/datasets/{each['id']}")
        for each in web.call("GET", "/datasets")["datasets"]
    }
    sizes = [each["size_bytes"] for each in kept.values()]
    assert len(sizes) == len(set(sizes))
    assert answered <= set(sizes) <= set(sent)
    for key, told in kept.items():
        assert (web.data / "datasets" / str(key)).stat().st_size == told["size_bytes"]
    left = web.incoming()
    # The next upload removes what has not grown for an hour.
    for path in left:
        os.utime(path, (time.time() - LEFT_BEHIND_SECONDS - 60,) * 2)
    assert LEFT_BEHIND_SECONDS <= 3600
    web.call("POST", "/datasets", files={"file": ("next.jsonl", rule_rows(30).encode())})
    assert web.incoming() == []
    print(
        f"{KILLS} kills during uploads: {len(answered)} answered, {len(sizes)} kept, {len(left)} files removed"
    )


@pytest.mark.slow
def test_term_answers_what_is_under_way(web: Web) -> None:  # noqa: F811
    """TERM while eight clients upload: each is answered, and the server is gone within 30 s."""
    rows = [rule_rows(20_000 + number).encode() for number in range(CLIENTS)]
    headers = {"authorization": f"Bearer {web.token}"}

    def upload(content: bytes) -> int:
        files = {"file": ("under-way.jsonl", content)}
        return httpx.post(f"{web.base}/api/v1/datasets", headers=headers, files=files, timeout=30).status_code

    with ThreadPoolExecutor(CLIENTS) as clients:
        under_way = [clients.submit(upload, content) for content in rows]
        time.sleep(0.1)
        assert web.web
        began = time.monotonic()
        web.web.send_signal(signal.SIGTERM)
        web.web.wait(30)
        ended = time.monotonic() - began
        statuses, refused = [], 0
        for each in under_way:
            try:
                statuses.append(each.result())
            except httpx.ConnectError:
                # It came after the door was closed: another web takes it.
                refused += 1
    print(f"ended {ended:.1f} s after TERM; answered {statuses}, came too late {refused}")
    assert set(statuses) <= {201}
    web.begin()
    assert len(web.call("GET", "/datasets")["datasets"]) == len(statuses)
