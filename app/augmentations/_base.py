"""The contract of an augmentation: it rewrites the text of a train item without changing what it means.

Each file gives one object named AUGMENTATION. It is plain: no database, no network, and the same text, parameters
and random state give the same rewrites on every machine.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from app.hyperparameters import Hyperparameter

# Tries per rewrite that is wanted: a text with few forms gives fewer rewrites instead of none ending.
TRIES = 20


@dataclass(frozen=True)
class Augmentation:
    """`rewrite(text, parameters, chance)` gives one other form of the text, or the text itself where it has none;
    `missing()` says what to install, "" when it can run; `check(parameters)` raises ValueError with a sentence."""

    name: str
    label: str
    description: str
    fields: tuple[Hyperparameter, ...]
    rewrite: Callable[[str, Mapping[str, Any], Random], str]
    missing: Callable[[], str]
    check: Callable[[Mapping[str, Any]], None]


def rewrites(
    augmentation: Augmentation, text: str, parameters: Mapping[str, Any], number: int, chance: Random
) -> list[str]:
    """Up to `number` forms of the text, each different from the text and from each other."""
    found: dict[str, None] = {}
    for _ in range(number * TRIES):
        if len(found) == number:
            break
        other = augmentation.rewrite(text, parameters, chance)
        if other != text:
            found[other] = None
    return list(found)
