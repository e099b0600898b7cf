"""A run with curves, what the trackers' own libraries read of its exports, and a stand-in of MLflow's server.

The libraries exclude each other's versions and are heavy: each lies in an environment of its own below the user's
cache, made by the first slow test that wants it.
"""

import io
import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.db import session_scope
from app.storage import export_file
from app.tables import Run, RunMetric
from tests.exports.conftest import export_now

CURVES = {"loss": [2.5, 1.25, 0.1], "learning_rate": [1e-3, 5e-4, 1e-5], "validation_loss": [2.0, None, 0.3]}
POINTS = {
    name: [(step * 10, value) for step, value in enumerate(values, 1) if value]
    for name, values in CURVES.items()
}
SCORE = {"test/accuracy": 0.9, "test/accuracy/low": 0.8, "test/accuracy/high": 0.95}
TOOLS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tunebook-tools"


def with_curves(session: Session, run_id: int) -> None:
    """Three steps of a training, ten seconds apart, and a ledger with every kind of value."""
    for name, values in CURVES.items():
        for step, value in enumerate(values, 1):
            if value is not None:
                session.add(RunMetric(run_id=run_id, name=name, step=step * 10, value=value))
    run = session.get_one(Run, run_id)
    ledger = {
        "epochs": 3,
        "learning_rate": 0.001,
        "packing": False,
        "lora_targets": "q_proj, v_proj",
        "note": None,
    }
    run.ledger = {
        name: {"asked": value, "sent": value, "resolved": None, "source": "you"}
        for name, value in ledger.items()
    }
    session.add(run)
    session.commit()


def python_with(*packages: str) -> str:
    """A Python that has the packages; skips the test where they cannot be installed."""
    folder = TOOLS / re.sub(r"[^\w.]+", "-", "-".join(packages))
    python = folder / "bin" / "python"
    done = folder / "done"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        made = subprocess.run(
            [str(python), "-m", "pip", "install", "-q", *packages], capture_output=True, text=True
        )
        if made.returncode:
            pytest.skip(f"{packages} cannot be installed: {made.stderr[-300:]}")
        done.touch()
    return str(python)


def read_by(python: str, code: str, *arguments: object) -> Any:
    """The JSON that a script of a few lines prints in that Python."""
    command = [python, "-c", code, *(str(each) for each in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


class Mlflow:
    """What the stand-in has: experiments by name, runs with what was logged; `lose` names calls whose answers break."""

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.lose: list[str] = []
        self.signed: set[str] = set()
        self.url = ""

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if path.startswith("/api/2.0/mlflow-artifacts/artifacts/"):
            self.files[path.removeprefix("/api/2.0/mlflow-artifacts/artifacts/")] = body
            return 200, {}
        name = path.removeprefix("/api/2.0/mlflow/").replace("/", "_").replace("-", "_")
        return getattr(self, name)(query | (body or {}))

    def experiments_get_by_name(self, asked: dict[str, Any]) -> tuple[int, Any]:
        id = self.experiments.get(asked["experiment_name"])
        if id is None:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such experiment"}
        return 200, {"experiment": {"experiment_id": id, "lifecycle_stage": "active"}}

    def experiments_create(self, asked: dict[str, Any]) -> tuple[int, Any]:
        self.experiments[asked["name"]] = str(len(self.experiments) + 1)
        return 200, {"experiment_id": self.experiments[asked["name"]]}

    def runs_search(self, asked: dict[str, Any]) -> tuple[int, Any]:
        found = re.fullmatch(r"tags\.`(.+)` = '(.+)'", asked["filter"])
        assert found
        runs = [run for run in self.runs if run["tags"].get(found[1]) == found[2]]
        return 200, {"runs": [{"info": run["info"]} for run in runs]}

    def runs_create(self, asked: dict[str, Any]) -> tuple[int, Any]:
        id = f"r{len(self.runs)}"
        info = {"run_id": id, "artifact_uri": f"mlflow-artifacts:/{asked['experiment_id']}/{id}/artifacts"}
        tags = {tag["key"]: tag["value"] for tag in asked["tags"]}
        self.runs.append(
            {"info": info, "tags": tags, "params": {}, "metrics": set(), "name": asked["run_name"]}
        )
        return 200, {"run": {"info": info}}

    def runs_log_batch(self, asked: dict[str, Any]) -> tuple[int, Any]:
        run = self.runs[int(asked["run_id"][1:])]
        params, metrics = asked.get("params", []), asked.get("metrics", [])
        if len(params) > 100 or len(metrics) > 1000:
            return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "too many"}
        run["params"] |= {each["key"]: each["value"] for each in params}
        run["metrics"] |= {(each["key"], each["step"], each["value"], each["timestamp"]) for each in metrics}
        return 200, {}

    def runs_update(self, asked: dict[str, Any]) -> tuple[int, Any]:
        self.runs[int(asked["run_id"][1:])]["status"] = asked["status"]
        return 200, {}


@contextmanager
def mlflow() -> Iterator[Mlflow]:
    """The stand-in, listening."""
    state = Mlflow()

    class Handler(BaseHTTPRequestHandler):
        def do(self) -> None:
            path, _, query = self.path.partition("?")
            length = int(self.headers.get("content-length") or 0)
            raw = self.rfile.read(length)
            is_json = self.headers.get("content-type") == "application/json"
            pairs = dict(pair.split("=", 1) for pair in query.replace("+", " ").split("&") if pair)
            state.calls.append(f"{self.command} {path}")
            state.signed.add(self.headers.get("authorization", ""))
            status, answer = state.answer(
                self.command, path, pairs, json.loads(raw) if is_json and raw else raw or None
            )
            if any(path.endswith(end) for end in state.lose):
                state.lose = [end for end in state.lose if not path.endswith(end)]
                self.close_connection = True
                return
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do

        def log_message(self, *words: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def stored(run_id: int) -> Run:
    """The run as it stands."""
    with session_scope(write=False) as session:
        return session.get_one(Run, run_id)


def ask(client: TestClient, run_id: int, kind: str, **more: Any) -> Any:
    """Asks for an export and makes it; the row."""
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


def wandb_id(run_id: int) -> str:
    """The run's id there."""
    return "".join(each for each in stored(run_id).launch_key.lower() if each.isalnum())[:64]
