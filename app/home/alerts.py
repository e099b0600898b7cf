"""What costs money now or soon cannot be paid: models that are served by the hour, and budgets that run out.
And what lies on one machine alone, and what nobody works on. Called by queries.py.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.catalog.models import model_label
from app.clock import now
from app.config import settings
from app.lab.actor import Actor
from app.lab.budgets import BudgetLine
from app.lab.money_notes import low_budgets
from app.providers import providers
from app.queue import refusal
from app.stored_files import unsettled
from app.tables import LOOKED_AT, DeploymentRow, DeploymentState, Run

# The sweep looks at each run every few seconds.
SILENCE = timedelta(minutes=1)


@dataclass(frozen=True)
class Served:
    """A tuned model that is served and paid by the hour; `cost` in micro-dollars since it runs, as far as known."""

    run_id: int
    label: str
    service: str
    state: str
    since: datetime
    hourly: int | None
    cost: int | None
    idle_minutes: int


@dataclass(frozen=True)
class Waiting:
    """Runs of the lab that nobody looks at, since when, and why the queue refused the last message, if it did."""

    runs: int
    since: datetime | None
    refused: str


@dataclass(frozen=True)
class Alerts:
    """What is served, which budgets run low, how many files the bucket does not take, and work that nobody does;
    empty on most days."""

    served: list[Served]
    low: list[BudgetLine]
    unsettled: int = 0
    waiting: Waiting | None = None


def alerts(session: Session, actor: Actor) -> Alerts:
    """What the home page warns of."""
    rows = session.exec(
        select(DeploymentRow, Run.model)
        .join(Run, col(Run.id) == DeploymentRow.run_id)
        .where(
            DeploymentRow.project_id == actor.project_id,
            col(DeploymentRow.state) != DeploymentState.STOPPED,
        )
        .order_by(col(DeploymentRow.id))
    )
    files = unsettled(session)[0] if settings().s3_bucket else 0
    served = [_served(row, model) for row, model in rows]
    return Alerts(served, low_budgets(session, actor), files, _waiting(session))


def _waiting(session: Session) -> Waiting | None:
    """A queue, workers or a clock that are away leave due times behind them."""
    runs, made, due, leased = session.execute(
        select(  # type: ignore[call-overload]
            func.count(), func.min(Run.created_at), func.max(Run.due_at), func.max(Run.lease_until)
        ).where(col(Run.state).in_(LOOKED_AT))
    ).one()
    if not runs or (leased and leased > now()):
        return None
    last = max(filter(None, (due, leased, made)))
    silent, known = last < now() - SILENCE, refusal()
    refused = known.said if time.monotonic() < known.until + SILENCE.total_seconds() else ""
    return Waiting(runs, last if silent else None, refused) if silent or refused else None


def _served(row: DeploymentRow, model: str) -> Served:
    provider = providers().get(row.provider)
    since = row.running_since or row.asked_at
    hours = (now() - since).total_seconds() / 3600
    known = row.hourly_microdollars is not None and row.running_since is not None
    return Served(
        row.run_id,
        model_label(model),
        provider.label if provider else row.provider,
        row.state,
        since,
        row.hourly_microdollars,
        round((row.hourly_microdollars or 0) * hours) if known else None,
        row.idle_minutes,
    )
