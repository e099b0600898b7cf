"""One line of a plan: a model asked for, and every run that it makes. Pure once the facts are read. Called by plan.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.catalog import facts as choices
from app.catalog.facts import DataFacts
from app.catalog.model import Model
from app.catalog.models import find_model
from app.catalog.shelf import Shelf
from app.errors import Invalid
from app.experiments.compute import elsewhere, on_spot, spot_problems
from app.experiments.designs import Cells, DataCell
from app.experiments.grid import MAX_RUNS, parse_grid, variants
from app.hyperparameters import Hyperparameter
from app.preferences import is_dpo
from app.runs.ledger import open_ledger
from app.settings.machines import Spot


@dataclass(frozen=True)
class GridRow:
    """One model asked for, with the hyperparameters that a person set; a list of values makes a grid."""

    model: str
    hyperparameters: dict[str, Any]
    # The name of the compute where it trains; "": this machine, or its service.
    compute: str = ""


@dataclass(frozen=True)
class PlannedRun:
    """One run: which cell of the data, what sets it apart, its seed, and its values as the ledger opens."""

    cell: DataCell
    variant: str
    seed: int | None
    ledger: dict[str, dict[str, Any]]
    estimate: dict[str, Any]


@dataclass(frozen=True)
class PlannedModel:
    """One line of the plan. `values` and `asked` hold lists where a grid was asked for; `estimate` is of one run
    on the whole data, `seconds` and `microdollars` of all its runs."""

    model: Model
    seeds: tuple[int | None, ...]
    fields: tuple[Hyperparameter, ...]
    values: dict[str, Any]
    asked: dict[str, Any]
    ledger: dict[str, dict[str, Any]]
    presets: dict[str, dict[str, Any]]
    estimate: dict[str, Any]
    problems: tuple[str, ...]
    runs: tuple[PlannedRun, ...]
    # Where it trains; None: on this machine, or at its service.
    spot: Spot | None = None

    @property
    def paid(self) -> bool:
        """Whether its runs cost money."""
        return self.model.remote or (self.spot is not None and self.spot.paid)

    @property
    def here(self) -> bool:
        """Whether it takes this machine's time."""
        return not self.model.remote and self.spot is None

    @property
    def seconds(self) -> float:
        """Of all runs on this machine; unknown times count as nothing."""
        return 0.0 if self.spot else sum(run.estimate["seconds"] or 0 for run in self.runs)

    @property
    def microdollars(self) -> int | None:
        """Of all runs; None when the price of any is not known."""
        return total([run.estimate["microdollars"] for run in self.runs])


def total(amounts: Sequence[int | None]) -> int | None:
    """The sum, or None when any part is not known."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None


def plan_model(
    cells: Cells,
    row: GridRow,
    seeds: tuple[int, ...],
    more: int,
    shelf: Shelf | None,
    spot: Spot | None,
    twice: bool,
) -> PlannedModel:
    """The line of one row. `more`: how many times its train items grow by augmentation; `twice`: its model stands in
    the grid more than once. Raises Invalid for unknown models and hyperparameters, and for too many runs."""
    model = find_model(row.model, shelf)
    asked = parse_grid(model, row.hyperparameters)
    whole = _grown(cells.whole, more)
    combinations = variants(model, asked)
    first = _filled(model, whole, combinations[0][1])
    own_seeds = seeds if model.seed_matters else (None,)
    _refuse_many(model, len(combinations) * len(own_seeds) * len(cells.cells))
    runs = tuple(
        run
        for cell in cells.cells
        for name, values in combinations
        for run in _runs(model, cells, cell, _named(name, spot, twice), values, own_seeds, more, spot)
    )
    return PlannedModel(
        model,
        own_seeds,
        choices.offered(model, whole, asked),
        _filled(model, whole, asked),
        asked,
        runs[0].ledger,
        {name: own for name, own in choices.presets(model).items() if whole.pairs or not is_dpo(own)},
        on_spot(choices.estimate(model, whole, first), spot),
        _problems(model, cells, combinations, whole, spot, more),
        runs,
        spot,
    )


def _problems(
    model: Model,
    cells: Cells,
    combinations: Sequence[tuple[str, Mapping[str, Any]]],
    whole: DataFacts,
    spot: Spot | None,
    more: int,
) -> tuple[str, ...]:
    """Each once: of the place, and of every variant on the smallest part, the first to be too small for a model."""
    least = min((cell.facts for cell in cells.cells), key=lambda facts: facts.train_items)
    smallest = replace(_grown(least, more), elsewhere=elsewhere(spot))
    found = (
        problem
        for _, values in combinations
        for problem in choices.problems(model, smallest, {**choices.suggest(model, whole, values), **values})
    )
    return tuple(dict.fromkeys((*spot_problems(model, spot), *found)))


def _refuse_many(model: Model, count: int) -> None:
    """Said before so many are made."""
    if count > MAX_RUNS:
        raise Invalid(
            f"{model.label}: {count:,} runs are more than one launch takes ({MAX_RUNS}).",
            "Launch fewer models, seeds, values or folds.",
        )


def _named(variant: str, spot: Spot | None, twice: bool) -> str:
    place = f"on {spot.name}" if spot else "on this machine"
    return ", ".join(part for part in (variant, place if twice else "") if part)


def _grown(facts: DataFacts, more: int) -> DataFacts:
    """The facts with the train items that augmentation makes at most."""
    rejected = {**facts.rejected, "train": facts.pairs * more}
    return replace(facts, train_items=facts.train_items * more, rejected=rejected)


def _filled(model: Model, facts: DataFacts, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Every value of the model."""
    return {**choices.suggest(model, facts, asked), **asked}


def _runs(
    model: Model,
    cells: Cells,
    cell: DataCell,
    name: str,
    asked: dict[str, Any],
    seeds: tuple[int | None, ...],
    more: int,
    spot: Spot | None,
) -> list[PlannedRun]:
    """The runs of one combination in one cell. Folds share the values chosen for the whole data; a smaller part
    of train gets those that suit it."""
    own = _grown(cell.facts, more)
    suggested = choices.suggest(model, own if cell.fold is None else _grown(cells.whole, more), asked)
    ledger = open_ledger(
        suggested, {field.name: field.default for field in choices.hyperparameters(model)}, asked
    )
    estimate = on_spot(choices.estimate(model, own, {**suggested, **asked}), spot)
    variant = ", ".join(part for part in (cell.variant, name) if part)
    return [PlannedRun(cell, variant, seed, ledger, estimate) for seed in seeds]
