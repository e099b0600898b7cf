"""The plan of a launch: every run with every hyperparameter filled in, time and money, and what is wrong.

Pure once the facts are read: the launch page, the API's dry run and the launch itself use the same plan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.catalog import facts as choices
from app.catalog.facts import DataFacts
from app.catalog.model import Model
from app.catalog.models import find_model
from app.catalog.shelf import Shelf
from app.errors import Invalid
from app.experiments.designs import Cells, DataCell, Design, describe
from app.experiments.grid import MAX_RUNS, parse_grid, variants
from app.experiments.remarks import remarks, split_problems
from app.hyperparameters import Hyperparameter
from app.preferences import is_dpo, remark
from app.runs.augment import describe_augment
from app.runs.ledger import open_ledger, sent_values


@dataclass(frozen=True)
class GridRow:
    """One model asked for, with the hyperparameters that a person set; a list of values makes a grid."""

    model: str
    hyperparameters: dict[str, Any]


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

    @property
    def seconds(self) -> float:
        """Of all runs; unknown times count as nothing."""
        return sum(run.estimate["seconds"] or 0 for run in self.runs)

    @property
    def microdollars(self) -> int | None:
        """Of all runs; None when the price of any is not known."""
        return total([run.estimate["microdollars"] for run in self.runs])


def total(amounts: Sequence[int | None]) -> int | None:
    """The sum, or None when any part is not known."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None


@dataclass(frozen=True)
class Plan:
    """The whole launch; it can be launched when `problems` is empty."""

    rows: tuple[PlannedModel, ...]
    facts: DataFacts
    cells: Cells
    design: Design
    augment: Mapping[str, Any]
    choose_on: str
    problems: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def runs(self) -> int:
        """How many runs the plan makes."""
        return sum(len(row.runs) for row in self.rows)

    @property
    def seconds(self) -> float:
        """Of all runs, one after the other."""
        return sum(row.seconds for row in self.rows)

    @property
    def microdollars(self) -> int | None:
        """Of all runs; None when the price of any is not known."""
        return total([row.microdollars for row in self.rows])

    @property
    def known_microdollars(self) -> int:
        """Of the runs whose price is known."""
        return sum(run.estimate["microdollars"] or 0 for row in self.rows for run in row.runs)

    @property
    def asking(self) -> list[str]:
        """The services that are still to say more about a model."""
        found = [row.model.provider_label for row in self.rows if row.model.to_look_at]
        return list(dict.fromkeys(found))


def make_plan(
    data: DataFacts | Cells,
    grid: Sequence[GridRow],
    seeds: Sequence[int],
    design: Design | None = None,
    augment: Mapping[str, Any] | None = None,
    choose_on: str = "",
    shelf: Shelf | None = None,
) -> Plan:
    """Fills in everything. `augment` is checked already. Raises Invalid for unknown models, hyperparameters or
    seeds, and for more runs than one launch takes."""
    cells = data if isinstance(data, Cells) else Cells((DataCell(data),), data)
    design, augment = design or Design(), augment or {}
    seeds = check_seeds(seeds)
    more = 1 + augment.get("rewrites", 0)
    rows = tuple(_plan_model(cells, row, seeds, more, shelf) for row in grid)
    said = [describe(design.to_json(), len(cells.cells)), describe_augment(augment)]
    if any(is_dpo(sent_values(run.ledger)) for row in rows for run in row.runs):
        said.append(remark(cells.whole.pairs, cells.whole.train_items))
    plan = Plan(
        rows,
        cells.whole,
        cells,
        design,
        augment,
        choose_on,
        tuple(split_problems([cell.facts for cell in cells.cells], design, choose_on))
        + tuple(problem for row in rows for problem in row.problems),
        tuple(text for text in said if text) + tuple(remarks(cells.whole, seeds, design, choose_on)),
    )
    if plan.runs > MAX_RUNS:
        raise Invalid(
            f"{plan.runs:,} runs are more than one launch takes ({MAX_RUNS}).",
            "Launch fewer models, seeds, values or folds.",
        )
    return plan


def check_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """Distinct whole numbers from 0 to 2³¹ − 1, at least one."""
    if not seeds or len(set(seeds)) != len(seeds) or any(not 0 <= seed < 2**31 for seed in seeds):
        raise Invalid(
            "Seeds must be different whole numbers from 0 to 2,147,483,647.",
            "Write for example 1, 2, 3.",
            {"seeds": "different whole numbers, at least one"},
        )
    return tuple(seeds)


def _plan_model(
    cells: Cells, row: GridRow, seeds: tuple[int, ...], more: int, shelf: Shelf | None
) -> PlannedModel:
    model = find_model(row.model, shelf)
    asked = parse_grid(model, row.hyperparameters)
    whole = _grown(cells.whole, more)
    combinations = variants(model, asked)
    first = _filled(model, whole, combinations[0][1])
    own_seeds = seeds if model.seed_matters else (None,)
    if len(combinations) * len(own_seeds) * len(cells.cells) > MAX_RUNS:
        # Said before so many are made.
        count = len(combinations) * len(own_seeds) * len(cells.cells)
        raise Invalid(
            f"{model.label}: {count:,} runs are more than one launch takes ({MAX_RUNS}).",
            "Launch fewer models, seeds, values or folds.",
        )
    runs = tuple(
        run
        for cell in cells.cells
        for name, values in combinations
        for run in _runs(model, cells, cell, name, values, own_seeds, more)
    )
    # The smallest part is the first to be too small for a model.
    smallest = _grown(min((cell.facts for cell in cells.cells), key=lambda facts: facts.train_items), more)
    problems = (
        problem
        for _, values in combinations
        for problem in choices.problems(model, smallest, {**choices.suggest(model, whole, values), **values})
    )
    return PlannedModel(
        model,
        own_seeds,
        choices.offered(model, whole, asked),
        _filled(model, whole, asked),
        asked,
        runs[0].ledger,
        {name: own for name, own in choices.presets(model).items() if whole.pairs or not is_dpo(own)},
        choices.estimate(model, whole, first),
        tuple(dict.fromkeys(problems)),
        runs,
    )


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
) -> list[PlannedRun]:
    """The runs of one combination in one cell. Folds share the values chosen for the whole data; a smaller part
    of train gets those that suit it."""
    own = _grown(cell.facts, more)
    suggested = choices.suggest(model, own if cell.fold is None else _grown(cells.whole, more), asked)
    ledger = open_ledger(
        suggested, {field.name: field.default for field in choices.hyperparameters(model)}, asked
    )
    estimate = choices.estimate(model, own, {**suggested, **asked})
    variant = ", ".join(part for part in (cell.variant, name) if part)
    return [PlannedRun(cell, variant, seed, ledger, estimate) for seed in seeds]
