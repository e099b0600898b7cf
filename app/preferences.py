"""Training on preferences (DPO): the two values that choose it and what follows from them. Used by trainers, providers,
the catalog and the launch.

R. Rafailov et al. (2023), Direct Preference Optimization, NeurIPS 36: the loss is -log sigmoid(beta * margin), in which
the margin is how much more the trained model than the base model prefers the wanted answer to the rejected one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from app.hyperparameters import Hyperparameter

OBJECTIVE, BETA = "objective", "dpo_beta"
SFT, DPO = "sft", "dpo"
USUAL_BETA = 0.1
# TRL's own example of DPO (examples/scripts/dpo.py) uses 5e-7 for every weight and 5e-6 with LoRA.
LORA_RATE, FULL_RATE = 5e-6, 5e-7


def fields(most_beta: float = 2.0) -> tuple[Hyperparameter, ...]:
    """The two hyperparameters of a trainer or service that can do both."""
    return (
        Hyperparameter(
            OBJECTIVE,
            "Objective",
            "choice",
            SFT,
            "sft learns the answers; dpo learns to prefer each answer to the rejected one beside it.",
            choices=(SFT, DPO),
            simple=True,
        ),
        Hyperparameter(
            BETA,
            "DPO beta",
            "float",
            USUAL_BETA,
            "How closely the model stays to the base model; small values let it go further.",
            minimum=0.001,
            maximum=most_beta,
            only=DPO,
        ),
    )


def is_dpo(values: Mapping[str, Any]) -> bool:
    """Whether these values train on preferences."""
    return values.get(OBJECTIVE) == DPO


def was_dpo(ledger: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a run with this ledger was trained on preferences."""
    row = ledger.get(OBJECTIVE) or {}
    return (row.get("resolved") or row.get("sent")) == DPO


def offered(
    shapes: Sequence[Hyperparameter], asked: Mapping[str, Any], pairs: int
) -> tuple[Hyperparameter, ...]:
    """The hyperparameters that there is something to choose of: the objective only with `pairs` (train items that have
    a rejected answer), and those of an objective only with it. What is asked for is always there."""
    wanted = asked.get(OBJECTIVE) or SFT
    objectives = wanted if isinstance(wanted, list) else [wanted]
    return tuple(
        shape
        for shape in shapes
        if shape.name in asked
        or (pairs if shape.name == OBJECTIVE else not shape.only or shape.only in objectives)
    )


def suggested(
    shapes: Sequence[Hyperparameter], values: Mapping[str, Any], asked: Mapping[str, Any], pairs: int
) -> dict[str, Any]:
    """The suggested values of what is offered and of the objective, which is always sent, with DPO's own learning rate
    where DPO is asked for."""
    names = {OBJECTIVE, *(shape.name for shape in offered(shapes, asked, pairs))}
    found = {name: value for name, value in values.items() if name in names}
    if is_dpo(asked) and "learning_rate" in found:
        full = asked.get("method", found.get("method")) == "full"
        least = next(shape.minimum for shape in shapes if shape.name == "learning_rate") or 0.0
        found["learning_rate"] = max(FULL_RATE if full else LORA_RATE, least)
    return found


def combined(shapes: Sequence[Hyperparameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """One combination of a grid over objectives, without the values that its objective does not have."""
    out = {shape.name for shape in shapes if shape.only and shape.only != values[OBJECTIVE]}
    return {name: value for name, value in values.items() if name not in out}


def problems(
    label: str, shapes: Sequence[Hyperparameter], values: Mapping[str, Any], pairs: int
) -> list[str]:
    """What is wrong with the choice, as sentences."""
    wanted = values.get(OBJECTIVE) or SFT
    if wanted == DPO and not pairs:
        return [
            f"{label}: DPO learns from rejected answers, and no training item of this split has one. Take a data set "
            "with rejected answers, or the objective sft."
        ]
    return [
        f"{label}: {shape.label} belongs to the objective {shape.only}, not to {wanted}. Change one of the two."
        for shape in shapes
        if shape.only not in ("", wanted) and shape.name in values
    ]


def remark(pairs: int, items: int) -> str:
    """Said of a plan with DPO, where it does not learn from all of train; "" where it does."""
    if not 0 < pairs < items:
        return ""
    return (
        f"DPO learns from the {pairs:,} of {items:,} training items that have a rejected answer; the others are "
        "left out of it."
    )
