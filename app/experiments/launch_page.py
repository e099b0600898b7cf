"""What the launch page shows: tiles in groups, the plan with its fields, and the bar with the one button."""

from dataclasses import dataclass, replace

from sqlmodel import Session

from app.augmentations import augmentations
from app.augmentations._base import Augmentation
from app.catalog.shelf import Shelf, read_shelf
from app.datasets.queries import splits_of
from app.errors import TunebookError
from app.experiments.designs import KINDS, Design
from app.experiments.facts import data_facts
from app.experiments.forms import LaunchForm, asked_launch, remember
from app.experiments.grid import shown
from app.experiments.money import reserved_total
from app.experiments.plan import Plan
from app.experiments.planned import PlannedModel
from app.experiments.service import asked_data, data_of, plan_data
from app.experiments.tiles import (
    ServiceGroup,
    Tile,
    TrainerTile,
    local_groups,
    prompted_groups,
    trained_groups,
    trainer_tiles,
)
from app.hyperparameters import Hyperparameter
from app.lab.actor import Actor
from app.settings.machines import Spot, spots
from app.settings.offers import ask_look
from app.tables import Dataset, Split


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
    trainers: list[TrainerTile]
    trained: list[ServiceGroup]
    prompted: list[ServiceGroup]
    shelf: Shelf
    plan: Plan | None
    rows: list[PlanRow]
    error: str
    hint: str
    # Where models can train beside this machine.
    places: list[Spot]

    @property
    def designs(self) -> list[tuple[str, str]]:
        """The designs to choose between."""
        return list(KINDS.items())

    @property
    def design(self) -> dict[str, str]:
        """What the design's fields hold: what was posted, else the defaults."""
        plain = Design()
        shares = ", ".join(f"{100 * share:g}" for share in plain.shares)
        standard = {"kind": "plain", "folds": str(plain.folds), "seed": str(plain.seed), "shares": shares}
        return {**standard, "key": "", "pattern": "", **self.form.design}

    @property
    def lacks_validation(self) -> bool:
        """Whether a split is offered whose validation part can be drawn from train."""
        return any(one.kind == "file" and not one.counts.get("validation") for one in self.splits)

    @property
    def metadata_keys(self) -> list[str]:
        """The keys of the rows that groups can be read from."""
        return list(self.dataset.facts.get("metadata_keys") or [])[:12]

    @property
    def augmentations(self) -> list[Augmentation]:
        """The ways to multiply train items."""
        return list(augmentations().values())

    @property
    def tested(self) -> str:
        """What all runs are tested on, in a few words."""
        if self.plan and self.plan.design.pooled:
            return f"pooled over {len(self.plan.cells.cells)} folds"
        return "on one test set"

    @property
    def reserved(self) -> int:
        """Micro-dollars that the launch takes from the budgets."""
        return reserved_total(self.plan) if self.plan else 0

    @property
    def paid(self) -> bool:
        """Whether any planned run is paid for."""
        return bool(self.plan and any(row.paid for row in self.plan.rows))

    @property
    def blocked(self) -> str:
        """Why the launch button is off; empty when it is on."""
        if self.error:
            return f"{self.error} {self.hint}".strip()
        if self.plan is None or not self.plan.rows:
            return "Tick at least one model."
        return self.plan.problems[0] if self.plan.problems else ""


def launch_page(session: Session, actor: Actor, form: LaunchForm, tiles: bool = True) -> LaunchPage:
    """Plans the form's choice; a choice that cannot be planned is shown with its reason, nothing is lost. Without
    `tiles` only what the plan shows is there."""
    splits = splits_of(session, actor, form.dataset_id)
    split_id = form.split_id or (splits[0].id if splits else 0) or 0
    dataset, split = data_of(session, actor, form.dataset_id, split_id)
    shelf = read_shelf(session, actor)
    plan, error, hint = None, "", ""
    try:
        asked = replace(asked_launch(form), split_id=split.id or 0)
        plan = plan_data(session, actor, *asked_data(session, actor, asked), asked, shelf)
    except TunebookError as problem:
        error, hint = problem.message, problem.hint
    rows = [_plan_row(row, form.chosen_presets.get(row.model.id, "")) for row in plan.rows] if plan else []
    facts, ticked, typed = data_facts(dataset, split), form.ticked, form.typed
    return LaunchPage(
        form,
        dataset,
        split,
        splits,
        local_groups(facts, ticked) if tiles else [],
        trainer_tiles(form.trainers) if tiles else [],
        trained_groups(shelf, facts, ticked, typed) if tiles else [],
        prompted_groups(shelf, facts, ticked, typed) if tiles else [],
        shelf,
        plan,
        rows,
        error,
        hint,
        list(spots(session, actor).values()),
    )


def ask_about_models(session: Session, plan: Plan | None, shelf: Shelf) -> None:
    """Has services asked about the models of the plan of which they have not said everything yet."""
    for row in plan.rows if plan else ():
        shop = shelf.shops.get(row.model.provider)
        if row.model.to_look_at and shop and shop.credential and row.model.offer:
            ask_look(session, shop.credential, row.model.offer)


def _plan_row(row: PlannedModel, preset: str) -> PlanRow:
    fields = [
        Field(
            f"h:{row.model.id}:{shape.name}",
            shape,
            shown(row.values.get(shape.name)),
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
