"""The launch form: only what a person really changed counts as asked."""

import json

import pytest
from starlette.datastructures import FormData

from app.errors import Invalid
from app.experiments.forms import read_launch_form, remember
from app.experiments.plan import make_plan
from tests.experiments.test_plan import facts

TREES = "baseline/char-trees"


def posted(*pairs: tuple[str, str]):
    """The form as read."""
    return read_launch_form(FormData([("dataset", "3"), ("split", "4"), *pairs]))


def plan_of(form):
    """The plan's line of the one model."""
    return make_plan(facts(), form.grid, form.seeds).rows[0]


def shown(row, preset: str = "") -> list[tuple[str, str]]:
    """The fields of a planned model as the page shows them."""
    remembered = remember(row, preset)
    fields = [(f"h:{TREES}:{name}", text) for name, text in json.loads(remembered)["shown"].items()]
    return [("models", TREES), (f"memory:{TREES}", remembered), (f"preset:{TREES}", preset), *fields]


def changed(pairs: list[tuple[str, str]], name: str, value: str) -> list[tuple[str, str]]:
    """The same fields with one of them typed over."""
    return [(key, value if key == f"h:{TREES}:{name}" else text) for key, text in pairs]


def whole_field(row) -> str:
    """The name of a whole number that may be larger."""
    return next(one.name for one in row.fields if one.kind == "int" and (one.maximum or 10**9) > one.default)


def test_models_are_ticked_or_typed_and_come_once() -> None:
    form = posted(("models", TREES), ("models", TREES), ("hugging_face", " a/b , hf/c/d,, "))
    assert form.models == (TREES, "hf/a/b", "hf/c/d")
    assert (form.dataset_id, form.split_id) == (3, 4)


def test_shown_values_are_not_asked_for() -> None:
    first = plan_of(posted(("models", TREES)))
    again = posted(*shown(first))
    assert again.asked == {TREES: {}}
    assert plan_of(again).values == first.values


def test_a_changed_value_is_asked_for_and_stays_so() -> None:
    first = plan_of(posted(("models", TREES)))
    name = whole_field(first)
    second = posted(*changed(shown(first), name, str(first.values[name] + 1)))
    assert second.asked == {TREES: {name: str(first.values[name] + 1)}}
    third = posted(*shown(plan_of(second)))
    assert third.asked == {TREES: {name: first.values[name] + 1}}


def test_an_emptied_field_goes_back_to_what_is_suggested() -> None:
    first = plan_of(posted(("models", TREES)))
    name = whole_field(first)
    second = plan_of(posted(*changed(shown(first), name, str(first.values[name] + 1))))
    third = posted(*changed(shown(second), name, ""))
    assert third.asked == {TREES: {}}
    assert plan_of(third).values == first.values


@pytest.mark.parametrize(
    "memory", ["", "{", "[]", '{"asked": 3, "shown": [1], "preset": {}}', "[" * 200_000, "null"]
)
def test_a_broken_memory_is_no_memory(memory: str) -> None:
    form = posted(("models", TREES), (f"memory:{TREES}", memory), (f"preset:{TREES}", ""))
    assert plan_of(form).asked == {}


def test_a_memory_that_someone_made_up_is_checked_like_any_value() -> None:
    forged = json.dumps({"asked": {"speed": [1]}, "shown": {}, "preset": ""})
    with pytest.raises(Invalid, match="no hyperparameter 'speed'"):
        plan_of(posted(("models", TREES), (f"memory:{TREES}", forged)))


@pytest.mark.parametrize(
    ("typed", "seeds"),
    [("1,2,3", [1, 2, 3]), (" 7 , 9", [7, 9]), ("x", [1]), ("", [1]), ("1,", [1]), ("-1", [1])],
)
def test_seeds_are_read(typed: str, seeds: list[int]) -> None:
    assert posted(("seeds", typed)).seeds == seeds


def test_a_seed_of_its_own_stays_on_offer() -> None:
    assert posted(("seeds", "42")).seed_options[-1] == ("42", "seed 42")


def test_every_form_has_a_launch_key_of_its_own() -> None:
    assert posted().launch_key != posted().launch_key
    assert posted(("launch_key", "k" * 200)).launch_key == "k" * 64
