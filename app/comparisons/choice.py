"""What a comparison shows, as its URL says it. Read by routes and the API, written into every link of the page."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from app.comparisons.run_ids import parse_runs
from app.errors import Invalid

# Which items, by what the runs did. A and B are the pair; B is the baseline.
SHOWS = {
    "all": "all items",
    "disagree": "answers differ",
    "all_wrong": "all wrong",
    "only_a": "only A right",
    "only_b": "only B right",
    "both": "both right",
    "neither": "both wrong",
    "regression": "worse than B",
    "error": "errors",
}
OF_A_PAIR = ("only_a", "only_b", "both", "neither", "regression")
SUBSETS = ("all", "unseen")
LEAKED = ("", "yes", "no")
SETTINGS = ("differences", "all")
LONGEST_SEARCH = 200


@dataclass(frozen=True)
class Choice:
    """Runs side by side: which, the pair, and which items. `after` and `before` are item numbers (-1: none);
    `without` are baselines that were taken out by hand; tokens are those of an item's whole chat."""

    runs: tuple[int, ...]
    without: tuple[int, ...] = ()
    a: int | None = None
    b: int | None = None
    subset: str = "all"
    show: str = "all"
    label: str = ""
    group: str = ""
    min_tokens: int | None = None
    max_tokens: int | None = None
    leaked: str = ""
    q: str = ""
    settings: str = "differences"
    after: int = -1
    before: int = -1

    def query(self, **changes: Any) -> str:
        """The choice as the query of a URL, with changes; a new filter starts at the first page."""
        if not {"after", "before"} & set(changes):
            changes |= {"after": -1, "before": -1}
        other = replace(self, **changes)
        pairs = [(field.name, getattr(other, field.name)) for field in fields(self)]
        plain = {field.name: field.default for field in fields(self)}
        return urlencode(
            [(name, _text(value)) for name, value in pairs if value != plain[name]],
            safe=",",
        )

    @property
    def narrows(self) -> bool:
        """Whether any filter over items is set."""
        plain = Choice(self.runs)
        names = ("show", "label", "group", "min_tokens", "max_tokens", "leaked", "q")
        return any(getattr(self, name) != getattr(plain, name) for name in names)


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def read_choice(runs: Sequence[str], without: Sequence[str], values: dict[str, str]) -> Choice:
    """The choice that a query says; raises Invalid for what is none."""
    known = {
        name: _one_of(name, values.get(name, ""), allowed)
        for name, allowed in (
            ("subset", SUBSETS),
            ("show", tuple(SHOWS)),
            ("leaked", LEAKED),
            ("settings", SETTINGS),
        )
    }
    whole = {name: _whole(name, values.get(name, "")) for name in ("a", "b", "min_tokens", "max_tokens")}
    places = {name: _place(name, values.get(name, "")) for name in ("after", "before")}
    texts = {name: values.get(name, "")[:LONGEST_SEARCH] for name in ("label", "group", "q")}
    texts["q"] = texts["q"].strip()
    return Choice(tuple(parse_runs(runs)), tuple(parse_runs(without)), **known, **whole, **places, **texts)  # type: ignore[arg-type]


def _one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    if value and value not in allowed:
        choices = ", ".join(one for one in allowed if one)
        raise Invalid(f"There is no {name} {value!r}.", f"Choose one of {choices}.", {name: "unknown"})
    return value or allowed[0]


def _whole(name: str, value: str) -> int | None:
    if not value.strip():
        return None
    if not (value.strip().isascii() and value.strip().isdigit() and len(value.strip()) < 12):
        raise Invalid(
            f"{name} must be a whole number, not {value!r}.", "Write for example 40.", {name: "no number"}
        )
    return int(value)


def _place(name: str, value: str) -> int:
    found = _whole(name, value.removeprefix("-1"))
    return -1 if found is None else found
