"""The contract of a metric: a pure function from a sample to a value with its interval."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.statistics import Ranked, Sums


@dataclass(frozen=True)
class Sample:
    """Columns aligned by item. `expected` and `answers` are as read under the answer rules (None: not
    answered), `raw` as given; `probabilities` are {label: p} or None; `groups` name the item's group or None."""

    task: str
    labels: tuple[str, ...]
    expected: Sequence[str]
    answers: Sequence[str | None]
    correct: Sequence[bool]
    probabilities: Sequence[Mapping[str, float] | None]
    groups: Sequence[str | None]
    raw: Sequence[str | None]
    # A judge model's marks (0 to 1; None: not marked), empty where none judged; `judge` names model and prompt.
    marks: Sequence[float | None] = ()
    judge: str = ""

    def only(self, places: Sequence[int]) -> "Sample":
        """The sample of some of its items, by their places."""
        columns = ("expected", "answers", "correct", "probabilities", "groups", "raw")
        chosen: dict[str, Any] = {name: [getattr(self, name)[i] for i in places] for name in columns}
        return replace(self, **chosen, marks=[self.marks[i] for i in places] if self.marks else ())


@dataclass(frozen=True)
class Value:
    """A metric's value with its 95 % interval over `n` items; None where it does not apply."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric:
    """One metric. `format` is percent (a rate in 0..1), number or table (its content is in the detail);
    `direction` is higher, lower or none; `compute` returns None when the metric does not apply."""

    name: str
    label: str
    tasks: tuple[str, ...]
    direction: str
    format: str
    formula: str
    source: str
    compute: Callable[[Sample], Value | None]
    # What each item adds, for resampling two models together; None for tables and where that has no meaning.
    per_item: Callable[[Sample], Sums | Ranked | None] | None = None
    # Where the metric stands in a table: small numbers first.
    order: int = 50
