"""Ingest of 512 MB of chat JSONL: against plain orjson parsing of the same file in the same run, and in memory.

`python -m tests.bench ingest [megabytes in INGEST_MB]` starts one process of its own that measures, so that
memory is counted from a fresh start.
"""

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench import Figure, at_most

MEGABYTES = int(os.environ.get("INGEST_MB", "512"))
READ_LIMIT, READY_LIMIT, GROWTH_LIMIT = 2.5, 8.0, 64.0
ROUNDS = 3
INSTRUCTION = (
    "You are an expert chemist of liquid-liquid extraction.\nUse the description of the experiment to predict "
    "how selective the extraction is.\nReturn only VL, L, U, M, H."
)


def figures() -> Iterator[Figure]:
    """Three figures: reading against the bound, all the way to ready against the bound, memory."""
    with tempfile.TemporaryDirectory(prefix="tunebook-bench-") as folder:
        path = Path(folder) / "chat.jsonl"
        items = write_chats(path, MEGABYTES * 1_000_000)
        environment = {**os.environ, "TUNEBOOK_DATA": folder, "TUNEBOOK_DATABASE_URL": ""}
        command = [sys.executable, "-m", "tests.bench.ingest", folder]
        measured = json.loads(
            subprocess.run(command, env=environment, check=True, capture_output=True).stdout
        )
    bound = measured["bound"]
    print(
        f"# {items:,} chats, {MEGABYTES} MB: orjson {bound:.2f} s, read {measured['read']:.2f} s, "
        f"ready {measured['ready']:.2f} s"
    )
    yield at_most("ingest_read_vs_orjson", measured["read"] / bound, "times", READ_LIMIT)
    yield at_most("ingest_ready_vs_orjson", measured["ready"] / bound, "times", READY_LIMIT)
    yield at_most("ingest_memory_growth", measured["growth"], "MiB", GROWTH_LIMIT)


def write_chats(path: Path, size: int) -> int:
    """Writes chats in the form of the lab's data until the file has `size` bytes; returns how many.

    One in a hundred repeats the prompt before it, one in a thousand in other letter case.
    """
    draw = random.Random(1)
    chains = [
        f"CC{'C' * n}N({'C' * m})C(=O){'C' * k}" for n in range(6) for m in range(1, 8) for k in range(1, 9)
    ]
    metals = ["U(VI)", "Th(IV)", "Pu(IV)", "Np(IV)", "Am(III)", "Eu(III)"]
    row = json.dumps({"messages": [
        {"role": "system", "content": INSTRUCTION}, {"role": "user", "content": "%s"},
        {"role": "assistant", "content": "%s"}]}, separators=(",", ":")) + "\n"  # fmt: skip
    written = items = 0
    text = ""
    with path.open("w", encoding="utf-8") as file:
        while written < size:
            if items % 100 != 99:
                text = (
                    f"{draw.random():.3f} M of {draw.choice(chains)} in toluene with {draw.choice(chains)} is used "
                    f"to extract {draw.random():.4f} mM {draw.choice(metals)} from an aqueous solution of "
                    f"{draw.randrange(12)} M HNO3 and {draw.randrange(9)} M nitrate at {draw.randrange(20, 60)} C. The "
                    f"contact time is {draw.randrange(60)} min, the dosage is {draw.randrange(900)} kGy; vial {items}."
                )
            line = row % (
                text.upper() if items % 1000 == 999 else text,
                draw.choice(("VL", "L", "U", "M", "H")),
            )
            written += file.write(line)
            items += 1
    return items


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(folder: Path) -> dict[str, float]:
    """What the process of its own does: the shortest seconds of each way, and MiB of memory growth to ready.

    The ways take turns, so that a busy machine slows them alike; memory is that of the first check.
    """
    import orjson

    from app.datasets.check import Report
    from app.datasets.lines import LineReader
    from app.datasets.parse import read_jsonl
    from app.datasets.rows import FORMATS
    from app.migrate import migrate

    path = folder / "chat.jsonl"
    migrate()

    def plain() -> None:
        with path.open("rb") as file:
            for line in file:
                orjson.loads(line)

    def read() -> None:
        for _ in read_jsonl(LineReader(path), FORMATS["openai-chat"], Report()):
            pass

    rounds, growth = [], 0.0
    for number in range(ROUNDS):
        check = queued(path, number)
        before = memory("VmRSS")
        ready = seconds(check)
        growth = growth or memory("VmHWM") - before
        rounds.append((seconds(plain), seconds(read), ready))
    return dict(zip(("bound", "read", "ready"), map(min, *rounds), strict=True)) | {"growth": growth}


def queued(path: Path, number: int) -> Callable[[], None]:
    """Uploads the file once more; what is returned checks it, from queued to ready."""
    from app.datasets.service import upload_dataset
    from app.db import session_scope
    from app.lab.actor import first_actor
    from app.tables import Dataset, DatasetState
    from workers.datasets import check

    copy = path.with_name(f"upload-{number}")
    os.link(path, copy)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with session_scope() as session:
        actor, size = first_actor(session), path.stat().st_size
        dataset = upload_dataset(session, actor, copy, file_name=path.name, sha256=digest, size=size)

    def run() -> None:
        check(dataset.id or 0)
        with session_scope(write=False) as session:
            found = session.get_one(Dataset, dataset.id)
        if found.state != DatasetState.READY:
            raise SystemExit(f"the dataset is {found.state}: {found.problems}")

    return run


def memory(kind: str) -> float:
    """Memory of this process in MiB: VmRSS is in use now, VmHWM the most ever (since the program began; the
    peak of getrusage would count the parent's memory too)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
