"""Trainings that hold the device: while there is one, no model is loaded. Used by server.py.

A training that died with its worker gives nothing back: its launch key stands in the environment of its processes
(app/compute/local.py), and once none has it any more the device is free again.
"""

import os
import time
from pathlib import Path

LOOK_SECONDS = 10.0
KEY = "LAUNCH_KEY"
# Kept over a restart of this process in itself.
VARIABLE = "INFERENCE_HOLDERS"


class Holders:
    """Launch keys, and whether a process of theirs was seen: those of another container never are, and hold the device
    until they give it back."""

    def __init__(self) -> None:
        self._keys = dict.fromkeys(os.environ.get(VARIABLE, "").split(), False)
        self._looked = 0.0

    def take(self, key: str) -> None:
        """This training has the device from now on."""
        self._keys.setdefault(key, False)

    def give(self, key: str) -> None:
        """It has ended."""
        self._keys.pop(key, None)

    def any(self) -> bool:
        """Whether a training holds the device."""
        now = time.monotonic()
        if self._keys and now > self._looked + LOOK_SECONDS:
            self._looked = now
            alive = _keys_alive()
            self._keys = {key: key in alive for key, seen in self._keys.items() if key in alive or not seen}
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
