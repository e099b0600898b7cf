"""The plan of a launch: every run with every hyperparameter filled in, time and money, and what is wrong.

Pure once the facts are read: the launch page, the API's dry run and the launch itself use the same plan.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.catalog import facts as choices
from app.catalog.facts import DataFacts
from app.catalog.models import Model, find_model
from app.datasets.leaks import ceiling_of, ceiling_sentence
from app.errors import Invalid
from app.hyperparameters import Hyperparameter
from app.runs.ledger import open_ledger
from app.statistics import smallest_difference
from app.tables import Dataset, Split

MAX_RUNS = 500
FEW_TRAIN_ITEMS = 20


@dataclass(frozen=True)
class GridRow:
    """One model asked for, with the hyperparameters that a person set."""

    model: str
    hyperparameters: dict[str, Any]


@dataclass(frozen=True)
class PlannedModel:
    """One line of the plan: a model with its seeds, values and estimates (for one seed)."""

    model: Model
    seeds: tuple[int | None, ...]
    fields: tuple[Hyperparameter, ...]
    values: dict[str, Any]
    asked: dict[str, Any]
    ledger: dict[str, dict[str, Any]]
    presets: dict[str, dict[str, Any]]
    estimate: dict[str, Any]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The whole launch; it can be launched when `problems` is empty."""

    rows: tuple[PlannedModel, ...]
    facts: DataFacts
    seconds: float
    microdollars: int
    problems: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def runs(self) -> int:
        """How many runs the plan makes."""
        return sum(len(row.seeds) for row in self.rows)


def data_facts(dataset: Dataset, split: Split) -> DataFacts:
    """What the models must know about the split."""
    facts = dataset.facts
    return DataFacts(
        task=dataset.task,
        labels=tuple(dataset.labels),
        train_items=split.counts.get("train", 0),
        validation_items=split.counts.get("validation", 0),
        test_items=split.counts.get("test", 0),
        mean_tokens=float(facts.get("mean_tokens") or 0),
        max_tokens=int(facts.get("max_tokens") or 0),
        mean_characters=float(facts.get("mean_characters") or 0),
        ceiling=ceiling_sentence(ceiling_of(dataset, split)),
    )


def make_plan(facts: DataFacts, grid: Sequence[GridRow], seeds: Sequence[int]) -> Plan:
    """Fills in everything. Raises Invalid for unknown models, hyperparameters or seeds."""
    seeds = check_seeds(seeds)
    rows = tuple(_plan_model(facts, row, seeds) for row in grid)
    plan = Plan(
        rows,
        facts,
        sum((row.estimate["seconds"] or 0) * len(row.seeds) for row in rows),
        sum(row.estimate["microdollars"] * len(row.seeds) for row in rows),
        tuple(_split_problems(facts)) + tuple(problem for row in rows for problem in row.problems),
        tuple(_remarks(facts, seeds)),
    )
    if plan.runs > MAX_RUNS:
        raise Invalid(
            f"{plan.runs} runs are more than one launch takes ({MAX_RUNS}).", "Launch fewer models or seeds."
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


def _plan_model(facts: DataFacts, row: GridRow, seeds: tuple[int, ...]) -> PlannedModel:
    model = find_model(row.model)
    fields = choices.hyperparameters(model)
    asked = choices.parse_values(model, row.hyperparameters)
    suggested = choices.suggest(model, facts)
    values = {**suggested, **asked}
    return PlannedModel(
        model,
        seeds if model.seed_matters else (None,),
        fields,
        values,
        asked,
        open_ledger(suggested, {field.name: field.default for field in fields}, asked),
        choices.presets(model),
        choices.estimate(model, facts, values),
        tuple(choices.problems(model, facts, values)),
    )


def _split_problems(facts: DataFacts) -> list[str]:
    problems = []
    if not facts.test_items:
        problems.append("This split has no test items: choose a split that holds some out.")
    if facts.train_items < 2:
        problems.append(f"This split has {facts.train_items} training items: at least 2 are needed.")
    return problems


def _remarks(facts: DataFacts, seeds: tuple[int, ...]) -> list[str]:
    remarks = []
    if facts.test_items and facts.task != "number":
        points = 100 * smallest_difference(facts.test_items)
        remarks.append(
            f"With {facts.test_items:,} test items a difference under about {points:.0f} points "
            "cannot be told from luck."
        )
    if facts.ceiling:
        remarks.append(facts.ceiling)
    if 2 <= facts.train_items < FEW_TRAIN_ITEMS:
        remarks.append(f"Only {facts.train_items} training items: expect every model to do poorly.")
    if not facts.validation_items:
        remarks.append("This split has no validation part, so there is no validation curve.")
    if len(seeds) == 1:
        remarks.append("One seed does not show training noise; three would.")
    return remarks
