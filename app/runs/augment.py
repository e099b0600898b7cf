"""Multiplies the train items of a run, as its snapshot says. Called when the bundle is written and by the plan."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Any

from app.augmentations import find_augmentation
from app.augmentations._base import rewrites
from app.datasets.stored import StoredItem
from app.errors import Invalid

MOST_REWRITES = 50
DEFAULT_REWRITES = 4


def check_augment(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a person asked for, complete and checked: {"name", "parameters", "rewrites", "seed"}; {} for nothing.

    Raises Invalid, also where the augmentation needs what is not installed.
    """
    if not asked or not asked.get("name"):
        return {}
    kind = find_augmentation(str(asked["name"]))
    given = asked.get("parameters") or {}
    known = {field.name: field for field in kind.fields}
    strangers = [name for name in given if name not in known]
    try:
        if strangers:
            raise ValueError(f"it has no parameter {strangers[0]!r}; it has {', '.join(known)}")
        parameters = {
            name: field.default if given.get(name) in (None, "") else field.parse(given[name])
            for name, field in known.items()
        }
        kind.check(parameters)
        number = _whole(asked.get("rewrites", DEFAULT_REWRITES), "the number of rewrites", 1, MOST_REWRITES)
        seed = _whole(asked.get("seed", 1), "the seed", 0, 2**31 - 1)
    except ValueError as error:
        raise Invalid(
            f"{kind.label}: {error}.", "Change it under “Augment”.", {"augment": str(error)}
        ) from None
    if kind.missing():
        raise Invalid(
            f"{kind.missing()}.", "Or launch without this augmentation.", {"augment": "not installed"}
        )
    return {"name": kind.name, "parameters": parameters, "rewrites": number, "seed": seed}


def _whole(value: Any, what: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).strip().isdecimal():
        raise ValueError(f"{what} is {value!r}; write a whole number from {low} to {high:,}")
    if not low <= int(value) <= high:
        raise ValueError(f"{what} is {value}; write a whole number from {low} to {high:,}")
    return int(value)


def describe_augment(augment: Mapping[str, Any]) -> str:
    """What is done, in a sentence; empty for nothing."""
    if not augment:
        return ""
    kind = find_augmentation(augment["name"])
    parameters = ", ".join(f"{name} {value}" for name, value in augment["parameters"].items())
    return (
        f"Up to {augment['rewrites']} rewrites of each train item by “{kind.label}” ({parameters}; "
        f"seed {augment['seed']}); validation and test stay as they are."
    )


def augmented(items: Iterable[StoredItem], augment: Mapping[str, Any]) -> Iterator[StoredItem]:
    """Every item, each followed by its rewrites: the text of the last user message changes, the answer does not.

    Rewrites are named after their item, `<item>~1` and so on, and depend on the item and the seed alone.
    """
    kind = find_augmentation(augment["name"])
    for item in items:
        yield item
        place = max((i for i, turn in enumerate(item.prompt) if turn["role"] == "user"), default=None)
        if place is None:
            continue
        text = str(item.prompt[place].get("content") or "")
        chance = Random(f"{augment['seed']}/{item.item_id}")
        made = rewrites(kind, text, augment["parameters"], augment["rewrites"], chance)
        for number, other in enumerate(made, 1):
            prompt = [*item.prompt]
            prompt[place] = {**prompt[place], "content": other}
            yield replace(item, item_id=f"{item.item_id}~{number}", prompt=prompt)
