"""Trainings that hold the device: while there is one, no model is loaded. Used by server.py.

A training that died with its worker gives nothing back: its launch key stands in the environment of its processes
(app/compute/local.py), and once none has it the device is free again.
"""

import os
import time
from pathlib import Path

# A process that was announced may take so long to start.
START_SECONDS, LOOK_SECONDS = 120.0, 10.0
KEY = "LAUNCH_KEY"
# Kept over a restart of this process in itself.
VARIABLE = "INFERENCE_HOLDERS"


class Holders:
    """Launch keys with the time from which their processes are looked for (monotonic)."""

    def __init__(self) -> None:
        self._keys = {
            key: time.monotonic() + START_SECONDS for key in os.environ.get(VARIABLE, "").split() if key
        }
        self._looked = 0.0

    def take(self, key: str) -> None:
        """This training has the device from now on."""
        self._keys[key] = time.monotonic() + START_SECONDS

    def give(self, key: str) -> None:
        """It has ended."""
        self._keys.pop(key, None)

    def any(self) -> bool:
        """Whether a training holds the device."""
        now = time.monotonic()
        late = [key for key, since in self._keys.items() if since < now]
        if late and now > self._looked + LOOK_SECONDS:
            self._looked = now
            alive = _keys_alive()
            for key in late:
                if key not in alive:
                    del self._keys[key]
        return bool(self._keys)

    def variable(self) -> dict[str, str]:
        """The environment by which the next self knows them."""
        return {VARIABLE: " ".join(self._keys)}


def _keys_alive() -> set[str]:
    found = set()
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            entries = file.read_bytes().split(b"\0")
        except OSError:
            continue
        found |= {
            entry.partition(b"=")[2].decode(errors="replace")
            for entry in entries
            if entry.startswith(f"{KEY}=".encode())
        }
    return found
