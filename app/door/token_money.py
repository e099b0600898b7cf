"""What is left of an API token's own budget: its calls at the door and the runs of its tuning jobs. Called by money.py and
tuning_work.py, after lock_money.
"""

from sqlmodel import Session, col, select

from app.lab.budgets import totals
from app.lab.door_money import token_totals
from app.tables import DoorJob, Reservation, Token


def token_left(session: Session, token_id: int | None) -> int | None:
    """Micro-dollars that may still be spent by the token; None where it has no budget of its own."""
    token = session.get(Token, token_id) if token_id else None
    if token is None or token.budget_microdollars is None:
        return None
    runs = select(DoorJob.run_id).where(DoorJob.token_id == token_id)
    used = sum(totals(session, col(Reservation.run_id).in_(runs)))
    return max(
        token.budget_microdollars - used - token_totals(session, [token_id or 0]).get(token_id or 0, 0), 0
    )
