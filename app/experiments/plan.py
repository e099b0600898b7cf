"""The plan of a launch: every run with every hyperparameter filled in, time and money, and what is wrong.

Pure once the facts are read: the launch page, the API's dry run and the launch itself use the same plan.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.catalog.facts import DataFacts
from app.catalog.shelf import Shelf
from app.errors import Invalid
from app.experiments.compute import find_spot
from app.experiments.designs import Cells, DataCell, Design, describe
from app.experiments.grid import MAX_RUNS
from app.experiments.planned import GridRow, PlannedModel, plan_model, total
from app.experiments.remarks import remarks, split_problems
from app.preferences import is_dpo, remark
from app.runs.augment import describe_augment
from app.runs.ledger import sent_values
from app.settings.machines import Spot


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
    spots: Mapping[str, Spot] | None = None,
) -> Plan:
    """Fills in everything. `augment` is checked already. Raises Invalid for unknown models, hyperparameters or
    seeds, and for more runs than one launch takes."""
    cells = data if isinstance(data, Cells) else Cells((DataCell(data),), data)
    design, augment = design or Design(), augment or {}
    seeds = check_seeds(seeds)
    more = 1 + augment.get("rewrites", 0)
    often = Counter(row.model for row in grid)
    # Where a model stands twice, its runs are told apart by where they train.
    places = [(row, find_spot(row.compute, spots or {}), often[row.model] > 1) for row in grid]
    rows = tuple(plan_model(cells, row, seeds, more, shelf, spot, twice) for row, spot, twice in places)
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
