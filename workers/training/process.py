"""The process itself: its lock on the folder, who it is, its threads, its exit code."""

import ctypes
import fcntl
import json
import os
from pathlib import Path
from typing import IO

from .files import write_json, write_text

# EX_TEMPFAIL of sysexits.h.
LOCKED = 75
# M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD (the largest that is taken) of glibc's malloc.h.
MALLOC = ((-1, 2**28), (-2, 2**26), (-3, 2**25))


def take_lock(folder: Path) -> IO[str] | None:
    """The lock of the folder, held until the process ends; None when another process holds it."""
    lock = (folder / "out" / "lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    # Children must not keep the lock after this process is gone.
    os.set_inheritable(lock.fileno(), False)
    return lock


def introduce(folder: Path, launch_key: str) -> None:
    """Writes out/process.json, by which this process is found again: a pid alone may be another's later."""
    write_json(
        folder / "out" / "process.json",
        {
            "pid": os.getpid(),
            "start_time": start_time(),
            "boot_id": boot_id(),
            "launch_key": launch_key,
        },
    )


def start_time() -> float:
    """When this process started, in seconds since 1970, as psutil's create_time() counts it."""
    try:
        import psutil

        return float(psutil.Process().create_time())
    except ImportError:
        return _start_time_of_proc()


def _start_time_of_proc() -> float:
    # Field 22 of /proc/self/stat, counted after the name, which may hold blanks (proc(5)).
    try:
        ticks = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return 0.0
    booted = next((float(line.split()[1]) for line in lines if line.startswith("btime")), 0.0)
    return booted + ticks / os.sysconf("SC_CLK_TCK")


def boot_id() -> str:
    """The kernel's id of this boot, or "" where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def set_threads(threads: int) -> None:
    """Limits the numerical libraries to `threads`; called before any of them is imported."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    # Spinning threads are many times slower as soon as another process uses a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def keep_freed_memory() -> None:
    """Lets this process keep up to 256 MB that it has freed, where the C library is glibc: given back and asked for again
    with every tensor, the pages cost a fifth of the time of predicting on a processor."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for setting, size in MALLOC:
        mallopt(setting, size)


def ended_already(folder: Path) -> int | None:
    """The exit code of a run that is over; None otherwise."""
    try:
        return int((folder / "out" / "exit_code").read_text())
    except (OSError, ValueError):
        return None


def write_exit_code(folder: Path, code: int) -> None:
    """The very last thing a run writes."""
    write_text(folder / "out" / "exit_code", f"{json.dumps(code)}\n")
