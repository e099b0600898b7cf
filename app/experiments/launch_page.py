"""What the launch page shows: tiles in groups, the plan with its fields, and the bar with the one button."""

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from app.catalog import facts as choices
from app.catalog.models import GROUPS, Model, all_models
from app.datasets.queries import splits_of
from app.errors import TunebookError
from app.experiments.forms import LaunchForm, remember
from app.experiments.plan import Plan, PlannedModel, data_facts, make_plan
from app.experiments.service import data_of
from app.format import about, money
from app.hyperparameters import Hyperparameter
from app.lab.actor import Actor
from app.runs.ledger import text as as_text
from app.tables import Dataset, Split


@dataclass(frozen=True)
class Tile:
    """One model to tick."""

    model: Model
    facts: tuple[str, ...]
    ticked: bool


@dataclass(frozen=True)
class Field:
    """One editable value of the plan."""

    name: str
    shape: Hyperparameter
    value: str
    changed: bool


@dataclass(frozen=True)
class PlanRow:
    """One model of the plan with its fields, the simple ones first."""

    planned: PlannedModel
    simple: tuple[Field, ...]
    advanced: tuple[Field, ...]
    preset: str
    memory: str

    @property
    def changed(self) -> int:
        """How many values a person set."""
        return len(self.planned.asked)


@dataclass(frozen=True)
class LaunchPage:
    """The whole page; `plan` is None when the choice cannot be planned, `error` says why."""

    form: LaunchForm
    dataset: Dataset
    split: Split
    splits: list[Split]
    groups: list[tuple[str, str, list[Tile]]]
    plan: Plan | None
    rows: list[PlanRow]
    error: str
    hint: str

    @property
    def blocked(self) -> str:
        """Why the launch button is off; empty when it is on."""
        if self.error:
            return f"{self.error} {self.hint}".strip()
        if self.plan is None or not self.plan.rows:
            return "Tick at least one model."
        return self.plan.problems[0] if self.plan.problems else ""


def launch_page(session: Session, actor: Actor, form: LaunchForm) -> LaunchPage:
    """Plans the form's choice; a choice that cannot be planned is shown with its reason, nothing is lost."""
    splits = splits_of(session, actor, form.dataset_id)
    split_id = form.split_id or (splits[0].id if splits else 0) or 0
    dataset, split = data_of(session, actor, form.dataset_id, split_id)
    plan, error, hint = None, "", ""
    try:
        plan = make_plan(data_facts(dataset, split), form.grid, form.seeds)
    except TunebookError as problem:
        error, hint = problem.message, problem.hint
    rows = [_plan_row(row, form.chosen_presets.get(row.model.id, "")) for row in plan.rows] if plan else []
    return LaunchPage(form, dataset, split, splits, _groups(dataset, split, form), plan, rows, error, hint)


def _groups(dataset: Dataset, split: Split, form: LaunchForm) -> list[tuple[str, str, list[Tile]]]:
    facts = data_facts(dataset, split)
    groups: dict[str, list[Tile]] = {}
    for model in all_models():
        guess = choices.estimate(model, facts, choices.suggest(model, facts))
        shown = (
            ("needs PyTorch",)
            if model.unavailable
            else (about(guess["seconds"]), money(guess["microdollars"]))
        )
        groups.setdefault(model.group, []).append(Tile(model, shown, model.id in form.models))
    return [(name, GROUPS.get(name, ""), tiles) for name, tiles in groups.items()]


def _plan_row(row: PlannedModel, preset: str) -> PlanRow:
    fields = [
        Field(
            f"h:{row.model.id}:{shape.name}",
            shape,
            _shown(row.values.get(shape.name)),
            shape.name in row.asked,
        )
        for shape in row.fields
    ]
    return PlanRow(
        row,
        tuple(field for field in fields if field.shape.simple),
        tuple(field for field in fields if not field.shape.simple),
        preset,
        remember(row, preset),
    )


def _shown(value: Any) -> str:
    return "" if value is None else as_text(value)
