"""This machine as compute: starts a bundle's process, finds it again, watches and ends it. Used by app/runs.

The process is a session of its own, so it outlives the worker that started it. It is known by pid, start time,
boot id and launch key, never by pid alone. Its deadline is kept by the process itself (training/deadline.py).
"""

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from app.child_environment import without_settings
from app.config import settings
from app.errors import Unavailable

# The launch key stands in the environment of the process, and so in that of all its children.
KEY = "LAUNCH_KEY"
# And the name of the machine among several with workers; the same host may have several names, in containers.
MACHINE = "WORKER_MACHINE"
# Start times are counted from a boot time that moves a little when the clock is set.
SAME_START_SECONDS = 2.0
# A killed process that the kernel does not let go (a disk or a driver that hangs) is not waited for longer.
KILL_SECONDS = 30.0
GONE = (psutil.NoSuchProcess, psutil.AccessDenied)


def submit(
    folder: Path, python: str, deadline_seconds: float, launch_key: str, environments: Path | None = None
) -> dict[str, Any]:
    """Starts `python -m training FOLDER` and gives its handle {pid, start_time, boot_id, launch_key}.

    With `environments`, a folder, the process makes or finds the bundle's own environment there and goes on in it.

    Call find() first. Children that an earlier, killed process of this run left behind are ended, because
    they may hold its lock. Raises Unavailable when `python` cannot be started.
    """
    folder = folder.resolve()
    _end({"launch_key": launch_key}, grace_seconds=0)
    (folder / "out").mkdir(exist_ok=True)
    with (folder / "out" / "console.txt").open("ab") as console:
        try:
            process = subprocess.Popen(
                [python, "-m", "training", str(folder)],
                cwd=folder,
                env=_environment(folder, deadline_seconds, launch_key)
                | ({"ENVIRONMENTS": str(environments)} if environments else {}),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(
                f"The Python for training, {python}, cannot be started: {error.strerror}.",
                "Set TUNEBOOK_TRAINER_PYTHON to the Python that has the training packages.",
            ) from error
    handle = _handle(psutil.Process(process.pid), launch_key)
    # Waits for the end, so that no zombie stays while this worker lives; after it, init does the same.
    threading.Thread(target=process.wait, daemon=True).start()
    return handle


def _environment(folder: Path, deadline_seconds: float, launch_key: str) -> dict[str, str]:
    """Ours without settings that hold passwords, which training has no use for."""
    return without_settings(os.environ) | {
        "PYTHONPATH": str(folder / "code"),
        "PYTHONUNBUFFERED": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "DEADLINE_SECONDS": f"{deadline_seconds:g}",
        KEY: launch_key,
        MACHINE: settings().machine_name,
    }


def keys_of(machine: str) -> set[str]:
    """The launch keys of all live processes that workers under this machine's name started."""
    found = set()
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (*GONE, OSError):
            continue
        if environment.get(KEY) and environment.get(MACHINE) == machine and _lives(process):
            found.add(environment[KEY])
    return found


def find(folder: Path, launch_key: str) -> dict[str, Any] | None:
    """The handle of the run's live process, or None.

    Looks at what the process wrote about itself, then among all processes, since one that has only just
    started has written nothing yet.
    """
    folder = folder.resolve()
    written = _introduction(folder)
    if written.get("launch_key") == launch_key and _main(written):
        return written
    for process in psutil.process_iter():
        if _runs(process, folder, launch_key):
            return _handle(process, launch_key)
    return None


def status(handle: dict[str, Any], folder: Path) -> str:
    """ "running", "ended" (by itself: out/exit_code says how) or "killed" (gone without a word)."""
    # The process first: it writes its exit code before it goes.
    if _main(handle):
        return "running"
    return "ended" if (folder / "out" / "exit_code").exists() else "killed"


def cancel(handle: dict[str, Any], grace_seconds: float) -> None:
    """Ends the process with its group and all its descendants: TERM, after `grace_seconds` KILL.

    Returns when none is left. A process that merely has the same pid is not touched. Raises Unavailable when
    the kernel does not let a process go.
    """
    _end(handle, grace_seconds)


def _end(handle: dict[str, Any], grace_seconds: float) -> None:
    ending = _family(handle)
    if ending and grace_seconds > 0:
        _signal(ending, signal.SIGTERM)
        psutil.wait_procs(ending, timeout=grace_seconds)
    # Again and again: a process may start another one between the look and the signal.
    give_up = time.monotonic() + KILL_SECONDS
    while ending := _still_there(ending, _family(handle)):
        if time.monotonic() > give_up:
            raise Unavailable(
                f"Process {ending[0].pid} does not end, not even when killed.",
                "A hanging disk or driver holds it: look at it with ps, or restart the machine.",
            )
        _signal(ending, signal.SIGKILL)
        psutil.wait_procs(ending, timeout=1)


def _still_there(known: list[psutil.Process], found: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in {*known, *found} if _lives(process)]


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            # psutil compares the start time first, so a pid that was given away meanwhile is left alone.
            process.send_signal(number)
        except GONE:
            continue


def _family(handle: dict[str, Any]) -> list[psutil.Process]:
    """All live processes of the run: by launch key; and while its main process lives, by group and descent."""
    main = _main(handle)
    related = {main, *_children(main)} if main else set()
    key = handle.get("launch_key")
    for process in psutil.process_iter():
        grouped = main is not None and _group(process) == main.pid
        if grouped or (key and _key(process) == key):
            related.add(process)
    return [process for process in related if process.pid != os.getpid() and _lives(process)]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except GONE:
        return []


def _main(handle: dict[str, Any]) -> psutil.Process | None:
    """The live process that `handle` names; None when it is gone or its pid is another's now."""
    boot = _boot_id()
    if not handle.get("pid") or (boot and handle.get("boot_id") and handle["boot_id"] != boot):
        return None
    try:
        process = psutil.Process(int(handle["pid"]))
        same = abs(process.create_time() - float(handle.get("start_time") or 0)) < SAME_START_SECONDS
    except GONE:
        return None
    # A clock that was set far moves the start time; the launch key does not move.
    same = same or _key(process) == handle.get("launch_key")
    return process if same and _lives(process) else None


def _lives(process: psutil.Process) -> bool:
    """Whether the process does anything still: a zombie is over."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except GONE:
        return False


def _runs(process: psutil.Process, folder: Path, launch_key: str) -> bool:
    """Whether this is the main process of the bundle. Its forked children have its command line but not a
    group of their own."""
    try:
        command = process.cmdline()
    except GONE:
        return False
    ours = command[-3:] == ["-m", "training", str(folder)] and _group(process) == process.pid
    return ours and _key(process) in (launch_key, None) and _lives(process)


def _key(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(KEY)
    except (*GONE, OSError):
        return None


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except OSError:
        return None


def _handle(process: psutil.Process, launch_key: str) -> dict[str, Any]:
    return {
        "pid": process.pid,
        "start_time": process.create_time(),
        "boot_id": _boot_id(),
        "launch_key": launch_key,
    }


def _introduction(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "out" / "process.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _boot_id() -> str:
    """The kernel's id of this boot, "" where there is none (macOS)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
