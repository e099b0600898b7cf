"""What of a hosted run lies in its folder: bytes sent, raw answers, the log and the curves. Called by its steps.

service/ holds what went to the service and what it answered, out/ what a local run has there too.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from app.service_http import Access
from app.storage import keep

FIRST, LAST = "job-first.json", "job-last.json"
LARGEST_RAW = 2 * 1024 * 1024


def service_folder(folder: Path) -> Path:
    """Where the exchange with the service is kept."""
    made = folder / "service"
    made.mkdir(parents=True, exist_ok=True)
    return made


def write_raw(folder: Path, raw: Mapping[str, Any], access: Access) -> None:
    """Keeps a job's own JSON: the first one for good, each later one in place of the last. A key that a service
    repeats is left out."""
    text = json.dumps(raw, indent=2, ensure_ascii=False, default=str)
    if access.key:
        text = text.replace(access.key, "[key]")
    if len(text) > LARGEST_RAW:
        text = json.dumps({"tunebook": f"the answer had {len(text):,} characters and was not kept"})
    first = service_folder(folder) / FIRST
    for path in (first, first.with_name(LAST)):
        if path == first and first.exists():
            continue
        write_whole(path, text.encode("utf-8", "replace"))


def write_whole(path: Path, data: bytes) -> None:
    """The file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(data)
    keep(fresh, path)


def append_log(folder: Path, known_bytes: int, lines: Iterable[str]) -> int:
    """Adds lines to out/log.txt behind its first `known_bytes` and gives its new size: what a killed worker wrote
    beyond them, without noting it, is written over."""
    path = folder / "out" / "log.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line.rstrip()}\n" for line in lines).encode("utf-8", "replace")
    with path.open("ab") as file:
        file.truncate(min(known_bytes, path.stat().st_size))
        file.seek(0, os.SEEK_END)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def write_curves(folder: Path, points: Iterable[tuple[str, int, float]]) -> None:
    """out/metrics.jsonl as a local run has it: one line a step."""
    by_step: dict[int, dict[str, Any]] = {}
    for name, step, value in points:
        by_step.setdefault(step, {"step": step})[name] = value
    lines = "".join(json.dumps(by_step[step]) + "\n" for step in sorted(by_step))
    write_whole(folder / "out" / "metrics.jsonl", lines.encode())
