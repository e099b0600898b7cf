"""Runs child processes: starts them, restarts what dies, ends them all. Called by app/up.py.

Each child leads a process group of its own, so that Ctrl-C in the terminal reaches the supervisor alone and
a group can be ended as a whole. Children hold a tether (app/tether.py): none outlives the supervisor. A child with an
entry is a fork where that is safe (app/forked.py); every other one is a command.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from app.child_environment import without_secrets
from app.forked import Forked, can_fork, enter, fork
from app.log import log
from app.tether import TETHER

# A child that dies is started again after 0.5, 1, 2, ... seconds. One that lived this long had begun to work: whatever
# ended it, it comes back at once. What never gets that far costs two seconds of a core for each try: at most a fifth.
FIRST_PAUSE, LONGEST_PAUSE, HEALTHY_SECONDS = 0.5, 8.0, 5.0
LOOK_SECONDS = 0.2
# A child that runs on demand is told to end after this time without any.
REST_SECONDS = 60.0
# The supervisor binds the port and hands the socket to the web process, so that a restart refuses no connection.
LISTEN_FD = "TUNEBOOK_LISTEN_FD"


class EndedEarly(Exception):
    """A child ended before it was ever ready: its own output says why, and trying again would not help."""


@dataclass
class Child:
    """A process to keep running; `descriptors` are inherited by it. `entry` is the function that does what `command`
    does, as "module:function", with `arguments`. With `wanted` it runs only while there was need in the last minute.
    Without `secrets` it gets none of our environment; a fork would have the memory and /proc's copy of it, so it is none."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    descriptors: tuple[int, ...] = ()
    entry: str = ""
    arguments: tuple[str, ...] = ()
    wanted: Callable[[], bool] | None = None
    secrets: bool = True
    last_wanted: float = 0.0
    process: "subprocess.Popen[bytes] | Forked | None" = None
    started: float = 0.0
    failures: int = 0
    due: float = 0.0


@dataclass(frozen=True)
class Tether:
    """The pipe by which children learn that the supervisor is gone; only the supervisor holds `writer`."""

    reader: int
    writer: int


def make_tether() -> Tether:
    """A new pipe, to be kept until the end of this process."""
    return Tether(*os.pipe())


def start(child: Child, tether: Tether) -> None:
    """Starts the child in a session of its own."""
    child.started = time.monotonic()
    if child.entry and child.secrets and can_fork():
        kept = (tether.reader, *child.descriptors)
        child.process = fork(child.name, lambda: _enter(child, tether), kept)
        return
    child.process = subprocess.Popen(
        child.command,
        env={
            **(os.environ if child.secrets else without_secrets(os.environ)),
            **child.environment,
            TETHER: str(tether.reader),
        },
        pass_fds=(tether.reader, *child.descriptors),
        stdin=subprocess.DEVNULL,
        # Standard output is for people; what children have to say is in their log, on standard error.
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def _enter(child: Child, tether: Tether) -> None:
    """The fork's own work."""
    os.environ.update({**child.environment, TETHER: str(tether.reader)})
    sys.argv = child.command[1:]
    enter(child.entry, *child.arguments)


def supervise(children: Sequence[Child], tether: Tether, stop: threading.Event) -> None:
    """Keeps the children running until `stop` is set."""
    while not stop.wait(LOOK_SECONDS):
        for child in children:
            _look(child, tether)


def refuse_early_end(children: Sequence[Child]) -> None:
    """Raises EndedEarly, naming the child, when one of them has ended."""
    for child in children:
        if child.process is not None and child.process.poll() is not None:
            raise EndedEarly(child.name)


def end(children: Sequence[Child], grace_seconds: float) -> None:
    """TERM to each child, after `grace_seconds` KILL to its group. Returns when all are gone."""
    running = [child for child in children if child.process is not None]
    for child in running:
        if child.process and child.process.poll() is None:
            child.process.terminate()
    give_up = time.monotonic() + grace_seconds
    for child in running:
        with suppress(subprocess.TimeoutExpired):
            if child.process:
                child.process.wait(max(0.0, give_up - time.monotonic()))
        _kill_group(child)


def _look(child: Child, tether: Tether) -> None:
    now = time.monotonic()
    if child.wanted is None or child.wanted():
        child.last_wanted = now
    if child.process is None:
        if now >= child.due and child.last_wanted == now:
            start(child, tether)
        return
    code, rests = child.process.poll(), now - child.last_wanted > REST_SECONDS
    if code is None:
        if rests:
            # It ends what it does first.
            child.process.terminate()
        return
    _kill_group(child)
    if rests:
        child.process, child.failures = None, 0
        return
    child.failures = 0 if time.monotonic() - child.started > HEALTHY_SECONDS else child.failures
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**child.failures)
    log.warning("%s ended (%s); it starts again in %.1f s", child.name, _how(code), pause)
    child.process, child.failures, child.due = None, child.failures + 1, time.monotonic() + pause


def _kill_group(child: Child) -> None:
    """Ends what the child itself started and left behind, then waits for the child."""
    if child.process is None:
        return
    # PermissionError is what macOS says about a group of zombies.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, signal.SIGKILL)
    child.process.wait()


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
