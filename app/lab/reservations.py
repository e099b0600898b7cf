"""Money of single runs: reserved when they are launched, settled when they end. Called by launches and by app/runs."""

import math
from dataclasses import dataclass

from sqlmodel import Session, col, select

from app.clock import now
from app.errors import Conflict, OutOfCredit
from app.format import money
from app.lab.actor import Actor
from app.lab.audit import record
from app.lab.budgets import Cost, lock_money, objections, run_cap, totals
from app.tables import Member, Reservation, Run, RunState

# Tokens are counted offline and prices change: an estimate is reserved with this much on top.
MARGIN = 1.2


@dataclass(frozen=True)
class MoneyLine:
    """What a run or an experiment has reserved and cost, in micro-dollars."""

    spent: int
    reserved: int
    open: bool
    known: bool


def to_reserve(microdollars: int | None) -> int | None:
    """What is reserved for an estimate."""
    return None if microdollars is None else math.ceil(microdollars * MARGIN)


def reserve(session: Session, actor: Actor, run: Run, provider: str, microdollars: int | None) -> None:
    """Reserves for one new run; the caller holds lock_money() and has asked for objections. At an unknown price the
    cap on single runs is what it may cost; without one the objections allow no launch."""
    cap = run_cap(session, actor) if microdollars is None else None
    session.add(
        Reservation(
            run_id=run.id or 0,
            project_id=run.project_id,
            member_id=actor.member_id,
            experiment_id=run.experiment_id,
            provider=provider,
            reserved_microdollars=(cap or 0) if microdollars is None else microdollars,
            price_known=microdollars is not None,
            created_at=now(),
        )
    )
    session.flush()


def cover(session: Session, run: Run, microdollars: int, label: str) -> None:
    """Sees that a run's reservation covers what it will cost in all, as a service says or as it turns out; raises
    OutOfCredit, changing nothing, when no budget allows the difference: the run then waits."""
    row = session.get(Reservation, run.id)
    if row is None or microdollars <= row.reserved_microdollars:
        return
    lock_money(session, row.project_id)
    session.refresh(row)
    more = microdollars - row.reserved_microdollars
    actor = _actor(session, row)
    cap = run_cap(session, actor)
    over = objections(session, actor, [Cost(label, more)], row.experiment_id)
    if cap is not None and microdollars > cap:
        over.insert(0, f"Each run may cost {money(cap)}.")
    if over:
        raise OutOfCredit(
            f"This run comes to {money(microdollars)}, and {money(row.reserved_microdollars)} is reserved. {over[0]}",
            "Raise the budget on the Settings page; the run then goes on.",
        )
    row.reserved_microdollars, row.price_known = microdollars, True
    session.add(row)
    session.flush()


def settle(session: Session, run_id: int, spent: int | None = None) -> None:
    """Nothing more is reserved for a run that has ended: only what it cost counts. Without a bill a finished run
    counts with its estimate. Safe to repeat, also with a later bill."""
    row = session.get(Reservation, run_id)
    if row is None:
        return
    run = session.exec(
        select(Run.state, Run.cost_microdollars, Run.estimate).where(col(Run.id) == run_id)
    ).one()
    state, cost, estimate = run
    amount = cost if spent is None else spent
    if not amount and state == RunState.DONE:
        amount = int(estimate.get("microdollars") or 0)
    if amount != row.spent_microdollars:
        record(session, _actor(session, row), "spent", "run", run_id, dollars=amount / 1e6, at=row.provider)
    row.spent_microdollars, row.settled_at = amount, row.settled_at or now()
    session.add(row)
    session.flush()


def reopen(session: Session, run: Run, kept: bool) -> None:
    """Reserves again for a run that is started again; `kept`: what it has paid for is used further. Raises Conflict
    when no budget allows it."""
    row = session.get(Reservation, run.id)
    if row is None or row.settled_at is None:
        return
    lock_money(session, row.project_id)
    again = to_reserve(run.estimate.get("microdollars")) or 0
    more = max(row.reserved_microdollars - row.spent_microdollars, 0) if kept else again
    over = objections(session, _actor(session, row), [Cost(run.model, more)], row.experiment_id)
    if over:
        raise Conflict(over[0], "Raise the budget on the Settings page, then try again.")
    if not kept:
        row.earlier_microdollars += row.spent_microdollars
        row.spent_microdollars, row.reserved_microdollars = 0, again
    row.settled_at = None
    session.add(row)
    session.flush()


def _actor(session: Session, row: Reservation) -> Actor:
    member = session.get_one(Member, row.member_id)
    return Actor(row.member_id, row.project_id, member.name, member.role)


def run_money(session: Session, run_id: int) -> MoneyLine | None:
    """What one run has reserved and cost; None for a run that costs nothing."""
    row = session.get(Reservation, run_id)
    if row is None:
        return None
    spent, reserved = totals(session, col(Reservation.run_id) == run_id)
    return MoneyLine(spent, reserved, row.settled_at is None, row.price_known)


def experiment_money(session: Session, experiment_id: int) -> MoneyLine | None:
    """The same of all runs of an experiment."""
    rows = session.exec(
        select(Reservation.settled_at, Reservation.price_known).where(
            col(Reservation.experiment_id) == experiment_id
        )
    ).all()
    if not rows:
        return None
    spent, reserved = totals(session, col(Reservation.experiment_id) == experiment_id)
    return MoneyLine(spent, reserved, any(at is None for at, _ in rows), all(known for _, known in rows))
