"""The ledger of a hosted run: what the service says it used, and what it never says. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from app.runs.ledger import YOU

Ledger = dict[str, dict[str, Any]]


def read_back(
    ledger: Mapping[str, Mapping[str, Any]],
    resolved: Mapping[str, Any],
    label: str,
    seed: int | None = None,
) -> Ledger:
    """The ledger with what the service `label` says; values that it adds become rows of their own. `seed`: the one
    that was sent, None where the service takes none."""
    filled = {name: {**row, "resolved": resolved.get(name, row["resolved"])} for name, row in ledger.items()}
    for name, value in resolved.items():
        if name not in filled:
            filled[name] = {"asked": None, "sent": None, "resolved": value, "source": f"{label}'s default"}
    if seed is not None:
        filled["seed"] = {"asked": seed, "sent": seed, "resolved": resolved.get("seed"), "source": YOU}
    return filled


def close(ledger: Mapping[str, Mapping[str, Any]], label: str, undisclosed: Iterable[str]) -> Ledger:
    """The ledger after the end: what was never said is marked as not disclosed by `label`, with a row for each
    thing that the service keeps to itself."""
    filled = {name: dict(row) for name, row in ledger.items()}
    for name in undisclosed:
        key = name.replace(" ", "_").lower()
        filled.setdefault(key, {"asked": None, "sent": None, "resolved": None, "source": f"{label}'s choice"})
    for row in filled.values():
        if row["resolved"] is None:
            row["undisclosed_by"] = label
        else:
            row.pop("undisclosed_by", None)
    return filled
