"""Runs for TensorBoard, Weights & Biases and MLflow: what their readers read is what the run has."""

import io
import json
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.config import settings
from app.exports import wandb
from app.exports.tensorboard import masked
from app.storage import export_file
from tests.exports.conftest import export_now
from tests.exports.trackers import CURVES, Mlflow, mlflow, python_with, read_by, stored, with_curves
from tests.stack import free_port, wait_for

POINTS = {
    name: [(step * 10, value) for step, value in enumerate(values, 1) if value]
    for name, values in CURVES.items()
}
SCORE = {"test/accuracy": 0.9, "test/accuracy/low": 0.8, "test/accuracy/high": 0.95}


@pytest.fixture
def run_id(finished: Any, session: Session) -> int:
    """A run that is done, with curves and a score."""
    made = int(finished("starter/tiny"))
    with_curves(session, made)
    return made


def ask(client: TestClient, run_id: int, kind: str, **more: Any) -> Any:
    answer = client.post(f"/api/v1/runs/{run_id}/exports", json={"kind": kind, **more})
    assert answer.status_code == 202, answer.text
    return export_now(answer.json()["id"])


def unpacked(client: TestClient, run_id: int, kind: str, folder: Path) -> list[Path]:
    """The files of a zip."""
    made = ask(client, run_id, kind)
    folder.mkdir()
    assert (made.state, made.error) == ("ready", "")
    zipfile.ZipFile(io.BytesIO(export_file(made.id).read_bytes())).extractall(folder)
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.laptop
def test_an_event_file_is_whole(client: TestClient, run_id: int, tmp_path: Path) -> None:
    [path] = unpacked(client, run_id, "tensorboard", tmp_path / "logs")
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
def test_an_offline_folder_is_whole(client: TestClient, run_id: int, tmp_path: Path) -> None:
    paths = unpacked(client, run_id, "wandb", tmp_path / "out")
    assert [path.name for path in paths] == [
        "config.yaml",
        "wandb-summary.json",
        f"run-{_wandb_id(run_id)}.wandb",
    ]
    assert paths[0].parents[1].name.startswith("offline-run-")
    found = json.loads(paths[1].read_text())
    assert (found["loss"], found["validation_loss"], found["test/accuracy"]) == (0.1, 0.3, 0.9)
    assert paths[2].read_bytes()[:7] == b":W&B\xe1\xbe\x00"
    assert b'"q_proj, v_proj"' in paths[2].read_bytes()


def _wandb_id(run_id: int) -> str:
    return "".join(each for each in stored(run_id).launch_key.lower() if each.isalnum())[:64]


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


def test_an_mlflow_server_gets_the_run_once(client: TestClient, run_id: int, server: Mlflow) -> None:
    server.lose = ["/runs/create"]
    lost = ask(client, run_id, "mlflow", url=server.url)
    assert lost.state == "failed"
    assert "gave no whole answer" in lost.error
    made = ask(client, run_id, "mlflow", url=f"{server.url}/")
    assert (made.state, made.error) == ("ready", "")
    assert made.result["url"] == f"{server.url}/#/experiments/1/runs/r0"
    ask(client, run_id, "mlflow", url=server.url)
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
def test_addresses_and_tokens(client: TestClient, run_id: int, server: Mlflow, monkeypatch: Any) -> None:
    from app.exports import share_api

    pushed: list[Any] = []
    monkeypatch.setattr(share_api, "push_now", lambda *words: pushed.append(words))
    for url in ("", "ftp://x", "http://169.254.169.254", "http://user:word@example.org"):
        answer = client.post(f"/api/v1/runs/{run_id}/exports", json={"kind": "mlflow", "url": url})
        assert answer.status_code == 422, url
    once = client.post(
        f"/api/v1/runs/{run_id}/exports",
        json={"kind": "mlflow", "url": server.url, "token": "ann:secret-word"},
    )
    assert "secret-word" not in once.text
    from app.exports.push_now import push_now

    push_now(*pushed[0])
    assert client.get(f"/api/v1/exports/{once.json()['id']}").json()["state"] == "ready"
    assert server.signed == {"Basic YW5uOnNlY3JldC13b3Jk"}
    monkeypatch.delenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS")
    settings.cache_clear()
    answer = client.post(f"/api/v1/runs/{run_id}/exports", json={"kind": "mlflow", "url": server.url})
    assert answer.status_code == 422
    assert "not a public address" in answer.text
    # A name is judged when the connection is made.
    refused = ask(client, run_id, "mlflow", url="http://localhost:9")
    assert refused.state == "failed"
    assert "address is refused" in refused.error


@pytest.mark.slow
def test_tensorboard_reads_the_same_values(client: TestClient, run_id: int, tmp_path: Path) -> None:
    unpacked(client, run_id, "tensorboard", tmp_path / "logs")
    code = """
import json, sys
from pathlib import Path
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data as start
from google.protobuf.json_format import MessageToDict
events = EventAccumulator(sys.argv[1]).Reload()
scalars = {tag: [[e.step, e.value, e.wall_time] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
print(json.dumps([scalars, MessageToDict(start(content))]))
"""
    [folder] = (tmp_path / "logs").iterdir()
    scalars, session_info = read_by(python_with("tensorboard==2.21.0"), code, folder)
    for name, points in POINTS.items():
        assert [(step, pytest.approx(value, rel=1e-6)) for step, value in points] == [
            (step, value) for step, value, _ in scalars[name]
        ]
    for name, value in SCORE.items():
        assert scalars[name][0][:2] == [30, pytest.approx(value, rel=1e-6)]
    values = session_info["hparams"]
    assert (values["learning_rate"], values["packing"], values["model"]) == (0.001, False, "starter/tiny")


@pytest.mark.slow
def test_wandb_reads_the_same_values(client: TestClient, run_id: int, tmp_path: Path) -> None:
    paths = unpacked(client, run_id, "wandb", tmp_path / "out")
    code = """
import json, sys, wandb
wandb._assert_is_internal_process = True
from wandb.proto.wandb_internal_pb2 import Record
from wandb.sdk.internal.datastore import DataStore
store = DataStore()
store.open_for_scan(sys.argv[1])
kinds, history, config, summary = [], [], {}, {}
while (data := store.scan_data()) is not None:
    record = Record()
    record.ParseFromString(data)
    kinds.append(record.WhichOneof("record_type"))
    if kinds[-1] == "run":
        config = {i.key: json.loads(i.value_json) for i in record.run.config.update}
        about = [record.run.run_id, record.run.project, record.run.display_name]
    if kinds[-1] == "history":
        history.append({i.key: json.loads(i.value_json) for i in record.history.item})
    if kinds[-1] == "summary":
        summary = {i.key: json.loads(i.value_json) for i in record.summary.update}
print(json.dumps([kinds, about, config, history, summary]))
"""
    python = python_with("wandb==0.22.3")
    kinds, about, config, history, summary = read_by(python, code, paths[2])
    assert kinds == ["header", "run", *["history"] * 3, "summary", "exit", "final", "footer"]
    assert about == [_wandb_id(run_id), "test", about[2]]
    assert (config["learning_rate"], config["packing"], config["note"]) == (0.001, False, None)
    told = {name: [(line["_step"], line[name]) for line in history if name in line] for name in CURVES}
    assert told == POINTS
    assert {name: summary[name] for name in SCORE} == SCORE


@pytest.mark.slow
def test_a_real_mlflow_server_has_the_same_values(
    client: TestClient, run_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, port = python_with("mlflow==3.17.2"), free_port()
    monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
    settings.cache_clear()
    url = f"http://127.0.0.1:{port}"
    command = [python, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/mlflow.db",
        "--artifacts-destination",
        str(tmp_path / "a"),
    ]
    with (tmp_path / "mlflow.log").open("w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        wait_for(lambda: httpx.get(f"{url}/health").is_success, 120)
        made = ask(client, run_id, "mlflow", url=url, experiment="flasks")
        again = ask(client, run_id, "mlflow", url=url, experiment="flasks")
        assert (made.state, made.error, again.result["run"]) == ("ready", "", made.result["run"])
        code = """
import json, sys
from mlflow.tracking import MlflowClient
client = MlflowClient(sys.argv[1])
[experiment] = [e for e in client.search_experiments() if e.name == "flasks"]
[run] = client.search_runs([experiment.experiment_id])
curves = {name: [[m.step, m.value] for m in client.get_metric_history(run.info.run_id, name)] for name in run.data.metrics}
files = [f.path for f in client.list_artifacts(run.info.run_id)]
print(json.dumps([curves, run.data.params, run.info.status, files]))
"""
        curves, params, status, files = read_by(python, code, url)
    finally:
        process.terminate()
        process.wait(30)
    assert {name: [tuple(point) for point in curves[name]] for name in POINTS} == POINTS
    assert {name: curves[name] for name in SCORE} == {name: [[30, value]] for name, value in SCORE.items()}
    assert (params["learning_rate"], params["epochs"], status) == ("0.001", "3", "FINISHED")
    assert "predictions.csv" in files
