"""Money of calls at the door: reserved before a paid one is sent, settled when it has ended, by the budgets of the lab and
of the token. Called by answer.py and, for calls that were lost in a crash, by the sweep.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import update
from sqlmodel import Session, col, select

from app.clock import now
from app.db import session_scope, sync_to_disk
from app.door.chat_body import ChatBody
from app.door.hosted import most_tokens
from app.door.target import Target
from app.door.token_money import token_left
from app.errors import OverBudget
from app.format import money
from app.lab.actor import Actor, require_member
from app.lab.budgets import Cost, lock_money, objections, run_cap
from app.lab.door_money import paid
from app.tables import DoorCall, Token

# No call takes so long: what is still under way then was lost in a crash.
LOST_SECONDS = 900.0


@dataclass(frozen=True)
class Reserved:
    """A paid call that is about to be sent: its row, and the most it may cost."""

    call_id: int
    microdollars: int
    input_bytes: int


def reserve(actor: Actor, target: Target, body: ChatBody, call: dict[str, Any]) -> Reserved:
    """Reserves for one call, and writes its row, before anything is sent. Raises Forbidden for who may not spend, and
    OverBudget where no budget allows it."""
    assert target.service is not None
    require_member(actor, f"ask {target.model}, which costs money")
    size = len(msgspec.json.encode([body.messages, body.tools]))
    # A token has two bytes at least on average.
    most = target.service.cost(size // 2, most_tokens(body) * body.n)
    with session_scope() as session:
        lock_money(session, actor.project_id)
        over = objections(session, actor, [Cost(target.model, most)])
        amount = (run_cap(session, actor) or 0) if most is None else most
        over += _token_objection(session, actor, amount)
        if over:
            raise OverBudget(
                over[0], "Nothing was sent. Ask an admin for a larger budget, or for a cheaper model."
            )
        row = DoorCall(**call, reserved_microdollars=amount)
        session.add(row)
        session.flush()
        call_id = row.id or 0
    sync_to_disk()
    return Reserved(call_id, amount, size)


def _token_objection(session: Session, actor: Actor, microdollars: int) -> list[str]:
    left = token_left(session, actor.token_id)
    if left is None or microdollars <= left:
        return []
    token = session.get_one(Token, actor.token_id)
    return [
        f"This may cost {money(microdollars)}; the budget of {money(token.budget_microdollars or 0)} of the token "
        f"“{token.name}” has {money(left)} left."
    ]


def settle(call_id: int, cost: int, **values: Any) -> None:
    """The call has ended: only what it cost counts from now on. Safe to repeat; a call that the sweep has settled gets its
    real cost."""
    with session_scope() as session:
        session.execute(
            update(DoorCall)
            .where(col(DoorCall.id) == call_id)
            .values(cost_microdollars=cost, reserved_microdollars=0, **values)
        )


def settle_lost() -> int:
    """Settles the calls that were under way when their process ended: they count with the most they may have cost.
    Gives how many."""
    lost = (
        col(DoorCall.status) == 0,
        paid(),
        col(DoorCall.created_at) < now() - timedelta(seconds=LOST_SECONDS),
    )
    with session_scope(write=False) as session:
        if session.exec(select(DoorCall.id).where(*lost).limit(1)).first() is None:
            return 0
    with session_scope() as session:
        ended = session.execute(
            update(DoorCall)
            .where(*lost)
            .values(
                status=504,
                error="The answer was lost when Tunebook stopped; the most it may have cost is counted.",
                cost_microdollars=col(DoorCall.reserved_microdollars),
                reserved_microdollars=0,
            )
        )
        return int(ended.rowcount)  # type: ignore[attr-defined]
