"""The end of a run that takes too long, kept by the process itself: it holds when nobody watches any more.

Armed by __main__.py when the environment names a deadline; a bundle that a person runs has none.
"""

import os
import signal
import threading
from pathlib import Path

from .failures import Failure, record_failure
from .reporting import Reporter

NAME = "DEADLINE_SECONDS"
# Threads of Python may starve behind a native call that never returns; the kernel's timer does not.
HARD_END_AFTER_SECONDS = 60.0


def arm(seconds: float, folder: Path, reporter: Reporter) -> None:
    """After `seconds` writes out/error.json and out/exit_code and ends the process with its whole group."""
    timer = threading.Timer(seconds, _end, (seconds, folder, reporter))
    timer.daemon = True
    timer.start()
    signal.setitimer(signal.ITIMER_REAL, seconds + HARD_END_AFTER_SECONDS)


def arm_from_environment(folder: Path, reporter: Reporter) -> None:
    """arm() with the deadline that the environment names, if it names one."""
    if os.environ.get(NAME):
        arm(float(os.environ[NAME]), folder, reporter)


def _end(seconds: float, folder: Path, reporter: Reporter) -> None:
    failure = Failure(
        f"The run reached its deadline of {seconds / 3600:g} hours and was ended.",
        "Train fewer epochs or a smaller model, or set TUNEBOOK_RUN_DEADLINE_HOURS higher, then retry.",
    )
    record_failure(folder, reporter, failure)
    # The group is this process and its children, unless a person's shell started it.
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
