"""Several values for one hyperparameter: what a person writes or sends becomes a grid of runs. Pure.

Called by plan.py; "8; 16; 32", "8, 16, 32" (numbers, choices, yes and no) and JSON lists are all three values.
"""

import math
from collections.abc import Mapping
from itertools import product
from typing import Any

from app import preferences
from app.catalog.facts import hyperparameters, parse_values
from app.catalog.models import Model
from app.errors import Invalid
from app.runs.ledger import text as as_text

# One launch takes no more runs than this, so a grid of one model takes no more either.
MAX_RUNS = 500


def parse_grid(model: Model, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked, checked: a value for each name, or a list of different values where several were given.

    Raises Invalid with one message per hyperparameter that is unknown or out of range.
    """
    kinds = {field.name: field.kind for field in hyperparameters(model)}
    pieces = {name: _pieces(raw, kinds.get(name, "")) for name, raw in asked.items()}
    parsed = parse_values(model, {name: several[0] for name, several in pieces.items()})
    grid: dict[str, Any] = {}
    for name, first in parsed.items():
        others = [parse_values(model, {name: raw}).get(name) for raw in pieces[name][1:]]
        values = list(dict.fromkeys(value for value in (first, *others) if value is not None))
        grid[name] = values[0] if len(values) == 1 else values
    return grid


def _pieces(raw: Any, kind: str) -> list[Any]:
    if isinstance(raw, list) and raw:
        return raw
    if not isinstance(raw, str):
        return [raw]
    # A comma alone may group the digits of a number, or part the names in a text.
    text = raw if kind == "text" else raw.replace(", ", ";")
    return [piece.strip() for piece in text.split(";") if piece.strip()] or [raw]


def variants(model: Model, grid: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every combination as (what sets it apart, {name: value}); one, named "", where nothing has several values.

    Raises Invalid when there are more than one launch takes.
    """
    several = {name: values for name, values in grid.items() if isinstance(values, list)}
    count = math.prod(len(values) for values in several.values())
    if count > MAX_RUNS:
        raise Invalid(
            f"{model.label}: the grid has {count:,} combinations, and one launch takes {MAX_RUNS} runs.",
            "Give fewer values.",
        )
    shapes = hyperparameters(model)
    labels = {field.name: field.label for field in shapes}
    found: dict[tuple[Any, ...], tuple[str, dict[str, Any]]] = {}
    for chosen in product(*several.values()):
        values, whole = dict(zip(several, chosen, strict=True)), dict(grid)
        whole |= values
        if preferences.OBJECTIVE in several:
            whole = preferences.combined(shapes, whole)
            values = {name: value for name, value in values.items() if name in whole}
        said = (f"{_lower(labels[name])} {as_text(value)}" for name, value in values.items())
        # Combinations that differ only in what their objective does not have are one.
        found.setdefault(tuple(values.items()), (", ".join(said)[:250], whole))
    return list(found.values())


def _lower(label: str) -> str:
    """The label within a sentence: "Batch size" -> "batch size", but "LoRA alpha" as it is."""
    return label if label[:2].isupper() or label[1:2].isupper() else label[:1].lower() + label[1:]


def shown(value: Any) -> str:
    """A value as its field holds it; several apart by semicolons."""
    if isinstance(value, list):
        return "; ".join(as_text(part) for part in value)
    return "" if value is None else as_text(value)
