"""What the compute page shows: kinds of places, and the lab's machines with what the last look found."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.compute._base import Compute
from app.format import money, size
from app.lab.actor import Actor
from app.settings.machines import BY_HAND, compute_of, computes, machines
from app.tables import ACTIVE, Machine, MachineState, Run
from app.vault import UNREADABLE, is_readable


@dataclass(frozen=True)
class MachineCard:
    """One machine as the page shows it; its secret is never in it."""

    id: int
    name: str
    kind: str
    label: str
    state: str
    note: str
    fields: tuple[tuple[str, str], ...]
    values: dict[str, str]
    has_secret: bool
    allow_private: bool
    slots: int
    deadline_hours: float
    gpus: tuple[str, ...]
    hourly: str
    balance: str
    runs: int
    orphans: tuple[dict[str, Any], ...]
    stopping: tuple[str, ...]
    checked_at: datetime | None

    @property
    def checking(self) -> bool:
        """Whether a worker looks at it now."""
        return self.state == MachineState.CHECKING


def kinds() -> list[Compute]:
    """What can be added, free ones first."""
    return sorted((kind for kind in computes().values() if kind.name != BY_HAND), key=lambda kind: kind.paid)


def machine_cards(session: Session, actor: Actor) -> list[MachineCard]:
    """The project's machines by name."""
    rows = machines(session, actor)
    busy = dict(
        session.exec(
            select(Run.machine_id, func.count())
            .where(col(Run.machine_id).in_([row.id for row in rows]), col(Run.state).in_(ACTIVE))
            .group_by(col(Run.machine_id))
        ).all()
    )
    return [_card(row, busy.get(row.id, 0)) for row in rows]


def _card(row: Machine, runs: int) -> MachineCard:
    kind, found = compute_of(row), row.facts
    values = {name: str(value) for name, value in row.fields.items()}
    shown = tuple(
        (one.label, values[one.name]) for one in kind.fields if values.get(one.name) and one.kind != "long"
    )
    lost = not is_readable(row.sealed_secret)
    price, balance = found.get("hourly_microdollars"), found.get("balance_microdollars")
    return MachineCard(
        row.id or 0,
        row.name,
        row.kind,
        kind.label,
        MachineState.FAILED if lost else row.state,
        UNREADABLE if lost else row.note,
        shown,
        values,
        bool(row.sealed_secret),
        row.allow_private,
        row.slots,
        row.deadline_hours,
        tuple(_gpu(gpu) for gpu in found.get("gpus") or []),
        "" if price is None or not kind.paid else f"{money(int(price))} an hour",
        "" if balance is None else money(int(balance)),
        runs,
        tuple(row.orphans),
        tuple(row.stopping),
        row.checked_at,
    )


def _gpu(gpu: dict[str, Any]) -> str:
    memory = gpu.get("memory_bytes")
    return f"{gpu.get('name', 'GPU')}, {size(int(memory))}" if memory else str(gpu.get("name", "GPU"))
