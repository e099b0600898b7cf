"""Children that are forks of the supervisor: what all of them use is imported once, and its memory is shared until one
changes it. Called by app/supervisor.py and app/up.py.
"""

import gc
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

from app.errors import TunebookError, Unavailable

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_SECONDS = 0.02
# numpy's library of linear algebra would start threads when it is imported.
BLAS = "OPENBLAS_NUM_THREADS"


def can_fork() -> bool:
    """Whether children may be forks: not where the system's own libraries use threads (macOS), and not when this
    process has threads, such as those of a tracer, since a lock that one holds would stay locked in the child."""
    return sys.platform == "linux" and threading.active_count() == 1


def preload(*entries: str) -> None:
    """Imports modules for the children to come, and calls "module:function" ones. They must start no threads and open
    nothing."""
    if not can_fork():
        return
    # As Python's documentation of gc.freeze has it: no holes here that children would fill, and no marks on objects
    # that they share. The supervisor makes no garbage worth collecting.
    gc.disable()
    given = os.environ.get(BLAS)
    os.environ[BLAS] = "1"
    for entry in entries:
        enter(entry)
    if given is None:
        del os.environ[BLAS]
    else:
        os.environ[BLAS] = given
    gc.freeze()


def enter(entry: str, *arguments: str) -> None:
    """Imports the module of "module:function" and calls the function, where one is named."""
    module, _, function = entry.partition(":")
    found = import_module(module)
    if function:
        getattr(found, function)(*arguments)


class Forked:
    """A child with those methods of subprocess.Popen that the supervisor uses."""

    def __init__(self, pid: int, name: str) -> None:
        self.pid, self.name = pid, name
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, minus the signal's number for a killed one; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        give_up = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if give_up is not None and time.monotonic() > give_up:
                raise subprocess.TimeoutExpired(self.name, timeout or 0.0)
            time.sleep(LOOK_SECONDS)
        return code

    def terminate(self) -> None:
        """Sends TERM, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)


def fork(name: str, work: Callable[[], None], keep: Sequence[int]) -> Forked:
    """A child in a session of its own that does `work` and ends. Of the open files it has those in `keep` and standard
    error; signals do what they do by default."""
    sys.stdout.flush()
    sys.stderr.flush()
    # A signal that comes between would be taken by a handler of the supervisor's in the child.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return Forked(pid, name)
    code = 1
    try:
        os.setsid()
        for number in STOPS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _close_all_but(keep)
        with suppress(OSError):
            # What `top` and `ps -e` show, 15 letters of it; the command line stays the supervisor's.
            Path("/proc/self/comm").write_text(f"tunebook {name}")
        gc.enable()
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        # Nothing of the supervisor's own ending may happen here, so the stack is never left.
        if sys.exc_info()[1] is not None:
            traceback.print_exc()
        logging.shutdown()
        sys.stderr.flush()
        os._exit(code)


@contextmanager
def answer_of(work: Callable[[], str]) -> Iterator[Callable[[], str]]:
    """Lets a child that ends do `work`, whatever it opens or imports. Yields what waits for its answer and raises
    Unavailable with what it said when it cannot."""
    reader, writer = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_answer, args=(work, writer))
    child.start()
    writer.close()
    try:
        yield lambda: _said(reader)
    finally:
        child.join()


def _said(by: Connection) -> str:
    with suppress(EOFError):
        kind, said, hint = by.recv_bytes().decode().split("\0")
        if kind == "refused":
            raise Unavailable(said, hint)
        return said
    raise Unavailable("The database could not be made ready.", "The lines above say why.")


def _answer(work: Callable[[], str], to: Connection) -> None:
    try:
        to.send_bytes(f"done\0{work()}\0".encode())
    except TunebookError as error:
        to.send_bytes(f"refused\0{error.message}\0{error.hint}".encode())


def _close_all_but(keep: Sequence[int]) -> None:
    """Else a child would hold the supervisor's lock on the data folder, and the end of the pipe that ties it."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    first = 3
    for number in sorted(keep):
        os.closerange(first, number)
        first = number + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))
