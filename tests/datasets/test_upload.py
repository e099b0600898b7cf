"""Receiving a file: limits, broken requests, hostile names, flat memory."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.config import settings
from tests.datasets.checked import chat, jsonl, look, send

ROW = jsonl(chat("a", "b"))


def left(home: Path) -> list[Path]:
    """Files of uploads in progress that are still there."""
    return list((home / "incoming").iterdir()) if (home / "incoming").exists() else []


def test_name_hash_and_size_are_those_of_the_file(client: TestClient, home: Path) -> None:
    data = ROW * 1000
    found = send(client, data, "my data.jsonl")
    assert (found["name"], found["file_name"]) == ("my data", "my data.jsonl")
    assert (found["sha256"], found["size_bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert not left(home)
    download = client.get(f"/api/v1/datasets/{found['id']}/file")
    assert download.content == data
    assert 'filename="my-data.jsonl"' in download.headers["content-disposition"]
    assert send(client, ROW, name="Named")["name"] == "Named"


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a\x00b\r\nc: d.jsonl", "\ud800.jsonl", "." * 900]
)
def test_a_hostile_file_name_is_only_a_label(client: TestClient, home: Path, name: str) -> None:
    found = send(client, ROW, name.encode(errors="replace").decode())
    assert found["state"] == "ready"
    assert {path.name for path in (home / "datasets").iterdir()} == {str(found["id"])}
    assert found["name"].isprintable()
    assert client.get(f"/api/v1/datasets/{found['id']}/file").status_code == 200


def test_too_large_by_its_length_and_on_the_way(
    client: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings(), "max_upload_bytes", 100_000)
    answer = client.post("/api/v1/datasets", files={"file": ("a.jsonl", b"x" * 3_000_000)})
    assert answer.status_code == 413
    assert "TUNEBOOK_MAX_UPLOAD_BYTES" in answer.json()["hint"]

    def pieces() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(200):
            yield b"x" * 10_000

    kind = {"content-type": "multipart/form-data; boundary=b"}
    assert client.post("/api/v1/datasets", content=pieces(), headers=kind).status_code == 413
    assert not left(home)
    assert client.get("/api/v1/datasets").json()["datasets"] == []


FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n'
BROKEN = {
    "no form": ("application/json", b"{}"),
    "no boundary": ("multipart/form-data", b""),
    "empty": ("multipart/form-data; boundary=b", b""),
    "garbage": ("multipart/form-data; boundary=b", b"garbage"),
    "broken off": ("multipart/form-data; boundary=b", FILE),
    "no file": ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--\r\n'),
    "two files": ("multipart/form-data; boundary=b", FILE + FILE + b"--b--\r\n"),
    "no name": ("multipart/form-data; boundary=b", b"--b\r\n\r\nx\r\n--b--\r\n"),
    "long boundary": ("multipart/form-data; boundary=" + "b" * 300, b""),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_request_is_explained(client: TestClient, home: Path, name: str) -> None:
    kind, body = BROKEN[name]
    answer = client.post("/api/v1/datasets", content=body, headers={"content-type": kind})
    assert answer.status_code == 422, answer.text
    assert answer.json()["hint"]
    assert not left(home)


def test_a_long_field_is_refused(client: TestClient) -> None:
    answer = client.post("/api/v1/datasets", files={"file": ("a", ROW)}, data={"name": "x" * 100_000})
    assert answer.status_code == 413


def test_nothing_is_read_before_signing_in(client: TestClient, home: Path) -> None:
    answer = client.post(
        "/api/v1/datasets", files={"file": ("a", ROW)}, headers={"authorization": "Bearer wrong"}
    )
    assert answer.status_code == 401
    assert not (home / "incoming").exists()


def test_uploads_left_behind_by_a_dead_process_are_removed(client: TestClient, home: Path) -> None:
    (home / "incoming").mkdir()
    old, fresh = home / "incoming" / "old", home / "incoming" / "fresh"
    for path in (old, fresh):
        path.write_bytes(b"x")
    os.utime(old, (0, 0))
    found = send(client, ROW)
    assert look(client, found["id"])["state"] == "ready"
    assert left(home) == [fresh]


MEASURE = """
import asyncio, sys
from starlette.requests import Request
from app.web.upload import receive
from tests.bench.ingest import memory
SIZE, PIECE = int(sys.argv[1]), b"x" * 65536
START = b'--b\\r\\nContent-Disposition: form-data; name="file"; filename="a"\\r\\n\\r\\n'
async def main():
    async def body():
        yield START
        for _ in range(SIZE // len(PIECE)):
            yield PIECE
        yield b"\\r\\n--b--\\r\\n"
    pieces = body()
    async def message():
        try:
            return {"type": "http.request", "body": await anext(pieces), "more_body": True}
        except StopAsyncIteration:
            return {"type": "http.request", "body": b"", "more_body": False}
    headers = [(b"content-type", b"multipart/form-data; boundary=b")]
    request = Request({"type": "http", "method": "POST", "headers": headers}, message)
    used = memory("VmRSS")
    async for upload in receive(request):
        assert upload.size == SIZE // len(PIECE) * len(PIECE), upload
        assert upload.path.stat().st_size == upload.size
    assert not upload.path.exists()
    print(memory("VmHWM") - used)
asyncio.run(main())
"""


@pytest.mark.laptop
def test_an_upload_of_256_mb_takes_little_memory(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(256 * 2**20)],
        env={**os.environ, "TUNEBOOK_DATA": str(home)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert float(done.stdout) < 32
