"""`python -m workers.inference`: the model server of this machine. Started by app/up.py, or by hand or systemd, where it
takes its options from the settings and starts itself anew with them."""

import asyncio
import fcntl
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.child_environment import without_secrets
from app.tether import TETHER, hold_tether
from workers.inference.options import SOCKET, Options, read_options
from workers.inference.server import Server

# Descriptors that the next self inherits: the socket, on which clients wait meanwhile, and the lock.
LISTEN_FD, LOCK_FD = "INFERENCE_LISTEN_FD", "INFERENCE_LOCK_FD"
LOOK_SECONDS = 1.0
# A pass of the device's thread, and one that loads a model, that takes longer hangs.
STUCK_SECONDS, STUCK_LOADING_SECONDS = 180.0, 1800.0
BACKLOG = 1024
# So many looks nobody must be about to ask before the process replaces itself, and so long it waits for that.
LAST_LOOKS, LAST_SECONDS = 3, 5.0


def main() -> int:
    """Serves until TERM; the exit code."""
    if SOCKET not in os.environ:
        from app.model_server import server_environment

        restart(server_environment())
    os.umask(0o077)
    hold_tether()
    # A thread that waits for the other gets its turn after this: the default would let the device wait for the loop.
    sys.setswitchinterval(0.0005)
    options = read_options(os.environ)
    lock = take_lock(options.socket)
    listening = listen(options.socket)
    keep = {LISTEN_FD: str(listening.fileno()), LOCK_FD: str(lock)}
    ended = asyncio.run(serve(options, listening))
    if ended is None:
        listening.close()
        options.socket.unlink(missing_ok=True)
        # Without waiting for what PyTorch would still tidy up.
        os._exit(0)
    restart({**keep, **ended})
    return 1


def take_lock(path: Path) -> int:
    """Waits until no other process serves this socket; gives the lock's descriptor, held until the end."""
    inherited = os.environ.get(LOCK_FD)
    if inherited:
        return int(inherited)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def listen(path: Path) -> socket.socket:
    """The listening socket, for its owner alone; one that a killed process left behind is removed."""
    inherited = os.environ.get(LISTEN_FD)
    if inherited:
        return socket.socket(fileno=int(inherited))
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    listening.bind(str(path))
    os.umask(before)
    listening.listen(BACKLOG)
    return listening


async def serve(options: Options, listening: socket.socket) -> dict[str, str] | None:
    """None when it is told to stop; the environment of the next self when memory shall be given back."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = Server(options, loop)
    # The file stays when the server closes: the next self listens on it.
    more: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
    accepting = await asyncio.start_unix_server(
        server.connected, sock=listening.dup(), backlog=BACKLOG, **more
    )
    try:
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await stop.wait()
            if await look(server):
                # From here on clients wait on the socket for the next self.
                accepting.close()
                await answer_the_last(server)
                return server.holders.variable()
        return None
    finally:
        accepting.close()
        for task in server.connections:
            task.cancel()
        await asyncio.gather(*server.connections, return_exceptions=True)


async def answer_the_last(server: Server) -> None:
    """Waits for those who were let in a moment before the end: their question may still be on its way. One who never
    asks is not waited for."""
    give_up = time.monotonic() + LAST_SECONDS
    quiet = 0
    while quiet < LAST_LOOKS and (server.requests or time.monotonic() < give_up):
        await asyncio.sleep(0.02)
        quiet = 0 if server.requests or server.newcomers else quiet + 1


async def look(server: Server) -> bool:
    """Unloads what is not used; whether this process holds memory that nothing needs any more."""
    since = server.device.since
    stuck = STUCK_LOADING_SECONDS if server.device.loading else STUCK_SECONDS
    if since is not None and time.monotonic() - since > stuck:
        sys.stderr.write("inference: the device does not answer any more; it starts anew\n")
        os._exit(1)
    # While a model is loaded the device's thread hears nothing else, and this look must go on.
    with suppress(TimeoutError):
        async with asyncio.timeout(LOOK_SECONDS):
            await server.unload(server.options.idle_seconds)
    empty = not server.requests and not server.device.shelf.all() and not server.fitted
    grown = "torch" in sys.modules or "sklearn" in sys.modules
    return empty and grown and time.monotonic() - server.left > LOOK_SECONDS


def restart(environment: dict[str, str]) -> None:
    """Goes on as a fresh process under the same id: libraries give no memory back. Clients wait on the socket.
    Nothing in it is a secret: what /proc shows of a process is what it was started with."""
    own = {name: os.environ[name] for name in (TETHER,) if name in os.environ}
    kept = without_secrets(os.environ) | own | environment
    keep = {int(kept[name]) for name in (LISTEN_FD, LOCK_FD, TETHER) if kept.get(name, "").isdigit()}
    for name in os.listdir("/proc/self/fd" if Path("/proc/self/fd").exists() else "/dev/fd"):
        descriptor = int(name)
        if descriptor in keep:
            os.set_inheritable(descriptor, True)
        elif descriptor > 2:
            close(descriptor)
    os.execve(sys.executable, [sys.executable, "-m", "workers.inference"], kept)


def close(descriptor: int) -> None:
    """Closes a descriptor, where it is still open: a GPU's driver marks its own as it likes."""
    try:
        os.close(descriptor)
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main())
