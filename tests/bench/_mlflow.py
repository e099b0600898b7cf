"""MLflow's tracking server in an environment of its own, over as many runs, for comparison. Never a dependency."""

import http.client
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.bench._lab import MODELS, RUNS, wait_until_answered

VALUES = 20
VERSION = "3.17.2"


def installed() -> Path | None:
    """The folder with MLflow's commands, installed on first use below the user's cache; None where that fails."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "tunebook-bench" / f"mlflow-{VERSION}"
    commands = folder / "bin"
    if (commands / "mlflow").is_file():
        return commands
    made = subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False)
    if made.returncode == 0:
        pip = [str(commands / "pip"), "install", "--quiet", f"mlflow=={VERSION}"]
        made = subprocess.run(pip, stdout=sys.stderr, check=False)
    return commands if made.returncode == 0 else None


@contextmanager
def mlflow_server(commands: Path, folder: Path) -> Iterator[int]:
    """Its port. One worker and no job processes, as the run search needs; statistics are collected once."""
    url = f"sqlite:///{folder}/mlflow.db"
    subprocess.run([commands / "mlflow", "db", "upgrade", url], check=True, capture_output=True)
    _fill(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [
        commands / "mlflow",
        "server",
        "--backend-store-uri",
        url,
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "mlflow.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--artifacts-destination", str(folder)],
            cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until_answered(port, "/health", 120)
        yield port
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def milliseconds(connection: http.client.HTTPConnection, asked: dict[str, object]) -> float:
    """How long one search for 50 runs takes, its body read."""
    body = json.dumps({"experiment_ids": ["1"], "max_results": 50, **asked})
    start = time.perf_counter()
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/api/2.0/mlflow/runs/search", body, headers)
    answer = connection.getresponse()
    found = answer.read()
    took = (time.perf_counter() - start) * 1000
    assert answer.status == 200, found[:500]
    assert len(json.loads(found).get("runs", [])) == 50, found[:500]
    return took


def _fill(folder: Path) -> None:
    runs = [f"{n:032x}" for n in range(1, RUNS + 1)]
    moment = int(time.time() * 1000)
    with closing(sqlite3.connect(folder / "mlflow.db")) as to:
        to.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, "
            "last_update_time, workspace) VALUES (1, 'lab', ?, 'active', ?, ?, 'default')",
            (str(folder), moment, moment),
        )
        to.executemany(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, "
            "start_time, end_time, source_version, lifecycle_stage, artifact_uri, experiment_id) "
            "VALUES (?, ?, 'LOCAL', '', '', 'bench', ?, ?, ?, '', 'active', '', 1)",
            [
                (run, f"run {n}", "FAILED" if n % 100 < 4 else "FINISHED", moment + n, moment + n + 90_000)
                for n, run in enumerate(runs)
            ],
        )
        keys = [f"p{k}" for k in range(1, VALUES)]
        to.executemany(
            "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
            [("model", f"model-{n // 200 % MODELS}", run) for n, run in enumerate(runs)]
            + [(key, "1", run) for run in runs for key in keys],
        )
        scores = [
            (f"m{k}", (n * 7919 + k * 104729) % 10007 / 10007, moment, run)
            for n, run in enumerate(runs)
            for k in range(VALUES)
        ]
        for table in ("metrics", "latest_metrics"):
            to.executemany(
                f"INSERT INTO {table} (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, 0, 0, ?)",
                scores,
            )
        to.commit()
        to.execute("ANALYZE")
        to.commit()
