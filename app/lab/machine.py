"""What this machine is and has: for the lab page and for the catalog, which asks whether PyTorch is there."""

import os
import platform
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil
from sqlalchemy import make_url

from app.config import settings
from app.version import code_version


@dataclass(frozen=True)
class Machine:
    """Facts of the machine and of this installation; sizes in bytes. `pytorch` is "" where there is none;
    `data_counted` is False when the data folder was too large to add up in the time a page has."""

    cores: int
    memory_bytes: int
    memory_free_bytes: int
    gpus: tuple[str, ...]
    pytorch: str
    slots: int
    threads_per_run: int
    data_folder: str
    data_bytes: int
    data_counted: bool
    disk_free_bytes: int
    database: str
    queue: str
    version: str
    python: str
    system: str


def this_machine() -> Machine:
    """Looks now; takes at most about a second."""
    chosen, memory = settings(), psutil.virtual_memory()
    data_bytes, counted = folder_size(chosen.folder)
    return Machine(
        cores=chosen.cores,
        memory_bytes=memory.total,
        memory_free_bytes=memory.available,
        gpus=gpus(),
        pytorch=pytorch_version(),
        slots=chosen.local_slots,
        threads_per_run=chosen.threads_per_run,
        data_folder=str(chosen.folder),
        data_bytes=data_bytes,
        data_counted=counted,
        disk_free_bytes=shutil.disk_usage(chosen.folder).free,
        database=place(chosen.database_url, "PostgreSQL", "SQLite, in the data folder"),
        queue=place(chosen.broker_url, "Redis", "files, in the data folder"),
        version=code_version(),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
    )


def place(url: str, kind: str, embedded: str) -> str:
    """A server's kind and host without user and password; `embedded` where no server is set."""
    if not url:
        return embedded
    parts = make_url(url)
    return f"{kind} at {parts.host or 'this machine'}{f':{parts.port}' if parts.port else ''}"


def folder_size(folder: Path, seconds: float = 0.5) -> tuple[int, bool]:
    """(bytes of all files below `folder`, whether all were counted before `seconds` were over)."""
    total, end, waiting = 0, time.monotonic() + seconds, [str(folder)]
    while waiting:
        if time.monotonic() > end:
            return total, False
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue  # a file or folder that a worker removed meanwhile
    return total, True


@lru_cache
def gpus() -> tuple[str, ...]:
    """Name and memory of each NVIDIA GPU, as nvidia-smi says; () where there is none."""
    if not shutil.which("nvidia-smi"):
        return ()
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(
        line.strip() for line in answer.stdout.splitlines() if line.strip() and not answer.returncode
    )


def pytorch_version() -> str:
    """The PyTorch of the trainer's Python, "" where there is none. Looks at its files, imports nothing."""
    python = Path(settings().trainer_python)
    for folder in (python.parent.parent / "lib", python.resolve().parent.parent / "lib"):
        file = next(folder.glob("python3*/site-packages/torch/version.py"), None)
        if file:
            found = re.search(r"__version__ = '([^']+)'", file.read_text(encoding="utf-8"))
            return found.group(1) if found else "unknown"
    return ""
