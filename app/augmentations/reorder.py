"""Reorder: the same lines or clauses of a prompt in another order, for prompts whose parts are a list."""

from collections.abc import Mapping
from random import Random
from typing import Any

from app.augmentations._base import Augmentation
from app.hyperparameters import Hyperparameter

ESCAPES = {"\\n": "\n", "\\t": "\t"}
FIELDS = (
    Hyperparameter(
        "separator", "Between the parts", "text", "\\n",
        "What stands between the parts that may change places: \\n for lines, or for example a semicolon.",
    ),
    Hyperparameter(
        "keep_first", "Parts that stay first", "int", 1, "For example 1 for a question above a list.",
        minimum=0, maximum=1000,
    ),
    Hyperparameter(
        "keep_last", "Parts that stay last", "int", 0, "For example 1 for a question below a list.",
        minimum=0, maximum=1000,
    ),
)  # fmt: skip


def rewrite(text: str, parameters: Mapping[str, Any], chance: Random) -> str:
    """The text with the parts between the kept ones shuffled; blanks around a part go with it."""
    separator = _separator(parameters)
    parts = text.split(separator)
    first = int(parameters["keep_first"])
    last = max(first, len(parts) - int(parameters["keep_last"]))
    middle = parts[first:last]
    chance.shuffle(middle)
    return separator.join([*parts[:first], *middle, *parts[last:]])


def _separator(parameters: Mapping[str, Any]) -> str:
    text = str(parameters["separator"])
    for written, meant in ESCAPES.items():
        text = text.replace(written, meant)
    return text


def check(parameters: Mapping[str, Any]) -> None:
    """Something must stand between the parts."""
    if not _separator(parameters):
        raise ValueError("what stands between the parts must not be empty")


AUGMENTATION = Augmentation(
    "reorder",
    "Reorder parts",
    "the same lines or clauses in another order; right only where the answer does not depend on their order",
    FIELDS,
    rewrite,
    lambda: "",
    check,
)
