"""What the model pages show: the list in groups, and one model with its hyperparameters as rows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col

from app.catalog.facts import hyperparameters, presets
from app.catalog.models import GROUPS, Model, all_models, open_model
from app.catalog.shelf import Shelf, read_shelf
from app.format import DASH
from app.hyperparameters import Hyperparameter
from app.lab.actor import Actor, owned
from app.tables import Dataset, DatasetState

OFFERED_DATASETS = 20


# What one must know before choosing, as columns of the list.
COLUMNS = {
    "size": "Size",
    "context": "Context",
    "needs": "Needs",
    "disclosed": "Settings",
    "weights": "Weights",
    "price": "Price",
    "price_source": "Price read",
    "ends_on": "Ends on",
}
# A service may list thousands; the others are found by their name.
MOST_ROWS = 40


@dataclass(frozen=True)
class Row:
    """One model with its cells, in the order of the group's heads."""

    model: Model
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Models of one group. What is the same for all is said once, in `shared`, as (label, value)."""

    name: str
    note: str
    shared: tuple[tuple[str, str], ...]
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    more: int = 0


@dataclass(frozen=True)
class FieldRow:
    """One hyperparameter: what it is called in the API, its default, and what is allowed."""

    name: str
    label: str
    default: str
    allowed: str
    help: str
    simple: bool


@dataclass(frozen=True)
class ModelView:
    """One model; `datasets` are the newest ready ones, as (id, name), to launch it on."""

    model: Model
    fields: list[FieldRow]
    presets: list[tuple[str, str]]
    datasets: list[tuple[int, str]]
    example: str


def model_groups(shelf: Shelf | None = None) -> list[Group]:
    """All models that stand on the grid, in the grid's order; services' with `shelf` alone."""
    groups: dict[str, list[Model]] = {}
    for model in all_models(shelf):
        groups.setdefault(model.group, []).append(model)
    return [_group(name, models) for name, models in groups.items()]


def _group(name: str, all_of_it: Sequence[Model]) -> Group:
    models = all_of_it[:MOST_ROWS]
    values = {attribute: [_cell(model, attribute) for model in models] for attribute in COLUMNS}
    same = [attribute for attribute, cells in values.items() if len(set(cells)) == 1]
    differ = [attribute for attribute in COLUMNS if attribute not in same]
    return Group(
        name,
        GROUPS.get(name, ""),
        tuple((COLUMNS[attribute], values[attribute][0]) for attribute in same if values[attribute][0]),
        tuple(COLUMNS[attribute] for attribute in differ),
        tuple(Row(model, tuple(_cell(model, attribute) or DASH for attribute in differ)) for model in models),
        len(all_of_it) - len(models),
    )


def _cell(model: Model, attribute: str) -> str:
    return str(getattr(model, attribute)) or ("nothing" if attribute == "needs" else "")


def model_view(session: Session, actor: Actor, model_id: str) -> ModelView:
    """One model. Raises NotFound for a name that is no model's."""
    model = open_model(model_id, read_shelf(session, actor))
    ready = owned(actor, Dataset).where(Dataset.state == DatasetState.READY)
    newest = session.exec(ready.order_by(col(Dataset.id).desc()).limit(OFFERED_DATASETS))
    fields = hyperparameters(model)
    named = [
        (name, ", ".join(f"{key} {written(value)}" for key, value in values.items()))
        for name, values in presets(model).items()
    ]
    return ModelView(
        model,
        [_field(field) for field in fields],
        named,
        [(row.id or 0, row.name) for row in newest],
        _example(model, fields),
    )


def _field(field: Hyperparameter) -> FieldRow:
    default = written(field.default) + (f" {field.unit}" if field.unit and field.default is not None else "")
    return FieldRow(field.name, field.label, default, allowed(field), field.help, field.simple)


def written(value: Any) -> str:
    """A value as it is typed into a form."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def allowed(field: Hyperparameter) -> str:
    """What a person may set, in words."""
    if field.kind == "choice":
        return " · ".join(written(choice) for choice in field.choices)
    if field.kind == "bool":
        return "yes · no"
    if field.kind == "text":
        return "text"
    low, high = field.minimum, field.maximum
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    if low is not None:
        return f"{low:g} or more"
    return f"{high:g} or less" if high is not None else "any number"


def _example(model: Model, fields: Sequence[Hyperparameter]) -> str:
    """One grid row of POST /api/v1/experiments, with the first hyperparameter that has a default."""
    values = {field.name: field.default for field in fields if field.default is not None}
    row = {"model": model.id, "hyperparameters": dict(list(values.items())[:1])}
    return json.dumps(row, ensure_ascii=False, default=str)
