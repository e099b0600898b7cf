"""Exports of 5 runs × 100,000 items: each table against a plain csv.writer loop over the same rows, the paper bundle, and
memory.

`python -m tests.bench exports [items in COMPARISON_ITEMS]` starts one process of its own that measures.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.bench import Figure, at_least, at_most
from tests.bench.comparisons import _drain, _fill, _plain_csv, watched

GROWTH, BUNDLE_SECONDS = 128.0, 300.0
# Table, format, and the least share of the plain loop's speed.
TABLES = [
    ("wide", "csv", 0.5),
    ("wide", "csv-raw", 0.5),
    ("wide", "parquet", 0.1),
    ("predictions", "csv-raw", 0.1),
    ("predictions", "jsonl", 0.1),
    ("predictions", "parquet", 0.1),
]


def figures() -> Iterator[Figure]:
    """Speed of each table, seconds of the bundle, memory of both."""
    with tempfile.TemporaryDirectory(prefix="tunebook-bench-") as folder:
        environment = {**os.environ, "TUNEBOOK_DATA": folder, "TUNEBOOK_DATABASE_URL": ""}
        command = [sys.executable, "-m", "tests.bench.exports", folder]
        answer = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
        measured: dict[str, float] = json.loads(answer.stdout)
    print("# " + ", ".join(f"{name} {value:.3f}" for name, value in measured.items()))
    for what, form, share in TABLES:
        ratio = measured[f"plain_{what}"] / measured[f"{what}_{form}"]
        yield at_least(f"export_{what}_{form}_vs_plain", ratio, "times", share)
    yield at_most("export_memory_growth", measured["growth"], "MiB", GROWTH)
    yield at_most("paper_bundle", measured["bundle"], "s", BUNDLE_SECONDS)
    yield at_most("paper_bundle_memory_growth", measured["bundle_growth"], "MiB", GROWTH)


def measure(folder: Path) -> dict[str, float]:
    """What the process of its own does: seconds of each, and MiB of memory growth."""
    os.environ["TUNEBOOK_DATA"] = str(folder)
    from fastapi.testclient import TestClient

    from app.db import session_scope
    from app.lab.actor import first_actor
    from app.lab.sign_in import make_token
    from app.main import create_app
    from app.tables import TokenKind

    chosen = ",".join(map(str, _fill(folder)))
    with session_scope() as session:
        secret = make_token(session, first_actor(session), TokenKind.API, "bench")
    headers = {"authorization": f"Bearer {secret}"}
    client = TestClient(create_app(), base_url="http://localhost", headers=headers)
    found: dict[str, float] = {}

    def address(what: str, form: str) -> str:
        return f"/api/v1/comparisons/export?runs={chosen}&what={what}&format={form}"

    def tables() -> None:
        for what, form, _ in TABLES:
            found[f"{what}_{form}"] = _cpu(lambda: _drain(client, address(what, form)))  # noqa: B023

    client.get(f"/api/v1/comparisons/paper?runs={chosen}")
    found["growth"] = watched(tables)
    for what in ("wide", "predictions"):
        found[f"plain_{what}"] = _plain_csv(client, address(what, "csv-raw"), _cpu)
    began = time.perf_counter()
    found["bundle_growth"] = watched(lambda: _bundle(folder, chosen))
    found["bundle"] = time.perf_counter() - began
    return found


def _cpu(work: Callable[[], object]) -> float:
    """The less of two rounds, in seconds of processor time, which other processes do not change."""
    times = []
    for _ in range(2):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def _bundle(folder: Path, chosen: str) -> None:
    from app.db import session_scope
    from app.exports.paper_bundle import write_bundle
    from app.exports.state import read_state
    from app.lab.actor import first_actor

    with session_scope(write=False) as session, (folder / "bundle.zip").open("wb") as file:
        actor = first_actor(session)
        state: Any = read_state(session, actor, [int(one) for one in chosen.split(",")])
        write_bundle(session, actor, state, file)


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
