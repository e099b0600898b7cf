"""The list of 10,000 runs through the real web process, with sign-in, rights and HTML, against MLflow's search."""

import http.client
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench import Figure, at_least, at_most
from tests.bench._lab import Web, large_lab
from tests.bench._mlflow import installed, milliseconds, mlflow_server

ROUNDS = int(os.environ.get("RUN_LIST_ROUNDS", "5"))
PER_ROUND = 30
# What is asked, and the same of MLflow.
ASKED: dict[str, tuple[str, dict[str, object]]] = {
    "newest": ("/runs", {"order_by": ["attributes.start_time DESC"]}),
    "filtered": (
        "/runs?model=hf/lab/model-7&state=done",
        {"filter": "params.model = 'model-7' and attributes.status = 'FINISHED'"},
    ),
    "by_metric": ("/runs?order=accuracy", {"order_by": ["metrics.m3 DESC"]}),
    "by_metric_filtered": (
        "/runs?order=accuracy&model=hf/lab/model-7&state=done",
        {
            "order_by": ["metrics.m3 DESC"],
            "filter": "params.model = 'model-7' and attributes.status = 'FINISHED'",
        },
    ),
}


def figures() -> Iterator[Figure]:
    """p95 of each question on both databases, and how many times faster than MLflow's in the same rounds."""
    commands = installed()
    if commands is None:
        print("MLflow cannot be installed here: no comparison.", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder, large_lab("sqlite") as ours:
        if commands is None:
            times, theirs = _rounds(ours, None), {}
        else:
            with mlflow_server(commands, Path(folder)) as port:
                theirs = {name: [] for name in ASKED}
                times = _rounds(ours, port, theirs)
    for name in ASKED:
        yield at_most(f"runs_{name}_sqlite_p95", p95(times[name]), "ms", 50)
        if theirs:
            yield Figure(f"mlflow_{name}_p95", p95(theirs[name]), "ms", "", True)
            yield at_least(f"runs_{name}_times_faster", p95(theirs[name]) / p95(times[name]), "x", 10)
    with large_lab("postgresql") as ours:
        times = _rounds(ours, None)
    for name in ASKED:
        yield at_most(f"runs_{name}_postgresql_p95", p95(times[name]), "ms", 50)


def p95(times: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(times, n=20)[-1]


def _rounds(
    ours: Web, mlflow: int | None, theirs: dict[str, list[float]] | None = None
) -> dict[str, list[float]]:
    """Milliseconds by question; each round asks all of both, so that other work on the machine meets both."""
    times: dict[str, list[float]] = {name: [] for name in ASKED}
    for number in range(ROUNDS + 1):
        for name, (path, search) in ASKED.items():
            # A connection each turn: servers end one that was quiet while the other was asked.
            connection = ours.connect()
            own = [ours.milliseconds(connection, path) for _ in range(PER_ROUND)]
            other = []
            if mlflow:
                connection = http.client.HTTPConnection("127.0.0.1", mlflow, timeout=120)
                other = [milliseconds(connection, search) for _ in range(PER_ROUND // 2)]
            # The first round warms both up.
            if number:
                times[name] += own
                if theirs is not None:
                    theirs[name] += other
    return times
