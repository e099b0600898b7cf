"""Stands in for training/__main__.py in the tests of compute: locks, introduces itself and then does what
out/../config.json says. Copied into a bundle's code/training beside the real process.py and deadline.py."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from .deadline import arm_from_environment
from .process import LOCKED, introduce, take_lock, write_exit_code
from .reporting import Reporter

CHILD = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def main(folder: Path) -> int:
    """`does` is sleep, end, fail or die; with `children` it also starts stubborn children."""
    wish = json.loads((folder / "config.json").read_text())
    if wish.get("mute"):
        time.sleep(600)
    lock = take_lock(folder)
    if lock is None:
        return LOCKED
    if wish.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if wish.get("children"):
        os.set_inheritable(lock.fileno(), True)
        own = subprocess.Popen([sys.executable, "-c", CHILD], pass_fds=[lock.fileno()])
        away = subprocess.Popen([sys.executable, "-c", CHILD], start_new_session=True)
        (folder / "out" / "children").write_text(f"{own.pid} {away.pid}")
    (folder / "out" / "environment").write_text(json.dumps(dict(os.environ)))
    introduce(folder, wish["launch_key"])
    arm_from_environment(folder, Reporter(folder))
    if wish["does"] == "sleep":
        time.sleep(600)
    if wish["does"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    write_exit_code(folder, 1 if wish["does"] == "fail" else 0)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
