"""Reads what a training process writes into its bundle's out/ folder, while it runs and after.

Called by workers/runs.py and the run page. A file that is half written is read up to its last whole line.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.storage import own_file, run_path
from app.stored_files import has

# Read at a time, so that no transaction stores more points than it can in a moment.
CHUNK_BYTES = 256 * 1024
WEIGHTS = ("adapter", "model")
CURVES = (
    "loss",
    "validation_loss",
    "learning_rate",
    "tokens_per_second",
    # Of preference training: how much more the wanted answers are preferred than by the base model, and how often.
    "preference_margin",
    "preference_accuracy",
)


@dataclass(frozen=True)
class Progress:
    """Where the process says it is; `fraction` is of the stage, 0 to 1, `steps` the training steps in all."""

    stage: str = "preparing"
    fraction: float = 0.0
    seconds_left: float | None = None
    message: str = ""
    steps: int | None = None


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A whole-file JSON object of out/, or {} when it is not there (yet)."""
    try:
        found = json.loads((folder / "out" / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_list(folder: Path, name: str) -> list[Any]:
    """A whole-file JSON array of out/, or []."""
    try:
        found = json.loads((folder / "out" / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return found if isinstance(found, list) else []


def read_progress(folder: Path) -> Progress:
    """The process's own word on its progress."""
    found = read_json(folder, "progress.json")
    return Progress(
        str(found.get("stage", "preparing")),
        min(max(float(found.get("fraction") or 0.0), 0.0), 1.0),
        found.get("seconds_left"),
        str(found.get("message") or "")[:300],
        found["steps"] if isinstance(found.get("steps"), int) else None,
    )


def read_exit_code(folder: Path) -> int | None:
    """The process's own exit code; None while it runs or when it was killed."""
    try:
        return int((folder / "out" / "exit_code").read_text().strip())
    except (OSError, ValueError):
        return None


def read_curves(folder: Path, offset: int) -> tuple[list[tuple[str, int, float]], int]:
    """Points (name, step, value) written to metrics.jsonl after byte `offset`, and the next offset."""
    try:
        with (folder / "out" / "metrics.jsonl").open("rb") as file:
            file.seek(offset)
            chunk = file.read(CHUNK_BYTES)
    except OSError:
        return [], offset
    whole = chunk.rpartition(b"\n")[0]
    points = []
    for line in whole.split(b"\n"):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        step = row.get("step") if isinstance(row, dict) else None
        if isinstance(step, int):
            points += [(name, step, float(row[name])) for name in CURVES if _is_number(row.get(name))]
    return points, offset + (len(whole) + 1 if whole else 0)


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and value == value
        and abs(value) < 1e300
    )


def read_log(folder: Path, last_lines: int | None = None) -> str:
    """The log as text; with `last_lines` only its end (of at most the last 256 KiB)."""
    path = folder / "out" / "log.txt"
    if not own_file(folder, path):
        return ""
    try:
        with path.open("rb") as file:
            if last_lines is not None:
                file.seek(max(0, path.stat().st_size - 256 * 1024))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return text if last_lines is None else "\n".join(text.splitlines()[-last_lines:])


def has_weights(run_id: int) -> bool:
    """Whether a run has trained weights, here or in the bucket: for forms, whose transaction waits for no fetch."""
    return any(has(run_path(run_id) / "out" / name) for name in WEIGHTS)


def weights_folder(folder: Path) -> Path | None:
    """Where the trained weights lie: out/adapter, out/model, or None."""
    for name in WEIGHTS:
        found = folder / "out" / name
        if found.is_dir() and found.resolve().is_relative_to(folder.resolve()):
            return found
    return None
