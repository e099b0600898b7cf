"""What calls at the OpenAI-compatible door have cost and may still cost. Read by the budgets, beside the runs' money."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, func, literal_column
from sqlmodel import Session, col, select

from app.tables import DoorCall


def paid() -> ColumnElement[bool]:
    """Whether a call was a service's, as the index on money has it: calls of local models are never read for sums."""
    return col(DoorCall.provider) != literal_column("''")


def door_totals(
    session: Session,
    project_id: int | None = None,
    member_id: int | None = None,
    since: datetime | None = None,
) -> tuple[int, int]:
    """(spent, still reserved) in micro-dollars, of one project, one member and since a time where these are given."""
    query = select(
        func.coalesce(func.sum(DoorCall.cost_microdollars), 0),
        func.coalesce(func.sum(DoorCall.reserved_microdollars), 0),
    ).where(paid())
    if project_id is not None:
        query = query.where(DoorCall.project_id == project_id)
    if member_id is not None:
        query = query.where(DoorCall.maker_id == member_id)
    if since is not None:
        query = query.where(col(DoorCall.created_at) >= since)
    spent, reserved = session.exec(query).one()
    return int(spent), int(reserved)


def token_totals(session: Session, token_ids: Sequence[int]) -> dict[int, int]:
    """{token: micro-dollars} that the calls of these tokens have cost, those under way at the most they may."""
    amount = func.sum(col(DoorCall.cost_microdollars) + col(DoorCall.reserved_microdollars))
    # Not by the index on tokens, which holds every free call too: those that were paid have one of their own.
    token = col(DoorCall.token_id) + 0
    rows = session.exec(
        select(col(DoorCall.token_id), amount)
        .where(paid(), token.in_(token_ids))
        .group_by(col(DoorCall.token_id))
    )
    return {int(token_id or 0): int(total) for token_id, total in rows}
