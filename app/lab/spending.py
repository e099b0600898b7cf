"""What a project has spent, by runs and by calls at the door. Called by the Settings page and its API."""

from dataclasses import dataclass

from sqlmodel import Session, col

from app.lab.actor import Actor
from app.lab.budgets import month_start, totals
from app.lab.door_money import door_totals
from app.tables import Reservation


@dataclass(frozen=True)
class Spending:
    """What the lab has spent this month and in all, and what open runs may still cost, in micro-dollars."""

    month: int
    total: int
    reserved: int


def spending(session: Session, actor: Actor) -> Spending:
    """The lab's sums."""
    mine = col(Reservation.project_id) == actor.project_id
    total, reserved = totals(session, mine)
    month, _ = totals(session, mine, col(Reservation.created_at) >= month_start())
    called, open_calls = door_totals(session, actor.project_id)
    this_month, _ = door_totals(session, actor.project_id, since=month_start())
    return Spending(month + this_month, total + called, reserved + open_calls)
