"""Where the models of a launch train: this machine, or compute of the lab. Pure. Called by plan.py."""

from collections.abc import Mapping
from typing import Any

from app.catalog.model import Model
from app.errors import Invalid
from app.format import money
from app.lab.machine import gpus
from app.settings.machines import LOCAL, Spot


def find_spot(name: str, spots: Mapping[str, Spot]) -> Spot | None:
    """The compute of that name; None for this machine. Raises Invalid that says which there are."""
    if name in ("", LOCAL, "this machine"):
        return None
    if name not in spots:
        raise Invalid(
            f"There is no compute {name[:60]!r}.",
            f"There are: {', '.join(['this machine', *spots])}. Others are added under Settings, Compute.",
            {"compute": f"unknown compute {name[:60]!r}"},
        )
    return spots[name]


def elsewhere(spot: Spot | None) -> dict[str, Any]:
    """What the facts of the data say more about another machine: its memory, None where that is not known."""
    return {} if spot is None else {"memory_bytes": spot.memory_bytes}


def spot_problems(model: Model, spot: Spot | None) -> list[str]:
    """Why the model cannot train there, as sentences."""
    if spot is None:
        if model.needs.startswith("an NVIDIA GPU") and model.kind == "toolkit" and not gpus():
            return [
                f"{model.label} needs {model.needs}, and this machine has none. Choose a compute that has one."
            ]
        return []
    if model.remote:
        return [f"{model.label} runs at its service, not on {spot.name}. Leave its compute empty."]
    found = [f"{spot.name} {spot.lacking.rstrip('.')}."] if spot.lacking else []
    if spot.paid and spot.hourly_microdollars is None:
        found.append(f"What {spot.name} costs is not known yet. Look at it under Settings, Compute.")
    return found


def on_spot(estimate: Mapping[str, Any], spot: Spot | None) -> dict[str, Any]:
    """The estimate of a run there: at a place that is paid it costs at most its price until the deadline."""
    if spot is None or not spot.paid:
        return dict(estimate)
    most = spot.most_microdollars
    price = "" if spot.hourly_microdollars is None else money(spot.hourly_microdollars)
    basis = f"at most: {price} an hour on {spot.name} until its deadline of {spot.deadline_hours:g} hours"
    return {**estimate, "microdollars": most, "basis": basis}
