"""`tunebook up`: everything on one machine by one command. Called by app/__main__.py.

Locks the data folder, takes the port, migrates, starts web, worker and clock, prints the sign-in link once the web
answers, and stops all on Ctrl-C or TERM.
"""

import errno
import fcntl
import http.client
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import typer

from app.config import settings
from app.errors import Conflict, TunebookError, Unavailable
from app.forked import answer_of, can_fork, preload
from app.log import log, set_up_logging
from app.model_server import server_environment
from app.supervisor import LISTEN_FD, Child, EndedEarly, end, make_tether, refuse_early_end, start, supervise
from app.waiting import Waiting

CELERY = (sys.executable, "-m", "celery", "--quiet", "-A", "workers.celery_app")
START_SECONDS = 60.0
# An idle worker takes five seconds to stop by itself; killing it sooner loses nothing, since its rows are leased.
GRACE_SECONDS, TRAINING_GRACE_SECONDS = 3.5, 2.0
# After a supervisor was killed, its children need a moment to notice and free the port.
PATIENCE_SECONDS = 8.0


def up() -> None:
    """Runs Tunebook until it is told to stop. Raises TunebookError when it cannot start."""
    os.umask(0o077)
    set_up_logging()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: stop.set())
    with only_one(make_folder()) as crashed, listen(PATIENCE_SECONDS if crashed else 0) as listening:
        _run(listening, stop)


def _run(listening: socket.socket, stop: threading.Event) -> None:
    tether = make_tether()
    fd = listening.fileno()
    web = Child("web", [sys.executable, "-m", "app.serve"], {LISTEN_FD: str(fd)}, (fd,), "app.serve:serve")
    workers = [*worker_children(), inference_child()]
    try:
        # The database is made ready while what the web needs is imported. No connection to it is ever opened here,
        # where children fork.
        with answer_of(_prepare) as said:
            preload("app.serve", "app.preloaded:web_parts")
            start(web, tether)
            way_in = said()
        if _wait_until_ready(web, stop):
            _say(f"\nTunebook is ready. {way_in}\n\nStop with Ctrl-C.\n")
            # The workers start after the first page is there to be seen, not beside it.
            preload(*(child.entry.partition(":")[0] for child in workers if child.entry))
            supervise([web, *workers], tether, stop)
    except EndedEarly as early:
        raise Unavailable(f"The {early} process ended while starting.", "The lines above say why.") from early
    finally:
        _stop_all([*workers, web])


def _prepare() -> str:
    """Newest schema and places to train; gives the words that say how one comes in."""
    from app.lab.first_start import is_server
    from app.migrate import migrate
    from app.runs.hosts import make_slots

    migrate()
    make_slots()
    if is_server():
        return setup_words() or f"Sign in at {address()}/sign-in"
    return f"Sign in once with this link:\n\n  {sign_in_link()}"


def setup_words() -> str:
    """How the first admin of a server is made, with a new setup token; "" when one can sign in already."""
    from app.db import session_scope
    from app.lab.first_start import setup_secret

    with session_scope() as session:
        secret = setup_secret(session)
    if secret is None:
        return ""
    return (
        f"Nobody has an account yet. Make the first with this setup token, at {address()}/setup\n\n  {secret}"
    )


def _say(text: str) -> None:
    # Whoever read our output may be gone; stopping cleanly matters more.
    with suppress(OSError):
        typer.echo(text)


def _stop_all(children: list[Child]) -> None:
    from app.runs.interrupt import interrupt_runs

    _say("\nTunebook stops ...")
    end(children, GRACE_SECONDS)
    try:
        ended = interrupt_runs(TRAINING_GRACE_SECONDS) if children[0].process else 0
    except TunebookError as error:
        log.warning("%s %s", error.message, error.hint)
        return
    if ended:
        _say(f"{ended} run(s) were under way; they go on when Tunebook starts again.")


def worker_children() -> list[Child]:
    """The workers of this machine and the clock: tasks are short, so a few processes are enough.

    On the queue of files each is a process of its own. A pool there shares one lock among its processes, and
    kill -9 of the one that holds it would stop them all; on Redis each has a pipe of its own. As a fork the first
    worker is the clock too, and the others run only while messages wait, which saves the memory of processes.
    """
    clock = Child("clock", clock_command())
    if settings().broker_url:
        return [Child("worker", worker_command()), clock]
    numbers = range(1, _processes() + 1)
    if not can_fork():
        return [*(Child(f"worker {number}", worker_command(number)) for number in numbers), clock]
    return [
        Child(
            f"worker {number}",
            worker_command(number),
            entry="workers.serve:work",
            arguments=(str(number), "clock" if number == 1 else ""),
            wanted=None if number == 1 else Waiting(number - 1),
        )
        for number in numbers
    ]


def worker_command(number: int = 1) -> list[str]:
    """One worker, named by its number."""
    pool = ("-P", "prefork", "-c", str(_processes())) if settings().broker_url else ("-P", "solo")
    return [
        *CELERY,
        *("worker", *pool, "-l", "WARNING", "-n", f"tunebook{number}@%h"),
        *(("-Q", _queues()) if settings().broker_url else ()),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]


def _queues() -> str:
    # Celery, which the supervisor has no use for on the queue of files.
    from app.queue import my_queues

    return ",".join(filter(None, my_queues()))


def _processes() -> int:
    return min(4, max(2, settings().cores))


def clock_command() -> list[str]:
    """The clock that drives the sweep: a process of its own, so that its death is seen and mended."""
    return [*CELERY, "beat", "-l", "WARNING", "--pidfile="]


def inference_child() -> Child:
    """The server of local models behind the API: it runs chat templates that came with weights, and gets no secrets."""
    command = [sys.executable, "-m", "workers.inference"]
    return Child("inference", command, server_environment(), secrets=False)


def sign_in_link() -> str:
    """A new one-time address for the browser of this machine."""
    from app.db import session_scope
    from app.lab.actor import first_actor
    from app.lab.sign_in import make_token
    from app.tables import TokenKind

    with session_scope() as session:
        secret = make_token(session, first_actor(session), TokenKind.SIGN_IN, "link")
    return f"{address()}/sign-in?token={secret}"


def address() -> str:
    """Where a browser finds Tunebook, without a slash at the end."""
    if settings().public_url:
        return settings().public_url
    host = settings().host
    if host in ("0.0.0.0", "::", ""):
        host = next(iter(settings().allowed_hosts), "127.0.0.1")
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"http://{host}:{settings().port}"


def make_folder() -> Path:
    """The data folder, made for its owner alone. Raises Unavailable when it cannot be made or written."""
    folder = settings().folder
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "lock").touch()
    except OSError as error:
        raise Unavailable(
            f"The data folder {folder} cannot be written: {error.strerror}.",
            "Choose another one with DATA=..., or mend its owner and permissions.",
        ) from error
    return folder


@contextmanager
def only_one(folder: Path) -> Iterator[bool]:
    """Holds the data folder; yields whether the last holder died without cleaning up.

    Raises Conflict when another Tunebook runs on it. The kernel frees the lock of a process that dies.
    """
    with (folder / "lock").open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(
                f"Tunebook runs on {folder} already (process {file.read().strip() or 'unknown'}).",
                "Open its page, stop it with Ctrl-C first, or start this one on another folder with DATA=... .",
            ) from error
        crashed = bool(file.read().strip())
        _rewrite(file.fileno(), f"{os.getpid()}\n")
        try:
            yield crashed
        finally:
            _rewrite(file.fileno(), "")


def _rewrite(fd: int, text: str) -> None:
    os.ftruncate(fd, 0)
    os.pwrite(fd, text.encode(), 0)


@contextmanager
def listen(patience_seconds: float) -> Iterator[socket.socket]:
    """The web server's socket, listening. Raises Unavailable when the address cannot be had."""
    host, port = settings().host, settings().port
    give_up = time.monotonic() + patience_seconds
    while True:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listening = socket.create_server((host, port), family=family, backlog=512)
            break
        except (OSError, OverflowError) as error:
            taken = getattr(error, "errno", None) == errno.EADDRINUSE
            if not taken or time.monotonic() > give_up:
                raise _no_address(error, taken) from error
            time.sleep(0.2)
    with listening:
        yield listening


def _no_address(error: Exception, taken: bool) -> Unavailable:
    host, port = settings().host, settings().port
    if taken:
        return Unavailable(
            f"Port {port} on {host} is taken by another program.", f"Choose another: make up PORT={port + 1}"
        )
    return Unavailable(
        f"Tunebook cannot listen on {host}, port {port}: {str(getattr(error, 'strerror', None) or error).rstrip('.')}.",
        "Set TUNEBOOK_HOST to an address of this machine and PORT to a number from 1024 to 65535.",
    )


def _wait_until_ready(web: Child, stop: threading.Event) -> bool:
    """Whether the web answers; False when it is told to stop first. Raises EndedEarly or Unavailable."""
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up:
        if stop.is_set():
            return False
        refuse_early_end([web])
        if answers():
            return True
    raise Unavailable(
        "The web server does not answer.", "The lines above may say why; try `tunebook doctor`."
    )


def answers(timeout_seconds: float = 1.0, path: str = "/healthz") -> bool:
    """Whether the web server of these settings says that it is well; at /readyz, that it can do its work."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings().host, settings().host)
    connection = http.client.HTTPConnection(host, settings().port, timeout=timeout_seconds)
    try:
        connection.request("GET", path, headers={"Host": next(iter(settings().allowed_hosts), host)})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
