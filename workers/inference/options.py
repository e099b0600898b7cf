"""How the server runs, read from its environment; app/up.py fills it from the settings. Read by __main__.py.

The settings themselves are not read here: their library alone is larger than this process may be while it is idle.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SOCKET = "INFERENCE_SOCKET"


@dataclass(frozen=True)
class Options:
    """`memory_bytes`: most that loaded models hold, 0 for 60 % of the device's; `idle_seconds`: an unused model is
    unloaded after this; `waiting`: requests at once, those that wait included; `threads`: of the processor, 0 for all;
    `trainings_take_it`: whether trainings need the device for themselves, as they do a GPU; `servers`: addresses of other model servers."""

    socket: Path
    memory_bytes: int = 0
    idle_seconds: float = 600.0
    waiting: int = 512
    threads: int = 0
    trainings_take_it: bool = False
    servers: tuple[str, ...] = ()


def read_options(environment: Mapping[str, str]) -> Options:
    """The options; raises KeyError without a socket and ValueError for what is no number."""
    return Options(
        socket=Path(environment[SOCKET]),
        memory_bytes=int(environment.get("INFERENCE_BYTES") or 0),
        idle_seconds=float(environment.get("INFERENCE_IDLE_SECONDS") or 600),
        waiting=int(environment.get("INFERENCE_WAITING") or 512),
        threads=int(environment.get("INFERENCE_THREADS") or 0),
        trainings_take_it=environment.get("INFERENCE_TAKEN") == "1" or has_gpu(),
        servers=tuple(environment.get("INFERENCE_SERVERS", "").replace(",", " ").split()),
    )


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_gpu() -> bool:
    """Whether there is an NVIDIA GPU, without asking PyTorch, which an idle process has not loaded."""
    return os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1") and Path("/dev/nvidia0").exists()
