"""What costs money now or soon cannot be paid: models that are served by the hour, and budgets that run out.
And what lies on one machine alone. Called by queries.py.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from app.catalog.models import model_label
from app.clock import now
from app.config import settings
from app.lab.actor import Actor
from app.lab.budgets import BudgetLine
from app.lab.money_notes import low_budgets
from app.providers import providers
from app.stored_files import unsettled
from app.tables import DeploymentRow, DeploymentState, Run


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
class Alerts:
    """What is served, which budgets run low, and how many files the bucket does not take; empty on most days."""

    served: list[Served]
    low: list[BudgetLine]
    unsettled: int = 0


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
    return Alerts([_served(row, model) for row, model in rows], low_budgets(session, actor), files)


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
