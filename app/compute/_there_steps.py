"""The steps that Tunebook takes on another machine: _host.py sends this file there as text behind _there.py and
_there_runs.py, and what to do as JSON; one JSON answer comes back. Standard library alone, any Python from 3.6.
"""

import base64
import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

from app.compute import _there as there
from app.compute import _there_runs as runs_there

DAY = 86400.0
BASE_DAYS = 30
# By how many of the last known bytes a file is known to be the same that has grown.
LAST_BYTES = 256
# The most of one file that one answer carries; the next one carries on.
MOST_BYTES = 2000000


def look(root):
    """What the machine is, and that its folder can be written."""
    root = os.path.abspath(os.path.expanduser(root))
    os.makedirs(os.path.join(root, "runs"), exist_ok=True)
    probe = os.path.join(root, "runs", f".probe-{os.getpid()}")
    there.write_text(probe, "")
    os.remove(probe)
    lines = there.said(["nvidia-smi", "--query-gpu=index,name,memory.total", "--format=csv,noheader,nounits"])
    gpus = [[part.strip() for part in line.split(",")] for line in lines.splitlines() if line.count(",") == 2]
    return {
        "root": root,
        "python": ".".join(map(str, sys.version_info[:3])),
        "free_bytes": shutil.disk_usage(root).free,
        "gpus": gpus,
        "cores": os.cpu_count() or 1,
        "rsync": bool(shutil.which("rsync")),
        "lacks": [name for name in ("tar", "sh") if not shutil.which(name)],
    }


def stage(root, key, nonce, digest=""):
    """A folder to upload into, apart from the run's own; clears what nobody has touched for long."""
    seen = look(root)
    runs, bases = os.path.join(seen["root"], "runs"), os.path.join(seen["root"], "base")
    os.makedirs(bases, exist_ok=True)
    for folder, days in ((runs, 1), (bases, BASE_DAYS)):
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if not runs_there.SHAPE.fullmatch(name) and os.stat(path).st_mtime < time.time() - days * DAY:
                shutil.rmtree(path, ignore_errors=True)
    place, staging = os.path.join(runs, key), os.path.join(runs, key + "." + nonce)
    if os.path.exists(place):
        return {"there": True}
    os.makedirs(os.path.join(staging, "bundle", "out"))
    base = os.path.join(bases, digest) if digest else ""
    base_there = bool(base) and os.path.isdir(base)
    if base_there:
        os.utime(base)
    elif base:
        os.makedirs(base + ".part", exist_ok=True)
    seen.update(there=False, place=place, staging=staging, base=base, base_there=base_there)
    return seen


def keep_base(base):
    """Base weights are whole: from now on they have their name."""
    if not os.path.isdir(base):
        os.rename(base + ".part", base)
    return {}


def drop(staging):
    """Removes what was uploaded for a run that will not be."""
    if runs_there.SHAPE.fullmatch(os.path.basename(staging)[:19]) and "." in os.path.basename(staging):
        shutil.rmtree(staging, ignore_errors=True)
    return {}


def claim(staging, place, files, links):
    """Makes what was uploaded the run's folder. One alone can: {"there": True} for all others."""
    for name, target in links.items():
        if not os.path.lexists(os.path.join(staging, "bundle", name)):
            os.symlink(target, os.path.join(staging, "bundle", name))
    for name, text in files.items():
        there.write_text(os.path.join(staging, name), text)
    try:
        os.rename(staging, place)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        shutil.rmtree(staging, ignore_errors=True)
        return {"there": True}
    return {"there": False}


def start(staging, place, files, links, environment):
    """Claims the folder and starts its watcher, which outlives this call."""
    answer = claim(staging, place, files, links)
    if not answer["there"]:
        argv = [sys.executable, os.path.join(place, "watch.py"), "watch", place]
        with open(os.path.join(place, "watch.txt"), "ab") as said_by_watcher:
            watcher = subprocess.Popen(
                argv,
                cwd=place,
                env=dict(os.environ, **environment),
                stdin=subprocess.DEVNULL,
                stdout=said_by_watcher,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        there.introduce(os.path.join(place, "watcher.json"), watcher.pid)
    return answer


def pieces(place, files):
    """What is new of some files of out/: of growing ones whole lines behind an offset, of others all or nothing."""
    answer = []
    for wish in files:
        try:
            with open(os.path.join(place, "bundle", "out", wish["name"]), "rb") as file:
                answer.append(_piece(file, wish))
        except OSError:
            continue
    return answer


def _piece(file, wish):
    offset = 0 if wish["whole"] else wish["offset"]
    file.seek(max(0, offset - LAST_BYTES))
    last = file.read(min(offset, LAST_BYTES))
    if offset and hashlib.sha256(last).hexdigest() != wish["last"]:
        offset = 0
        file.seek(0)
    data = file.read(MOST_BYTES)
    if not wish["whole"]:
        data = data[: data.rfind(b"\n") + 1]
    return {"name": wish["name"], "offset": offset, "data": base64.b64encode(data).decode()}


def hand_over(staging, place, files, links, argv, environment):
    """Claims the folder and hands the run to those who start it here; what they answer stays with it."""
    answer = claim(staging, place, files, links)
    if not answer["there"]:
        answer.update(run(argv, environment))
        there.write_text(os.path.join(place, "submitted.json"), json.dumps(answer))
    return answer


def cancel(place):
    """Ends all processes of a run, also one that still waits for its turn."""
    mark = os.path.join(place, "cancelled")
    if os.path.isdir(place) and not os.path.exists(mark):
        # Its time counts: see _over in _there_runs.py.
        there.write_text(mark, "")
    ended = there.end_all(place)
    watcher = os.path.join(place, "watcher.json")
    for _ in range(30):
        # One that has started the run sees the mark within moments, and ends by itself.
        if not there.alive(watcher) or not os.path.exists(os.path.join(place, "main.json")):
            break
        time.sleep(0.1)
    there.end({there.alive(watcher)} - {0}, signal.SIGKILL)
    # It may have started the run in the very moment in which it was ended.
    ended = there.end_all(place) and ended
    if os.path.isdir(place) and not os.path.exists(os.path.join(place, "ended.json")):
        there.write_text(os.path.join(place, "ended.json"), json.dumps({"code": -15, "reason": "cancelled"}))
    return {"ended": ended}


def remove(place, processes=True):
    """Ends what still runs and removes the run's folder, with what broken uploads of it have left."""
    runs, key = os.path.split(place)
    if not runs_there.SHAPE.fullmatch(key) or os.path.basename(runs) != "runs":
        raise OSError(f"{place} is no folder of a run")
    ended = cancel(place)["ended"] if processes else True
    if not ended or not os.path.isdir(runs):
        return {"ended": ended}
    if os.path.isdir(place):
        os.rename(place, f"{place}.gone-{os.getpid()}")
    for name in os.listdir(runs):
        if name.startswith(key + "."):
            shutil.rmtree(os.path.join(runs, name), ignore_errors=True)
    return {"ended": ended}


def run(argv, environment=None, text="", seconds=60.0):
    """One command there: its code and what it printed. What is not found as it is may be found as at a login."""
    if not shutil.which(argv[0]) and shutil.which("bash"):
        argv = ["bash", "-lc", 'exec "$@"', "bash", *argv]
    whole = dict(os.environ, **(environment or {}))
    pipe = subprocess.PIPE
    try:
        done = subprocess.run(argv, env=whole, input=text.encode(), stdout=pipe, stderr=pipe, timeout=seconds)
    except subprocess.TimeoutExpired:
        return {"code": -1, "out": "", "err": f"{argv[0]} did not answer within {seconds:g} seconds"}
    except OSError as error:
        return {"code": 127, "out": "", "err": f"{argv[0]}: {error.strerror}"}
    out, err = (each.decode("utf-8", "replace") for each in (done.stdout, done.stderr))
    return {"code": done.returncode, "out": out, "err": err}


OWN = (look, stage, keep_base, drop, claim, start, hand_over, pieces, cancel, remove, run)
STEPS = {each.__name__: each for each in (*OWN, runs_there.outcome, runs_there.record, runs_there.listing)}


def answer(request):
    """Takes the steps in turn until one cannot be taken; prints one line behind a mark, since shells print too."""
    os.umask(0o077)
    results = []
    for name, arguments in request["steps"]:
        try:
            results.append({"value": STEPS[name](**arguments)})
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            results.append({"error": str(error), "errno": error.errno, "full": full})
            break
    sys.stdout.write("\n" + request["mark"] + json.dumps(results) + "\n")
