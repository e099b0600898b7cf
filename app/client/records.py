"""What the API answers, as frozen dataclasses without a way back to the server. Used by the files beside it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from .rows import Rows, cell

T = TypeVar("T")
# States in which nothing happens any more, and those in which nothing happens until a person decides.
OVER = ("done", "failed", "cancelled")
RESTS = (*OVER, "paused")
MICRO = 1_000_000


@dataclass(frozen=True)
class Score:
    """One metric of a run: `value` with its 95 % interval over `n` items; rates lie in 0..1.

    >>> print(run.scores["accuracy"])
    1.000 [0.722, 1.000]
    """

    name: str
    label: str
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    format: str = "number"
    direction: str = ""
    detail: dict[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        value = "none" if self.value is None else f"{self.value:.3f}"
        return (
            value if self.low is None or self.high is None else f"{value} [{self.low:.3f}, {self.high:.3f}]"
        )

    def row(self) -> dict[str, Any]:
        """As a line of a table."""
        return {
            "metric": self.name, "label": self.label, "value": self.value, "low": self.low,
            "high": self.high, "n": self.n, "direction": self.direction,
        }  # fmt: skip


@dataclass(frozen=True)
class LedgerLine:
    """One hyperparameter: what was asked, sent, and really used, and who chose it."""

    name: str
    asked: Any = None
    sent: Any = None
    resolved: Any = None
    source: str = ""

    @property
    def value(self) -> Any:
        """What was used, as far as it is known."""
        return self.sent if self.resolved is None else self.resolved


@dataclass(frozen=True)
class Hyperparameter:
    """A hyperparameter that a model takes: kind, default, bounds or choices, unit."""

    name: str
    label: str
    kind: str
    default: Any = None
    help: str = ""
    unit: str = ""
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Model:
    """A model that can be launched. `unavailable` says why not, empty where it can be."""

    id: str
    label: str
    group: str = ""
    description: str = ""
    price: str = ""
    needs: str = ""
    unavailable: str = ""
    seed_matters: bool = True
    trainer: str = ""
    provider: str = ""
    ends_on: str = ""
    context_tokens: int | None = None
    hyperparameters: tuple[Hyperparameter, ...] = field(default=(), repr=False)

    def row(self) -> dict[str, Any]:
        """As a line of a table."""
        return {
            "id": self.id, "label": self.label, "group": self.group, "price": self.price,
            "available": not self.unavailable, "why_not": self.unavailable,
        }  # fmt: skip


class GridModel:
    """One model of a launch with the hyperparameters that you choose; a list of values makes a run of each.

    >>> GridModel("starter/tiny", epochs=[1, 3], learning_rate=0.001)
    GridModel('starter/tiny', epochs=[1, 3], learning_rate=0.001)
    """

    def __init__(self, model: "str | Model", *, compute: str = "", **hyperparameters: Any) -> None:
        self.model = model.id if isinstance(model, Model) else model
        self.compute, self.hyperparameters = compute, hyperparameters

    def body(self) -> dict[str, Any]:
        """As the API takes it."""
        said: dict[str, Any] = {"model": self.model, "hyperparameters": self.hyperparameters}
        return said | ({"compute": self.compute} if self.compute else {})

    def __repr__(self) -> str:
        more = {**self.hyperparameters, **({"compute": self.compute} if self.compute else {})}
        return f"GridModel({', '.join([repr(self.model), *(f'{name}={value!r}' for name, value in more.items())])})"


@dataclass(frozen=True)
class Split:
    """A frozen assignment of a dataset's items to parts; `counts` says how many each part has."""

    id: int
    name: str
    kind: str
    sha256: str
    counts: dict[str, int]
    parameters: dict[str, Any] = field(default_factory=dict, repr=False)
    labels: dict[str, dict[str, int]] = field(default_factory=dict, repr=False)
    leaks: dict[str, Any] = field(default_factory=dict, repr=False)
    remarks: tuple[str, ...] = field(default=(), repr=False)
    default: bool = False

    def row(self) -> dict[str, Any]:
        """As a line of a table."""
        leaked = self.leaks.get("exact")
        return {
            "id": self.id, "name": self.name, "kind": self.kind,
            **{part: self.counts.get(part, 0) for part in ("train", "validation", "test")},
            "in_train_too": leaked, "sha256": self.sha256[:12],
        }  # fmt: skip


@dataclass(frozen=True)
class RunLine:
    """A run as lists show it; `lab.run(line.id)` gives all of it. `scores` are those of the experiment's list."""

    id: int
    model: str
    state: str
    seed: int | None = None
    variant: str = ""
    fold: int | None = None
    pooled: bool = False
    progress: float = 0.0
    part: str = "test"
    experiment_id: int | None = None
    created_at: datetime | None = None
    scores: Rows[Score] = field(default_factory=lambda: Rows([], key="name"), repr=False)

    @property
    def over(self) -> bool:
        """Whether nothing happens any more."""
        return self.state in OVER

    def row(self) -> dict[str, Any]:
        """As a line of a table, with its first score."""
        first = self.scores[0] if len(self.scores) else None
        return {
            "run": self.id, "model": self.model, "variant": self.variant, "seed": self.seed, "state": self.state,
            "metric": first.name if first else "", "value": first.value if first else None,
            "low": first.low if first else None, "high": first.high if first else None,
        }  # fmt: skip


@dataclass(frozen=True)
class PairedTest:
    """One metric of A against B over the same items: the difference A minus B with its interval, and p."""

    metric: str
    label: str
    n: int
    value_a: float | None
    value_b: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    method: str = field(default="", repr=False)
    direction: str = ""
    # The smallest difference that this many items can tell from luck.
    smallest: float | None = None

    def __str__(self) -> str:
        return (
            f"{self.label}: {cell(self.difference)} [{cell(self.low)}, {cell(self.high)}], p = {cell(self.p)}"
        )


@dataclass(frozen=True)
class PlanLine:
    """One model of a plan: how many runs, how long, what it costs and what stands against it."""

    model: str
    runs: int
    seconds: float | None
    cost_microdollars: int | None
    compute: str = ""
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def cost_usd(self) -> float | None:
        """In dollars; None where nobody knows."""
        return usd(self.cost_microdollars)

    def row(self) -> dict[str, Any]:
        """As a line of a table."""
        return {
            "model": self.model, "runs": self.runs, "seconds": self.seconds, "cost_usd": self.cost_usd,
            "problems": " ".join(self.problems),
        }  # fmt: skip


def usd(microdollars: int | None) -> float | None:
    """Dollars of micro-dollars."""
    return None if microdollars is None else microdollars / MICRO


def made(kind: type[T], values: Any) -> T:
    """A record of what the API answered; what it does not know yet is left out."""
    return msgspec.convert(values, kind, strict=False)


def scores_of(values: dict[str, Any]) -> Rows[Score]:
    """The scores of a run, the main one first."""
    return Rows([made(Score, {"name": name, **value}) for name, value in values.items()], key="name")


def run_line(values: dict[str, Any], **more: Any) -> RunLine:
    """A run of an experiment, or of the list of all runs."""
    known = {name: value for name, value in values.items() if name not in ("scores", "score")}
    scores = values.get("scores")
    if scores is None:
        first = values.get("score")
        scores = {first["metric"]: {"label": first["metric"], "n": None, **first}} if first else {}
    line = made(_Line, {**known, **more})
    return RunLine(
        **{name: getattr(line, name) for name in _Line.__struct_fields__}, scores=scores_of(scores)
    )


class _Line(msgspec.Struct):
    id: int
    model: str
    state: str
    seed: int | None = None
    variant: str = ""
    fold: int | None = None
    pooled: bool = False
    progress: float = 0.0
    part: str = "test"
    experiment_id: int | None = None
    created_at: datetime | None = None
