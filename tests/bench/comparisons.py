"""Comparison of 5 runs × 100,000 items: against the same join and counts in polars over the same predictions, and
the wide CSV against a plain csv.writer loop over the same rows.

`python -m tests.bench comparisons [items in COMPARISON_ITEMS]` starts one process of its own that measures.
"""

import csv
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.bench import Figure, at_least, at_most

ITEMS = int(os.environ.get("COMPARISON_ITEMS", "100000"))
RUNS = 5
LABELS = ["H", "L", "M", "U", "VL"]
SECONDS, TIMES, SPEED, GROWTH = 0.5, 3.0, 0.5, 128.0


def figures() -> Iterator[Figure]:
    """First page, page with filters, page of a pair's cell, plots; the wide CSV; memory."""
    with tempfile.TemporaryDirectory(prefix="tunebook-bench-") as folder:
        environment = {**os.environ, "TUNEBOOK_DATA": folder, "TUNEBOOK_DATABASE_URL": ""}
        command = [sys.executable, "-m", "tests.bench.comparisons", folder]
        answer = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
        measured: dict[str, float] = json.loads(answer.stdout)
    print("# " + ", ".join(f"{name} {value:.3f}" for name, value in measured.items()))
    for name in ("first", "disagree", "pair", "unseen", "grouped"):
        yield at_most(f"comparison_{name}_page", measured[name], "s", SECONDS)
        yield at_most(f"comparison_{name}_vs_polars", measured[name] / measured["polars"], "times", TIMES)
    yield at_most("comparison_plots", measured["plots"], "s", SECONDS)
    yield at_most("comparison_search", measured["search"], "s", 3 * SECONDS)
    yield at_least("wide_csv_vs_plain", measured["plain_csv"] / measured["wide_csv"], "times", SPEED)
    yield at_most("comparison_memory_growth", measured["growth"], "MiB", GROWTH)


def measure(folder: Path) -> dict[str, float]:
    """What the process of its own does: seconds of each, and MiB of memory growth over all requests."""
    os.environ["TUNEBOOK_DATA"] = str(folder)
    from fastapi.testclient import TestClient

    from app.db import session_scope
    from app.lab.actor import first_actor
    from app.lab.sign_in import make_token
    from app.main import create_app
    from app.tables import TokenKind

    runs = _fill(folder)
    with session_scope() as session:
        secret = make_token(session, first_actor(session), TokenKind.API, "bench")
    client = TestClient(
        create_app(), base_url="http://localhost", headers={"authorization": f"Bearer {secret}"}
    )
    chosen = ",".join(map(str, runs))

    def get(path: str) -> Callable[[], object]:
        def ask() -> object:
            answer = client.get(path)
            assert answer.status_code == 200, answer.text
            return answer

        return ask

    get(f"/compare?runs={runs[0]}")()
    found: dict[str, float] = {}

    def ask_all() -> None:
        found["first"] = best(get(f"/compare?runs={chosen}"))
        found["disagree"] = best(get(f"/compare?runs={chosen}&show=disagree&label=U"))
        found["pair"] = best(get(f"/compare?runs={chosen}&a={runs[0]}&b={runs[3]}&show=only_a"))
        found["unseen"] = best(get(f"/compare?runs={chosen}&subset=unseen"))
        found["plots"] = best(get(f"/compare/plots?runs={chosen}"))
        found["search"] = best(get(f"/compare?runs={chosen}&q=vial 77"))
        found["wide_csv"] = best(lambda: _drain(client, f"/compare.csv?runs={chosen}"))

    found["growth"] = watched(ask_all)
    _group()
    found["grouped"] = best(get(f"/compare?runs={chosen}"))
    found["polars"] = best(lambda: _polars(folder, len(runs)))
    found["plain_csv"] = _plain_csv(client, f"/compare.csv?runs={chosen}")
    return found


def best(work: Callable[[], object], rounds: int = 3) -> float:
    """The shortest of a few rounds, in seconds."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def resident() -> float:
    """Memory in use now, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def watched(work: Callable[[], None]) -> float:
    """The most MiB that the process grew by while the work went on."""
    most = before = resident()
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.01):
            most = max(most, resident())

    thread = threading.Thread(target=watch)
    thread.start()
    work()
    over.set()
    thread.join()
    return most - before


def _drain(client: Any, path: str) -> int:
    with client.stream("GET", path) as answer:
        return sum(len(piece) for piece in answer.iter_raw())


def _fill(folder: Path) -> list[int]:
    """A dataset whose items are all test items but a few, and RUNS imported runs; gives their ids."""
    from app.datasets.check_file import check_dataset
    from app.datasets.service import upload_dataset
    from app.db import session_scope
    from app.lab.actor import first_actor
    from app.migrate import migrate
    from app.storage import incoming_file
    from app.tables import Dataset

    migrate()
    path = incoming_file("ab" * 16)
    path.write_bytes(b"".join(_row(number) for number in range(ITEMS + 10)))
    with session_scope() as session:
        made = upload_dataset(
            session,
            first_actor(session),
            path,
            file_name="chat.jsonl",
            sha256="ab" * 32,
            size=path.stat().st_size,
        )
    check_dataset(made, session_scope)
    with session_scope() as session:
        dataset = session.get_one(Dataset, made.id)
        return [_run(session, dataset, folder, place) for place in range(RUNS)]


def _group() -> None:
    """Puts every fifty items into a group, so that pairs are counted by 2,000 whole groups."""
    from sqlmodel import select

    from app.db import session_scope
    from app.tables import Split

    with session_scope() as session:
        split = session.exec(select(Split)).one()
        split.group_of = [number // 50 for number in range(ITEMS + 10)]
        split.groups = [f"group {place}" for place in range(split.group_of[-1] + 1)]


def _row(number: int) -> bytes:
    # The first ten test items stand in train too.
    vial = number % 10 if number < 20 else number
    messages = [
        {"role": "user", "content": f"How much is extracted from {vial % 977} mM nitrate? Vial {vial}."},
        {"role": "assistant", "content": LABELS[number * 7919 % 5]},
    ]
    row = {"messages": messages, "split": "TRAIN" if number < 10 else "TEST"}
    return json.dumps(row).encode() + b"\n"


def _run(session: Any, dataset: Any, folder: Path, place: int) -> int:
    """One run, read and scored as any other; its predictions also lie in a file for polars."""
    from sqlmodel import select

    from app.evaluations.answers import default_rules
    from app.evaluations.service import NewPrediction, score_evaluation, store_evaluation
    from app.tables import Experiment, Run, RunState, Split

    split = session.exec(select(Split).where(Split.dataset_id == dataset.id)).one()
    owner = {"project_id": dataset.project_id, "maker_id": dataset.maker_id}
    experiment = session.exec(select(Experiment)).first()
    if experiment is None:
        experiment = Experiment(
            **owner, name="bench", dataset_id=dataset.id, split_id=split.id, launch_key="bench"
        )
        session.add(experiment)
        session.flush()
    run = Run(
        **owner,
        experiment_id=experiment.id,
        dataset_id=dataset.id,
        split_id=split.id,
        model=f"imported/{place}",
        state=RunState.DONE,
        launch_key=f"bench-{place}",
    )
    session.add(run)
    session.flush()
    draw = random.Random(place)
    made = []
    with (folder / f"run-{place}.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["item", "expected", "answer", *LABELS])
        for number in range(10, ITEMS + 10):
            gold = LABELS[number * 7919 % 5]
            answer = gold if draw.random() < 0.6 + 0.03 * place else draw.choice(LABELS)
            parts = [draw.random() + (label == answer) for label in LABELS]
            p = [part / sum(parts) for part in parts]
            made.append(NewPrediction(number, answer, p, latency_ms=2.0, tokens=1))
            writer.writerow([number, gold, answer, *p])
    evaluation = store_evaluation(session, run, LABELS, made, {})
    score_evaluation(session, evaluation, run, default_rules(dataset.task))
    return int(run.id or 0)


def _polars(folder: Path, runs: int) -> int:
    """Reads the same predictions, joins them by item, and counts: right of each run, the 2×2 table, differing."""
    import polars as pl

    joined = None
    for place in range(runs):
        own = pl.read_csv(folder / f"run-{place}.csv").select(
            "item",
            pl.col("answer").alias(f"answer_{place}"),
            (pl.col("answer") == pl.col("expected")).alias(f"right_{place}"),
        )
        joined = own if joined is None else joined.join(own, on="item")
    assert joined is not None
    counts = joined.group_by("right_0", "right_1").len()
    right = joined.select(pl.col("^right_.*$").sum())
    differing = joined.filter(
        pl.any_horizontal(pl.col(f"answer_{place}") != pl.col("answer_0") for place in range(1, runs))
    )
    return len(differing.head(25)) + len(counts) + len(right)


def _plain_csv(client: Any, path: str, timed: Callable[[Callable[[], object]], float] = best) -> float:
    """Seconds of a csv.writer loop over the rows of the export as they are read back: texts, and floats for p."""
    rows = list(csv.reader(io.StringIO(client.get(path).text, newline="")))
    header = rows.pop(0)
    numbers = [place for place, name in enumerate(header) if ": p(" in name]
    for row in rows:
        for place in numbers:
            row[place] = float(row[place])  # type: ignore[call-overload]

    def write() -> None:
        with open(os.devnull, "w", newline="") as file:
            writer = csv.writer(file)
            for row in rows:
                writer.writerow(row)

    return timed(write)


if __name__ == "__main__":
    began = time.perf_counter()
    print(json.dumps(measure(Path(sys.argv[1]))))
    print(f"{time.perf_counter() - began:.0f} s in all", file=sys.stderr)
