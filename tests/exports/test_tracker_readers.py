"""What the trackers' own libraries read of our exports is what the run has; slow, each in an environment of its own."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from app.client.adopting import from_mlflow
from app.config import settings
from app.experiments.adopted_facts import read_facts
from tests.exports.trackers import (
    CURVES,
    POINTS,
    SCORE,
    ask,
    python_with,
    read_by,
    unpacked,
    wandb_id,
)
from tests.exports.wandb_account import wandb_account
from tests.stack import free_port, wait_for


@pytest.mark.slow
def test_tensorboard_reads_the_same_values(client: TestClient, tracked_run: int, tmp_path: Path) -> None:
    unpacked(client, tracked_run, "tensorboard", tmp_path / "logs")
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
def test_wandb_reads_the_same_values(client: TestClient, tracked_run: int, tmp_path: Path) -> None:
    paths = unpacked(client, tracked_run, "wandb", tmp_path / "out")
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
    assert about == [wandb_id(tracked_run), "test", about[2]]
    assert (config["learning_rate"], config["packing"], config["note"]) == (0.001, False, None)
    told = {name: [(line["_step"], line[name]) for line in history if name in line] for name in CURVES}
    assert told == POINTS
    assert {name: summary[name] for name in SCORE} == SCORE


@pytest.mark.slow
def test_wandb_sync_sends_the_same_values(client: TestClient, tracked_run: int, tmp_path: Path) -> None:
    paths = unpacked(client, tracked_run, "wandb", tmp_path / "out")
    python = python_with("wandb==0.31.0")
    with wandb_account() as account:
        environment = {**os.environ, "WANDB_BASE_URL": account.url, "WANDB_API_KEY": "0" * 40}
        command = [str(Path(python).parent / "wandb"), "sync", str(paths[2].parent)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200
        )
    assert done.returncode == 0, done.stderr
    config = {name: line["value"] for name, line in json.loads(account.runs[0]["config"]).items()}
    assert account.runs[0]["name"] == wandb_id(tracked_run)
    assert (config["learning_rate"], config["epochs"], config["packing"]) == (0.001, 3, False)
    history = account.files["wandb-history.jsonl"]
    told = {name: [(line["_step"], line[name]) for line in history if name in line] for name in CURVES}
    assert told == POINTS
    assert SCORE.items() <= account.files["wandb-summary.json"][-1].items()


@pytest.fixture(scope="module")
def real_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A Python with MLflow, and the address of its server."""
    folder, python, port = tmp_path_factory.mktemp("mlflow"), python_with("mlflow==3.17.2"), free_port()
    url = f"http://127.0.0.1:{port}"
    command = [python, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "a"),
    ]
    with (folder / "mlflow.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        wait_for(lambda: httpx.get(f"{url}/health").is_success, 300)
        yield python, url
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_a_real_mlflow_server_has_the_same_values(
    client: TestClient, tracked_run: int, real_mlflow: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    python, url = real_mlflow
    monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
    settings.cache_clear()
    made = ask(client, tracked_run, "mlflow", url=url, experiment="flasks")
    again = ask(client, tracked_run, "mlflow", url=url, experiment="flasks")
    assert (made.state, made.error, again.result["run"]) == ("ready", "", made.result["run"])
    code = """
import json, sys
from mlflow.tracking import MlflowClient
client = MlflowClient(sys.argv[1])
[experiment] = [e for e in client.search_experiments() if e.name == "flasks"]
[run] = client.search_runs([experiment.experiment_id])
id = run.info.run_id
curves = {name: [[m.step, m.value] for m in client.get_metric_history(id, name)] for name in run.data.metrics}
print(json.dumps([curves, run.data.params, run.info.status, [f.path for f in client.list_artifacts(id)]]))
"""
    curves, params, status, files = read_by(python, code, url)
    assert {name: [tuple(point) for point in curves[name]] for name in POINTS} == POINTS
    assert {name: curves[name] for name in SCORE} == {name: [[30, value]] for name, value in SCORE.items()}
    assert (params["learning_rate"], params["epochs"], status) == ("0.001", "3", "FINISHED")
    assert "predictions.csv" in files


@pytest.mark.slow
def test_a_run_of_a_real_mlflow_server_comes_whole(real_mlflow: tuple[str, str], tmp_path: Path) -> None:
    python, url = real_mlflow
    code = """
import json, sys, mlflow
from pathlib import Path
folder = Path(sys.argv[2])
for name in ("model/adapter_config.json", "model/adapter_model.safetensors", "model/optimizer.pt", "checkpoint-5/trainer_state.json"):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(name)
mlflow.set_tracking_uri(sys.argv[1])
with mlflow.start_run() as run:
    mlflow.log_params({"learning_rate": 0.0003, "num_train_epochs": 2})
    for step in range(3):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_artifacts(str(folder))
print(json.dumps(run.info.run_id))
"""
    id = read_by(python, code, url, tmp_path / "made")
    with from_mlflow(url, id) as folder:
        names = sorted(path.name for path in folder.iterdir())
        assert names == [
            "adapter_config.json",
            "adapter_model.safetensors",
            "mlflow_run.json",
            "trainer_state.json",
        ]
        assert (folder / "adapter_config.json").read_text() == "model/adapter_config.json"
        found = read_facts({"mlflow_run.json": (folder / "mlflow_run.json").read_bytes()})
    assert {name: line["resolved"] for name, line in found.ledger.items()} == {
        "learning_rate": 0.0003,
        "epochs": 2,
    }
    assert found.curves == [("loss", 0, 1.0), ("loss", 1, 0.5), ("loss", 2, 1 / 3)]
