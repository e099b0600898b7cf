"""The ledger: every hyperparameter of a run as asked, sent and resolved, with its source. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

YOU, DEFAULT, CHOSEN = "you", "our default", "chosen for this data"
NOT_DISCLOSED = "not disclosed"


@dataclass(frozen=True)
class LedgerRow:
    """One line of the ledger as shown; values are text, "–" where there is none."""

    name: str
    label: str
    asked: str
    sent: str
    resolved: str
    source: str


def open_ledger(
    suggested: Mapping[str, Any], defaults: Mapping[str, Any], asked: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The ledger before anything ran: {name: {"asked", "sent", "resolved", "source"}}.

    `suggested` holds every hyperparameter with the value chosen for the data set; `asked` only what a person
    set. What is sent is the asked value, else the suggested one; nothing is left to a toolkit's default.
    """
    ledger = {}
    for name, value in suggested.items():
        source = CHOSEN if name in defaults and defaults[name] != value else DEFAULT
        ledger[name] = {"asked": None, "sent": value, "resolved": None, "source": source}
    for name, value in asked.items():
        ledger[name] = {"asked": value, "sent": value, "resolved": None, "source": YOU}
    return ledger


def sent_values(ledger: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """{name: value} of the hyperparameters as sent to the trainer; the seed is the run's own."""
    return {name: row["sent"] for name, row in ledger.items() if row["sent"] is not None and name != "seed"}


def resolve(
    ledger: Mapping[str, Mapping[str, Any]], resolved: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The ledger with what really ran; values the toolkit adds become rows of their own."""
    filled = {name: {**row, "resolved": resolved.get(name, row["resolved"])} for name, row in ledger.items()}
    for name, value in resolved.items():
        if name not in filled:
            filled[name] = {"asked": None, "sent": None, "resolved": value, "source": "trainer"}
    return filled


def show(ledger: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str], ended: bool) -> list[LedgerRow]:
    """The ledger's lines in order. Once a run has ended, a value that was never read back is said to be
    "not disclosed" instead of left blank; a hosted one as soon as its training has, by whom."""
    rows = []
    for name, row in ledger.items():
        resolved = text(row["resolved"])
        if row["resolved"] is None and row.get("undisclosed_by"):
            resolved = f"{NOT_DISCLOSED} by {row['undisclosed_by']}"
        elif row["resolved"] is None and ended:
            resolved = NOT_DISCLOSED
        label = labels.get(name) or name[:1].upper() + name[1:].replace("_", " ")
        rows.append(LedgerRow(name, label, text(row["asked"]), text(row["sent"]), resolved, row["source"]))
    return rows


def text(value: Any) -> str:
    """A value as it is read: 0.002 -> "0.002", True -> "yes", None -> "–"."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(text(part) for part in value) or "–"
    return str(value)
