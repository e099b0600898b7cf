"""How the runs on another machine stand. _host.py sends this file there as text, behind _there.py; _there_steps.py
calls it. Standard library alone, any Python from 3.6.
"""

import os
import re
import shutil
import time

from app.compute import _there as there

SHAPE = re.compile(r"tb-[0-9a-f]{16}")
# A run whose watcher was never seen is lost after this long.
START_SECONDS = 60.0


def outcome(place):
    """How a run stands, whoever asks, also after a restart of the machine."""
    if not os.path.isdir(place):
        return {"phase": "gone", "state": "removed", "note": "Its folder is not on the host any more."}
    first = there.read_json(os.path.join(place, "main.json"))
    if there.alive(os.path.join(place, "main.json")):
        return {"phase": "running", "state": "running", "note": ""}
    if _over(place):
        return {"phase": "ended", "state": "ended", "note": ""}
    if there.family(place):
        return {"phase": "running", "state": "running", "note": ""}
    if there.alive(os.path.join(place, "watcher.json")):
        note = "" if first else "waits for a free device on the host"
        return {"phase": "running" if first else "waiting", "state": "waiting", "note": note}
    if _over(place):
        return {"phase": "ended", "state": "ended", "note": ""}
    return _lost(place, first)


def _over(place):
    """Whether the run ended by itself: what a script writes on after its cancel or deadline is no end of its own."""
    if exit_code(place) is None:
        return False
    marks = [os.path.join(place, name) for name in ("cancelled", "late")]
    stopped = [os.stat(mark).st_mtime for mark in marks if os.path.exists(mark)]
    written = os.stat(os.path.join(place, "bundle", "out", "exit_code")).st_mtime
    return all(written < moment for moment in stopped)


def _lost(place, first):
    order = there.read_json(os.path.join(place, "order.json"))
    watcher = there.read_json(os.path.join(place, "watcher.json"))
    ended = there.read_json(os.path.join(place, "ended.json"))
    if not watcher and not ended and time.time() < os.stat(place).st_mtime + START_SECONDS:
        return {"phase": "waiting", "state": "starting", "note": ""}
    if ended.get("reason") == "deadline":
        hours = order.get("deadline", 0) / 3600.0
        note = f"The run reached its deadline of {hours:.3g} hours on the host and was ended."
        return {"phase": "gone", "state": "deadline", "note": note}
    if ended.get("reason") == "cancelled":
        return {"phase": "gone", "state": "cancelled", "note": "The run was cancelled on the host."}
    if ended:
        note = f"run.sh ended with code {ended['code']} before the run could say why. {console(place)}"
        return {"phase": "gone", "state": f"code {ended['code']}", "note": note.strip()}
    if (watcher or first).get("boot_id", "") not in ("", there.boot_id()):
        return {
            "phase": "gone",
            "state": "restarted",
            "note": "The host was restarted while the run was there.",
        }
    return {"phase": "gone", "state": "killed", "note": ("The run was killed. " + console(place)).strip()}


def exit_code(place):
    """What out/exit_code says; None before it is there."""
    try:
        with open(os.path.join(place, "bundle", "out", "exit_code")) as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def console(place):
    """The last lines that the run printed."""
    try:
        with open(os.path.join(place, "bundle", "out", "console.txt"), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 2000))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return " / ".join(line.strip() for line in lines[-5:] if line.strip())


def record(place):
    """What is known of a run beside its processes: for places where others keep those."""
    return {
        "is_there": os.path.isdir(place),
        "exit_code": exit_code(place),
        "console": console(place),
        "submitted": there.read_json(os.path.join(place, "submitted.json")),
        "now": time.time(),
    }


def listing(root, processes=True):
    """All runs there, the oldest first."""
    runs = os.path.join(os.path.abspath(os.path.expanduser(root)), "runs")
    names = [name for name in os.listdir(runs) if SHAPE.fullmatch(name)] if os.path.isdir(runs) else []
    rows, rsync = [], bool(shutil.which("rsync"))
    for name in names:
        place = os.path.join(runs, name)
        row = outcome(place) if processes else record(place)
        created = there.read_json(os.path.join(place, "order.json")).get("created_at", 0.0)
        rows.append(dict(row, launch_key=name, place=place, created_at=created, rsync=rsync))
    return sorted(rows, key=lambda row: row["created_at"])
