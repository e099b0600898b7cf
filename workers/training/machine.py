"""What a run ran on and what it used: out/environment.json and out/usage.json."""

import os
import platform
from importlib import metadata
from pathlib import Path

from .files import read_json, read_lines, write_json

RAPL = Path("/sys/class/powercap")


def write_environment(out: Path, threads: int, packages: tuple[str, ...], gpu: str | None = None) -> None:
    """Hardware, threads, Python and the versions of `packages`."""
    write_json(
        out / "environment.json",
        {
            "hardware": {
                "cpu": _cpu(),
                "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
                "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
                "gpu": gpu,
            },
            "system": f"{platform.system()} {platform.machine()}",
            "threads": threads,
            "python": platform.python_version(),
            "packages": {name: version for name in packages if (version := _version(name))},
        },
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


class EnergyMeter:
    """Joules since it was made: CPU packages by RAPL, NVIDIA GPUs by NVML, each where it can be read.

    A counter covers everything the machine does, not this process alone.
    """

    def __init__(self) -> None:
        self._start = _counters()

    def joules(self) -> float | None:
        """None where the machine tells nothing."""
        used = 0.0
        for name, (value, limit) in (now := _counters()).items():
            if name in self._start:
                gained = value - self._start[name][0]
                used += gained if gained >= 0 else gained + limit
        return round(used, 1) if now and self._start else None


def _counters() -> dict[str, tuple[float, float]]:
    """{counter: (joules so far, joules at which it starts again)}."""
    found = {}
    for folder in sorted(RAPL.glob("intel-rapl:[0-9]")) if RAPL.is_dir() else []:
        try:
            value = int((folder / "energy_uj").read_text())
            limit = int((folder / "max_energy_range_uj").read_text())
        except (OSError, ValueError):
            continue
        found[folder.name] = (value / 1e6, limit / 1e6)
    return found | _gpu_counters()


def _gpu_counters() -> dict[str, tuple[float, float]]:
    try:
        import pynvml
    except ImportError:
        return {}
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        values = [pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3 for handle in handles]
    except pynvml.NVMLError:
        return {}
    return {f"gpu{number}": (value, 0.0) for number, value in enumerate(values)}


def write_usage(
    out: Path, train_seconds: float, tokens_trained: int | None, energy_joules: float | None
) -> None:
    """Time and energy of the whole run, earlier starts included; prediction time is the sum over items."""
    predicted = sum(row.get("latency_ms") or 0 for row in read_lines(out / "predictions.jsonl")) / 1000
    write_json(
        out / "usage.json",
        {
            "train_seconds": round(train_seconds, 3),
            "predict_seconds": round(predicted, 3),
            "tokens_trained": tokens_trained,
            "energy_joules": energy_joules,
        },
    )


def add_energy(out: Path, meter: EnergyMeter) -> None:
    """Closes out/usage.json after predicting: the training's part stays, energy and prediction time are added."""
    before = read_json(out / "usage.json")
    fresh, earlier = meter.joules(), before.get("energy_joules")
    joules = None if fresh is None else fresh + (earlier or 0)
    write_usage(out, before.get("train_seconds") or 0.0, before.get("tokens_trained"), joules)
