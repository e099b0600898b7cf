"""The plan of a launch: what it fills in, counts, and remarks."""

import pytest

from app.catalog.facts import DataFacts
from app.errors import Invalid
from app.experiments.plan import MAX_RUNS, check_seeds, make_plan
from app.experiments.planned import GridRow

BASELINES = ["baseline/majority", "baseline/nearest", "baseline/tfidf-linear", "baseline/char-trees"]


def facts(**changes) -> DataFacts:
    """A split of a small classification dataset."""
    values = {
        "task": "classification", "labels": ("VL", "L"), "train_items": 400, "validation_items": 50,
        "test_items": 50, "mean_tokens": 40.0, "max_tokens": 90, "mean_characters": 120.0,
    }  # fmt: skip
    return DataFacts(**{**values, **changes})


def grid(*models: str, **asked) -> list[GridRow]:
    """Rows of the grid, each with the same values asked for."""
    return [GridRow(model, asked) for model in models]


def test_every_hyperparameter_is_filled_in() -> None:
    plan = make_plan(facts(), grid(*BASELINES), [1, 2])
    assert plan.problems == ()
    for row in plan.rows:
        assert set(row.values) == {field.name for field in row.fields} == set(row.ledger)
        assert None not in row.values.values()
        assert row.seeds == ((1, 2) if row.model.seed_matters else (None,))
    assert plan.runs == sum(len(row.seeds) for row in plan.rows)
    assert plan.seconds == pytest.approx(sum(row.estimate["seconds"] * len(row.seeds) for row in plan.rows))


def test_what_a_person_asks_for_stands_in_the_plan_and_its_ledger() -> None:
    plan = make_plan(facts(), grid("baseline/char-trees"), [1])
    field = next(
        one for one in plan.rows[0].fields if one.kind == "int" and (one.maximum or 10**9) > one.default
    )
    asked = make_plan(facts(), grid("baseline/char-trees", **{field.name: str(field.default + 1)}), [1]).rows[
        0
    ]
    assert asked.values[field.name] == field.default + 1
    assert asked.ledger[field.name]["source"] == "you"
    assert asked.asked == {field.name: field.default + 1}


@pytest.mark.parametrize("value", [10**400, float("inf"), [[1]], {"a": 1}, True, "many", "nan"])
def test_values_that_cannot_be_used_are_refused(value) -> None:
    field = next(
        one
        for one in make_plan(facts(), grid("baseline/char-trees"), [1]).rows[0].fields
        if one.kind == "int"
    )
    with pytest.raises(Invalid) as refused:
        make_plan(facts(), grid("baseline/char-trees", **{field.name: value}), [1])
    assert field.name in refused.value.fields


def test_unknown_names_are_refused() -> None:
    with pytest.raises(Invalid, match="There is no model 'baseline/none'"):
        make_plan(facts(), grid("baseline/none"), [1])
    with pytest.raises(Invalid, match="has no hyperparameter 'speed'"):
        make_plan(facts(), grid("baseline/majority", speed=1), [1])


def test_few_test_items_are_remarked_on() -> None:
    remarks = make_plan(facts(), grid("baseline/majority"), [1]).remarks
    assert "With 50 test items a difference under about 20 points cannot be told from luck." in remarks
    many = make_plan(facts(test_items=5_000), grid("baseline/majority"), [1, 2, 3]).remarks
    assert many == ("With 5,000 test items a difference under about 2 points cannot be told from luck.",)


def test_a_split_without_items_cannot_be_launched() -> None:
    plan = make_plan(facts(test_items=0, train_items=1), grid("baseline/majority"), [1])
    assert len(plan.problems) == 2
    assert "no test items" in plan.problems[0]


def test_a_task_that_a_model_does_not_do_is_a_problem() -> None:
    plan = make_plan(facts(task="text", labels=()), grid("baseline/tfidf-linear"), [1])
    assert "does not do the task 'text'" in plan.problems[0]


@pytest.mark.parametrize("seeds", [[], [1, 1], [-1], [2**31]])
def test_seeds_are_different_whole_numbers(seeds: list[int]) -> None:
    with pytest.raises(Invalid, match="Seeds must be different whole numbers"):
        check_seeds(seeds)


def test_a_launch_has_a_limit() -> None:
    with pytest.raises(Invalid, match="more than one launch takes"):
        make_plan(facts(), grid("baseline/char-trees"), list(range(MAX_RUNS + 1)))
