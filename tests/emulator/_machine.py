"""A container of an emulated service: its command really runs, in a process here, with its mounts in a folder.

Used by huggingface_jobs.py and the stand-in for Modal's SDK.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

# What a container finds there of its own; nothing of the test's environment gets in.
PATH = os.environ.get("PATH", "/usr/bin:/bin")


class Container:
    """One command with an environment; `lines` are (seconds since 1970, text) of what it said.

    `mounts` maps the path that the command knows to a folder here; a variable with that path as its value gets the
    folder instead, which is how the bundle's script knows its mount. After `timeout` seconds it is killed.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        mounts: Mapping[str, Path],
        timeout: float,
    ) -> None:
        variables = {"PATH": PATH, "HOME": "/tmp", "PACE": "0.1", **environment}
        for path, folder in mounts.items():
            folder.mkdir(parents=True, exist_ok=True)
            variables = {name: str(folder) if value == path else value for name, value in variables.items()}
        self.lines: list[tuple[float, str]] = []
        self.timed_out = False
        self.process = subprocess.Popen(
            list(command),
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        self.timer = threading.Timer(timeout, self._late)
        self.timer.daemon = True
        self.timer.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append((time.time(), line.rstrip("\n")))

    def _late(self) -> None:
        self.timed_out = self.process.poll() is None
        self.kill()

    @property
    def code(self) -> int | None:
        """None while it runs."""
        return self.process.poll()

    def kill(self) -> None:
        """Ends it and everything that it started, also sessions of their own: they carry its launch key."""
        self.timer.cancel()
        for pid in [self.process.pid, *self._children()]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        self.process.wait()

    def _children(self) -> list[int]:
        import psutil

        try:
            return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
