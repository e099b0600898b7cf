"""The contract of a baseline. This package travels in bundles, so its files import nothing of ours but this one.

Each file gives one object named BASELINE.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Example:
    """One training item: the prompt's text and the wanted answer."""

    text: str
    answer: str


@dataclass(frozen=True)
class Answer:
    """What a model says for one text; `p` maps every label to its probability, None where there are none."""

    text: str
    p: dict[str, float] | None = None


@dataclass(frozen=True)
class Setting:
    """How a baseline is fitted: the task (classification, number, ...), its labels, the values of its
    hyperparameters by name, the seed and the number of threads."""

    task: str
    labels: tuple[str, ...]
    values: Mapping[str, Any]
    seed: int
    threads: int


class Fitted(Protocol):
    """A fitted model."""

    def predict(self, texts: Sequence[str]) -> list[Answer]:
        """One answer per text, in order."""
        ...


@dataclass(frozen=True)
class Baseline:
    """One classical model. `hyperparameters` are the fields of app.hyperparameters.Hyperparameter as dicts;
    `estimate(train_items, mean_characters, cores)` gives seconds; `fit` is deterministic by seed."""

    name: str
    label: str
    description: str
    tasks: tuple[str, ...]
    seed_matters: bool
    hyperparameters: tuple[dict[str, Any], ...]
    estimate: Callable[[int, float, int], float]
    fit: Callable[[Sequence[Example], Setting], Fitted]
