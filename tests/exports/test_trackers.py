"""Runs for TensorBoard, Weights & Biases and MLflow: the files are whole, the server gets each run once."""

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.config import settings
from app.exports import wandb
from app.exports.tensorboard import masked
from tests.exports.trackers import POINTS, SCORE, Mlflow, ask, mlflow, unpacked, wandb_id


@pytest.mark.laptop
def test_an_event_file_is_whole(client: TestClient, tracked_run: int, tmp_path: Path) -> None:
    [path] = unpacked(client, tracked_run, "tensorboard", tmp_path / "logs")
    assert path.name.startswith("events.out.tfevents.")
    # CRC-32C's own check value, masked as TFRecords mask it.
    assert masked(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF
    data, records = path.read_bytes(), []
    while data:
        (length, crc), record = (
            struct.unpack("<QI", data[:12]),
            data[12 : 12 + struct.unpack("<Q", data[:8])[0]],
        )
        assert crc == masked(data[:8])
        assert struct.unpack("<I", data[12 + length : 16 + length])[0] == masked(record)
        records.append(record)
        data = data[16 + length :]
    # The version, the hyperparameters, three steps, the scores, the end.
    assert len(records) == 7
    assert b"brain.Event:2" in records[0]
    assert struct.pack("<f", 1.25) in records[3]


@pytest.mark.laptop
def test_an_offline_folder_is_whole(client: TestClient, tracked_run: int, tmp_path: Path) -> None:
    paths = unpacked(client, tracked_run, "wandb", tmp_path / "out")
    assert [path.name for path in paths] == [
        "config.yaml",
        "wandb-summary.json",
        f"run-{wandb_id(tracked_run)}.wandb",
    ]
    assert paths[0].parents[1].name.startswith("offline-run-")
    found = json.loads(paths[1].read_text())
    assert (found["loss"], found["validation_loss"], found["test/accuracy"]) == (0.1, 0.3, 0.9)
    assert paths[2].read_bytes()[:7] == b":W&B\xe1\xbe\x00"
    assert b'"q_proj, v_proj"' in paths[2].read_bytes()


@pytest.mark.parametrize("size", [0, 1, 32754, 32755, 32761, 32762, 70_000])
def test_records_of_any_size_fit_into_blocks(size: int) -> None:
    log = bytearray(wandb.HEADER)
    for _ in range(3):
        wandb.append(log, b"x" * size)
    at, found, piece = 7, [], b""
    while at < len(log):
        room = 32768 - at % 32768
        if room < 7:
            assert not any(log[at : at + room])
            at += room
        crc, length, kind = struct.unpack("<IHB", log[at : at + 7])
        part = bytes(log[at + 7 : at + 7 + length])
        assert crc == zlib.crc32(bytes([kind]) + part)
        piece, at = piece + part, at + 7 + length
        if kind in (wandb.FULL, wandb.LAST):
            found.append(len(piece))
            piece = b""
    assert found == [size] * 3


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[Mlflow]:
    monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
    settings.cache_clear()
    with mlflow() as made:
        yield made


def test_an_mlflow_server_gets_the_run_once(client: TestClient, tracked_run: int, server: Mlflow) -> None:
    server.lose = ["/runs/create"]
    lost = ask(client, tracked_run, "mlflow", url=server.url)
    assert lost.state == "failed"
    assert "gave no whole answer" in lost.error
    made = ask(client, tracked_run, "mlflow", url=f"{server.url}/")
    assert (made.state, made.error) == ("ready", "")
    assert made.result["url"] == f"{server.url}/#/experiments/1/runs/r0"
    ask(client, tracked_run, "mlflow", url=server.url)
    [run] = server.runs
    assert server.calls.count("POST /api/2.0/mlflow/runs/create") == 1
    assert run["status"] == "FINISHED"
    assert run["params"]["learning_rate"] == "0.001"
    assert run["params"]["packing"] == "false"
    logged = {(name, step, value) for name, step, value, _ in run["metrics"]}
    curves = {(name, step, value) for name, points in POINTS.items() for step, value in points}
    assert logged >= curves | {(name, 30, value) for name, value in SCORE.items()}
    assert len(run["metrics"]) == len(logged)


@pytest.mark.laptop
def test_addresses_and_tokens(client: TestClient, tracked_run: int, server: Mlflow, monkeypatch: Any) -> None:
    from app.exports import share_api

    pushed: list[Any] = []
    monkeypatch.setattr(share_api, "push_now", lambda *words: pushed.append(words))
    for url in ("", "ftp://x", "http://169.254.169.254", "http://user:word@example.org"):
        answer = client.post(f"/api/v1/runs/{tracked_run}/exports", json={"kind": "mlflow", "url": url})
        assert answer.status_code == 422, url
    once = client.post(
        f"/api/v1/runs/{tracked_run}/exports",
        json={"kind": "mlflow", "url": server.url, "token": "ann:secret-word"},
    )
    assert "secret-word" not in once.text
    from app.exports.push_now import push_now

    push_now(*pushed[0])
    assert client.get(f"/api/v1/exports/{once.json()['id']}").json()["state"] == "ready"
    assert server.signed == {"Basic YW5uOnNlY3JldC13b3Jk"}
    monkeypatch.delenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS")
    settings.cache_clear()
    answer = client.post(f"/api/v1/runs/{tracked_run}/exports", json={"kind": "mlflow", "url": server.url})
    assert answer.status_code == 422
    assert "not a public address" in answer.text
    # A name is judged when the connection is made.
    refused = ask(client, tracked_run, "mlflow", url="http://localhost:9")
    assert refused.state == "failed"
    assert "address is refused" in refused.error
