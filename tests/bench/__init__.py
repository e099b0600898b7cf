"""Benchmarks: each module here has `figures()`, which yields one Figure after another. Run by `make bench`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured number with its target; `ok` says whether the target is met."""

    name: str
    value: float
    unit: str
    target: str
    ok: bool

    def __str__(self) -> str:
        return f"{self.name} {self.value:.4g} {self.unit} {self.target} {'ok' if self.ok else 'short'}"


def at_most(name: str, value: float, unit: str, limit: float) -> Figure:
    """A figure that must not pass `limit`."""
    return Figure(name, value, unit, f"<={limit:g}", value <= limit)


def at_least(name: str, value: float, unit: str, limit: float) -> Figure:
    """A figure that must reach `limit`."""
    return Figure(name, value, unit, f">={limit:g}", value >= limit)
