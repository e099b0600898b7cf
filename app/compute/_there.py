"""The processes of a run on another machine. _host.py sends this file there as text, where that machine's own Python
runs it: standard library alone, any Python from 3.6.

A run is a folder ROOT/runs/KEY: order.json, start.sh, watch.py, the bundle, and who works in it (watcher.json,
main.json). `watch.py watch FOLDER` is this file: it waits for a free device, starts the run in a session of its own,
ends it at its deadline and ends whatever it left behind, whether anybody asks or not.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time

KEY = "LAUNCH_KEY"
TERM_SECONDS, KILL_SECONDS = 10.0, 30.0


def read_json(path):
    """What a file of ours says; {} when it is not there."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def write_text(path, text):
    """Whole or not at all."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def said(argv):
    """What a small command prints; "" when it is not there or fails."""
    try:
        return subprocess.check_output(argv, stderr=subprocess.DEVNULL, timeout=20).decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError):
        return ""


# Processes: a pid alone may be another's later, so its start and the machine's boot belong to it.


def boot_id():
    """This boot of the machine."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return said(["sysctl", "-n", "kern.bootsessionuuid"]).strip()


def started(pid):
    """When the process started, as the system counts it; "" when it is over."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        if os.path.exists("/proc/self/stat"):
            return ""
    return " ".join(said(["ps", "-o", "lstart=", "-p", str(pid)]).split())


def introduce(path, pid):
    """Writes who a process is."""
    write_text(path, json.dumps({"pid": pid, "start": started(pid), "boot_id": boot_id()}))


def alive(path):
    """The pid of the process that a file introduces, 0 when it is over."""
    who = read_json(path)
    same = who and who["boot_id"] == boot_id() and who["start"] and started(who["pid"]) == who["start"]
    return who["pid"] if same else 0


def table():
    """(pid, parent, group) of all processes."""
    if not os.path.exists("/proc/self/stat"):
        lines = said(["ps", "-axo", "pid=,ppid=,pgid="]).splitlines()
        return [tuple(int(each) for each in line.split()) for line in lines]
    rows = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{int(name)}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if fields and fields[0] not in "ZX":
            rows.append((int(name), int(fields[1]), int(fields[2])))
    return rows


def carries(pid, key):
    """Whether the launch key stands in the environment that the process was started with."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"\0{KEY}={key}\0".encode() in b"\0" + file.read() + b"\0"
    except OSError:
        return False


def family(place):
    """All live processes of a run: by launch key, by the group of its first process, and their descendants."""
    rows, first = table(), alive(os.path.join(place, "main.json"))
    key = os.path.basename(place)
    found = {pid for pid, _, group in rows if (first and group == first) or carries(pid, key)}
    grown = 0
    while grown < len(found):
        grown = len(found)
        found |= {pid for pid, parent, _ in rows if parent in found}
    return found - {os.getpid()}


def end(pids, number):
    """Sends a signal to processes that may be over by now."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            continue


def end_all(place):
    """TERM, later KILL to all processes of a run, until none is left; False when the kernel does not let one go."""
    began, told = time.time(), {0}
    while time.time() < began + TERM_SECONDS + KILL_SECONDS:
        left = family(place)
        if not left:
            return True
        if time.time() > began + TERM_SECONDS:
            end(left, signal.SIGKILL)
        end(left - told, signal.SIGTERM)
        told |= left
        time.sleep(0.1)
    return False


# The watcher.


def take_devices(root, order):
    """Waits until enough devices are free, in the order of arrival; their locks are held by open files."""
    with open(os.path.join(root, "queue.lock"), "a") as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)
        while True:
            held = {}
            for name in order["devices"]:
                file = open(os.path.join(root, f"device-{name}.lock"), "a")  # noqa: SIM115
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    file.close()
                    continue
                held[name] = file
                if len(held) == order["needs"]:
                    return held
            for file in held.values():
                file.close()
            time.sleep(1)


def watch(place):
    """Runs start.sh to its end or its deadline; ended.json says which."""
    order = read_json(os.path.join(place, "order.json"))
    held = take_devices(os.path.dirname(os.path.dirname(place)), order)
    environment = dict(os.environ, DEADLINE_SECONDS=f"{order['deadline']:g}", PYTHONUNBUFFERED="1")
    environment[KEY] = os.path.basename(place)
    if order["gpus"]:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(sorted(held))
    argv = [shutil.which("bash") or "sh", "-l", os.path.join(place, "start.sh")]
    if shutil.which("timeout"):
        # Keeps the deadline even where somebody ends this process.
        argv = ["timeout", "-k", "30", str(int(order["deadline"]) + 5), *argv]
    began = time.time()
    with open(os.path.join(place, "bundle", "out", "console.txt"), "ab") as console:
        # Children hold the locks of their devices too: a device is free when nobody uses it any more.
        main = subprocess.Popen(
            argv,
            env=environment,
            cwd=os.path.join(place, "bundle"),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[file.fileno() for file in held.values()],
        )
    introduce(os.path.join(place, "main.json"), main.pid)
    cancelled = os.path.join(place, "cancelled")
    reason = ""
    while main.poll() is None and not reason:
        late = time.time() > began + order["deadline"]
        reason = "cancelled" if os.path.exists(cancelled) else "deadline" if late else ""
        time.sleep(0.2)
    if reason == "deadline":
        write_text(os.path.join(place, "late"), "")
    end_all(place)
    code = main.wait()
    reason = reason or ("cancelled" if os.path.exists(cancelled) else "over")
    write_text(os.path.join(place, "ended.json"), json.dumps({"code": code, "reason": reason}))


if __name__ == "__main__" and sys.argv[1:2] == ["watch"]:
    watch(sys.argv[2])
