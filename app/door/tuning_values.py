"""OpenAI's hyperparameters in our words. Pure; called when a tuning job is made and when it is launched."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.catalog.facts import hyperparameters, parse_values
from app.catalog.model import Model
from app.errors import Invalid
from app.preferences import BETA, DPO, OBJECTIVE, SFT

EPOCHS, RATE, RATE_MULTIPLIER = "epochs", "learning_rate", "learning_rate_multiplier"
# OpenAI's names: ours. A multiplier is ours only at services that have one.
NAMES = {"n_epochs": EPOCHS, "batch_size": "batch_size", "beta": BETA}
SUPERVISED, AUTO = "supervised", "auto"
METHODS = {SUPERVISED: SFT, DPO: DPO}


@dataclass(frozen=True)
class Values:
    """What a job asks for: `asked` in our names, checked; `rate_times` what the suggested learning rate is multiplied
    by; and what the model does not have, in sentences."""

    asked: dict[str, Any] = field(default_factory=dict)
    rate_times: float = 1.0
    remarks: list[str] = field(default_factory=list)


def own_values(model: Model, method: Mapping[str, Any]) -> Values:
    """`method` as it is stored: {"type": ..., type: {"hyperparameters": {...}}}. OpenAI's own names that the model has
    no use for are left out, with a sentence; Invalid for any other name and for values out of range."""
    known = {shape.name for shape in hyperparameters(model)}
    asked, times, remarks = _objective(model, known, str(method["type"])), 1.0, []
    for name, value in given(method).items():
        ours = NAMES.get(name, name)
        if ours in known:
            asked[ours] = value
        elif name == RATE_MULTIPLIER and RATE in known:
            times = _multiplier(value)
        elif name in NAMES or name == RATE_MULTIPLIER:
            remarks.append(f"{model.label} has no {name}: it was left out.")
        else:
            asked[ours] = value
    if RATE in asked and times != 1.0:
        raise Invalid(
            "Both learning_rate and learning_rate_multiplier are given.",
            "Give one of them.",
            {"hyperparameters": "one learning rate"},
        )
    return Values(_checked(model, asked), times, remarks)


def given(method: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that are not left to us: "auto" and null are the same as none."""
    inner = method.get(str(method["type"])) or {}
    return {
        name: value
        for name, value in (inner.get("hyperparameters") or {}).items()
        if value is not None and value != AUTO
    }


def _objective(model: Model, known: set[str], kind: str) -> dict[str, Any]:
    """What the method asks for beside its values: preferences are asked for by name."""
    if kind != DPO:
        return {}
    if OBJECTIVE not in known:
        raise Invalid(
            f"{model.label} does not learn from preferences.",
            'Write {"type": "supervised"}, or choose a model that does DPO; /models says which.',
            {"method": "supervised only"},
        )
    return {OBJECTIVE: DPO}


def _checked(model: Model, asked: Mapping[str, Any]) -> dict[str, Any]:
    several = [name for name, value in asked.items() if isinstance(value, list | dict)]
    if several:
        raise Invalid(
            f"{several[0][:60]!r} has several values, and a tuning job is one run.",
            "Give one value; an experiment (/api/v1/experiments) takes a grid.",
            {"hyperparameters": "one value each"},
        )
    try:
        return parse_values(model, asked)
    except Invalid as error:
        error.fields = {"hyperparameters": error.message}
        raise


def _multiplier(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1000:
        raise Invalid(
            f"learning_rate_multiplier is {value!r}.",
            'Write a number above 0 and at most 1000, or "auto".',
            {"hyperparameters": "learning_rate_multiplier: a number above 0"},
        )
    return float(value)
