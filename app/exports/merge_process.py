"""Runs a module of the training package in a process of its own, with the trainer's Python. Used by weights.py.

It stays in the worker's process group, so it ends with Tunebook; what a killed worker left is ended first.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app.compute import local
from app.config import settings
from app.errors import Unavailable
from app.runs.bundle import CODE

LOOK_SECONDS = 0.3


def run_module(
    folder: Path, module: str, arguments: Sequence[str], say: Callable[[float, str], None]
) -> None:
    """`python -m MODULE ARGUMENTS`, with `folder` for its code, console and progress.json.

    The module writes {"fraction", "message"} there while it works and error.json {"message", "hint"} when it
    fails. Raises Unavailable with that sentence.
    """
    local.cancel({"launch_key": launch_key(folder)}, grace_seconds=0)
    # A copy: beside the original lie modules whose names other packages have too.
    code = folder / "code"
    shutil.rmtree(code, ignore_errors=True)
    shutil.copytree(CODE["training"], code / "training", ignore=shutil.ignore_patterns("__pycache__"))
    process = _start(folder, code, module, arguments)
    try:
        while process.poll() is None:
            say(*_progress(folder))
            time.sleep(LOOK_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        shutil.rmtree(code, ignore_errors=True)
    if process.returncode:
        raise _failure(folder, process.returncode)


def launch_key(folder: Path) -> str:
    """By what the work's process is found again; its folder is its own, also beside another Tunebook."""
    return str(folder.resolve())


def _start(folder: Path, code: Path, module: str, arguments: Sequence[str]) -> "subprocess.Popen[bytes]":
    python = settings().trainer_python
    hidden = ("TUNEBOOK_", "CELERY_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    environment = kept | {
        "PYTHONPATH": str(code),
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_NUM_THREADS": str(settings().threads_per_run),
        local.KEY: launch_key(folder),
    }
    with (folder / "console.txt").open("wb") as console:
        try:
            return subprocess.Popen(
                [python, "-m", module, *arguments],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            raise Unavailable(
                f"The Python for training, {python}, cannot be started: {error.strerror}.",
                "Set TUNEBOOK_TRAINER_PYTHON to the Python that has the training packages.",
            ) from error


def _progress(folder: Path) -> tuple[float, str]:
    found = _read(folder / "progress.json")
    return float(found.get("fraction") or 0.0), str(found.get("message") or "starting")


def _failure(folder: Path, code: int) -> Unavailable:
    found = _read(folder / "error.json")
    last = (folder / "console.txt").read_text(errors="replace").strip().splitlines()[-1:]
    told = f"The process ended with code {code}: {''.join(last)[:300]}"
    return Unavailable(
        str(found.get("message") or told),
        str(found.get("hint") or "A negative code is a kill: the machine may be short of memory."),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
