"""How an experiment is tested: one split, folds, one group left out at a time, or growing parts of train.

A design turns the split that a person chose into cells of data; every model, setting and seed runs in each of
them. Called by plan.py's callers (service.py) and shown by the pages.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlmodel import Session

from app.catalog.facts import DataFacts
from app.datasets.items import PART_NAMES
from app.datasets.make_folds import Drawing, Folds, draw_folds, draw_sizes
from app.datasets.make_split import count_parts, rejected_items
from app.errors import Invalid
from app.experiments.facts import data_facts
from app.tables import Dataset, Split

KINDS = {
    "plain": "One split",
    "folds": "Cross-validation",
    "groups": "Leave one group out",
    "sizes": "Growing training set",
}
SHARES = (0.1, 0.2, 0.5, 1.0)
MOST_SHARES = 10


@dataclass(frozen=True)
class Design:
    """`folds` (with `key` or `pattern`: whole groups together), `groups` (by `key` or `pattern`) or `sizes`
    (`shares` of train, the last one usually 1); `seed` deals and nests."""

    kind: str = "plain"
    folds: int = 5
    seed: int = 1
    key: str = ""
    pattern: str = ""
    shares: tuple[float, ...] = SHARES

    @property
    def pooled(self) -> bool:
        """Whether several runs test different items, whose predictions are pooled."""
        return self.kind in ("folds", "groups")

    def to_json(self) -> dict[str, Any]:
        """What is stored and given by the API: only what the kind uses."""
        by = {"key": self.key} if self.key else {"pattern": self.pattern} if self.pattern else {}
        if self.kind == "folds":
            return {"kind": "folds", "folds": self.folds, "seed": self.seed, **by}
        if self.kind == "groups":
            return {"kind": "groups", **by}
        if self.kind == "sizes":
            return {"kind": "sizes", "shares": list(self.shares), "seed": self.seed}
        return {"kind": "plain"}


@dataclass(frozen=True)
class DataCell:
    """One split of the design. `drawing` is None for the split that is there already; `fold` counts from 1."""

    facts: DataFacts
    drawing: Drawing | None = None
    fold: int | None = None
    variant: str = ""
    about: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Cells:
    """All cells of a design; `whole` are the facts that hyperparameters are chosen by, with the test items that
    all cells test together; `pooled` the drawing of the split that pools them."""

    cells: tuple[DataCell, ...]
    whole: DataFacts
    pooled: Drawing | None = None


def read_design(values: Mapping[str, Any] | None) -> Design:
    """A design from a form or JSON; what is left out has its default. Raises Invalid with a sentence."""
    values = dict(values or {})
    kind = str(values.pop("kind", "plain") or "plain")
    if kind not in KINDS:
        raise _wrong(f"There is no design {kind[:50]!r}", f"Choose one of {', '.join(KINDS)}")
    allowed = {"folds": ("folds", "seed", "key", "pattern"), "groups": ("key", "pattern")}
    allowed |= {"sizes": ("shares", "seed"), "plain": ()}
    strangers = [name for name in values if name not in allowed[kind]]
    if strangers:
        takes = ", ".join(allowed[kind]) or "nothing more"
        raise _wrong(f"The design {kind!r} has no {str(strangers[0])[:50]!r}", f"It takes {takes}")
    found = Design(kind, _whole("folds", values.get("folds", 5)), _whole("seed", values.get("seed", 1)))
    for name in ("key", "pattern"):
        if not isinstance(values.get(name, ""), str):
            raise _wrong(f"{name} must be text", "Write for example family")
    key, pattern = (values.get(name, "").strip()[:1000] for name in ("key", "pattern"))
    found = replace(found, key=key, pattern=pattern)
    if kind == "groups" and not (found.key or found.pattern):
        raise _wrong("Leaving groups out needs a metadata key or a pattern", "Say what a group is")
    return replace(found, shares=_shares(values["shares"])) if "shares" in values else found


def _wrong(message: str, hint: str) -> Invalid:
    return Invalid(f"{message}.", f"{hint}.", {"design": message})


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not str(value).strip().isdecimal() or len(str(value)) > 10:
        raise _wrong(f"{name} is {value!r}", "Write a whole number")
    return int(value)


def _shares(value: Any) -> tuple[float, ...]:
    """Shares from a JSON list of 0..1, or per cents as text ("10, 20, 50, 100"): rising, each once."""
    try:
        if isinstance(value, str):
            found = [float(part) / 100 for part in value.replace(";", ",").split(",") if part.strip(" %")]
        else:
            found = [float(part) for part in value]
    except (TypeError, ValueError):
        found = []
    if not 1 <= len(found) <= MOST_SHARES or any(not 0 < share <= 1 for share in found):
        raise _wrong(
            "The sizes are not shares of the train part",
            f"Write 1 to {MOST_SHARES} of them, for example 10, 20, 50, 100 %",
        )
    return tuple(sorted(set(found)))


def make_cells(session: Session, dataset: Dataset, split: Split, design: Design) -> Cells:
    """The cells of the design over this split; nothing is stored. Raises Invalid when they cannot be drawn."""
    own = data_facts(dataset, split)
    if design.pooled:
        return _pooled_cells(session, dataset, design, own)
    if design.kind == "sizes":
        if not own.train_items:
            raise _wrong("This split has no training items", "Choose a split that has some")
        drawings = draw_sizes(session, dataset, split, design.shares, design.seed)
        pairs = rejected_items(session, dataset)
        cells = [_size_cell(own, drawing.parameters["share"], drawing, pairs) for drawing in drawings]
        cells += [_size_cell(own, 1.0, None)] if 1.0 in design.shares else []
        return Cells(tuple(cells), own)
    return Cells((DataCell(own),), own)


def _size_cell(own: DataFacts, share: float, drawing: Drawing | None, pairs: Any = None) -> DataCell:
    train = drawing.counts["train"] if drawing else own.train_items
    rejected = count_parts(drawing.parts, pairs) if drawing else own.rejected
    return DataCell(
        replace(own, train_items=train, rejected=rejected),
        drawing,
        variant=f"{100 * share:g} % of train",
        about={"share": share, "train_items": train},
    )


def _pooled_cells(session: Session, dataset: Dataset, design: Design, own: DataFacts) -> Cells:
    asked = Folds(design.folds, design.seed, design.key, design.pattern, design.kind == "groups")
    pooled, *folds = draw_folds(session, dataset, asked)
    cells, pairs = [], rejected_items(session, dataset)
    for number, drawing in enumerate(folds, 1):
        counts = {name: drawing.counts[name] for name in PART_NAMES}
        facts = replace(
            own,
            train_items=counts["train"],
            validation_items=0,
            test_items=counts["test"],
            rejected=count_parts(drawing.parts, pairs),
            ceiling="",
        )
        about = {"fold": number, "folds": len(folds), "name": drawing.parameters["fold_name"]}
        cells.append(DataCell(facts, drawing, number, about=about))
    whole = replace(cells[0].facts, test_items=pooled.counts["test"])
    return Cells(tuple(cells), whole, pooled)


def describe(design: Mapping[str, Any], cells: int = 0) -> str:
    """The stored design in one plain sentence; `cells` is the number of groups or folds where it is known."""
    kind = design.get("kind", "plain")
    by = design.get("key") or (f"the pattern “{design['pattern']}”" if design.get("pattern") else "")
    if kind == "folds":
        how = f", whole groups by {by} together" if by else ""
        return (
            f"{design['folds']}-fold cross-validation (seed {design['seed']}{how}): every item is tested once, by a "
            f"model that was trained on the other folds; scores are over the pooled predictions."
        )
    if kind == "groups":
        number = f"{cells} " if cells else ""
        return (
            f"Leave one group out: each of the {number}groups by {by} is tested once, by a model that was trained on "
            "all others; scores are over the pooled predictions."
        )
    if kind == "sizes":
        shares = ", ".join(f"{100 * share:g}" for share in design["shares"])
        return f"Growing training set: {shares} % of train (nested, seed {design['seed']}), always the same test items."
    return ""
