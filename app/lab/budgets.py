"""What may be spent: caps on the lab, its members, each experiment and each run. Called by launches and settings.

Every sum is of reservations: an open one counts with what it may still cost, a settled one with what it did cost.
`lock_money` comes before whoever reads a sum to decide on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, case, func, or_, update
from sqlmodel import Session, col, select

from app.clock import now
from app.errors import Invalid, NotFound
from app.format import money
from app.lab.actor import Actor, owned, require_admin
from app.lab.door_money import door_totals
from app.tables import Budget, BudgetRequest, Member, Period, Project, Reservation, Run

LAB, PROJECT, MEMBER, EXPERIMENT, RUN = SCOPES = ("lab", "project", "member", "experiment", "run")
WORDS = {
    LAB: "the whole lab, all projects",
    PROJECT: "this project",
    MEMBER: "each member",
    EXPERIMENT: "each experiment",
    RUN: "each run",
}
MOST_MICRODOLLARS = 10**14


@dataclass(frozen=True)
class Cost:
    """What one planned run may cost at most, None where nobody knows; `model` names it in sentences."""

    model: str
    microdollars: int | None


@dataclass(frozen=True)
class BudgetLine:
    """One budget as the Settings page shows it; `used` and `left` are None where it counts for each of several."""

    id: int
    scope: str
    words: str
    cap: int
    period: str
    allow_unknown: bool
    used: int | None
    reserved: int | None

    @property
    def left(self) -> int | None:
        """What can still be spent; never negative."""
        return None if self.used is None else max(self.cap - self.used - (self.reserved or 0), 0)

    @property
    def share(self) -> float:
        """The part that is used or reserved, 0 to 1."""
        taken = (self.used or 0) + (self.reserved or 0)
        return min(taken / self.cap, 1.0) if self.cap else 1.0


def lock_money(session: Session, project_id: int) -> None:
    """Until this transaction ends nobody else spends, in any project: a cap may be on the whole lab. On SQLite the
    writing transaction itself is that lock (app/db.py begins it as IMMEDIATE)."""
    found = session.exec(select(Project.id).order_by(col(Project.id)).with_for_update(key_share=True)).all()
    if project_id not in found:
        raise NotFound(f"There is no project {project_id}.", "Open the launch page again.")


def _budgets(session: Session, actor: Actor) -> list[Budget]:
    """The caps that count for the actor's project: its own, and those on the whole lab."""
    mine = or_(col(Budget.project_id) == actor.project_id, col(Budget.scope) == LAB)
    return list(session.exec(select(Budget).where(mine).order_by(col(Budget.id))))


def month_start() -> datetime:
    """When the present month began, UTC."""
    return now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _spent() -> ColumnElement[int]:
    """What a run did cost: its bill may still grow after it was settled."""
    settled, billed = col(Reservation.spent_microdollars), col(Run.cost_microdollars)
    return case((billed > settled, billed), else_=settled)


def _open() -> ColumnElement[int]:
    """What a run may cost beyond what it has cost so far."""
    more = col(Reservation.reserved_microdollars) - _spent()
    return case((col(Reservation.settled_at).is_not(None) | (more < 0), 0), else_=more)


def totals(session: Session, *where: ColumnElement[bool]) -> tuple[int, int]:
    """(spent, still reserved) in micro-dollars over the reservations that fit."""
    query = (
        select(
            func.coalesce(func.sum(_spent() + col(Reservation.earlier_microdollars)), 0),
            func.coalesce(func.sum(_open()), 0),
        )
        .select_from(Reservation)
        .join(Run, col(Run.id) == Reservation.run_id)
        .where(*where)
    )
    spent, reserved = session.exec(query).one()
    return int(spent), int(reserved)


def _where(budget: Budget, actor: Actor, experiment_id: int | None) -> list[ColumnElement[bool]] | None:
    """Which reservations count under the budget when this actor launches; None for the caps of single runs, and for
    a new experiment, which has none yet."""
    found: list[ColumnElement[bool]] = [col(Reservation.project_id) == budget.project_id]
    if budget.scope == RUN:
        return None
    if budget.scope == LAB:
        found = []
    if budget.scope == MEMBER:
        found.append(col(Reservation.member_id) == actor.member_id)
    if budget.scope == EXPERIMENT:
        if experiment_id is None:
            return None
        found.append(col(Reservation.experiment_id) == experiment_id)
    if budget.period == Period.MONTH:
        found.append(col(Reservation.created_at) >= month_start())
    return found


def _used(session: Session, budget: Budget, actor: Actor, experiment_id: int | None) -> tuple[int, int]:
    """(spent, still reserved) under the budget, by runs and by calls at the door."""
    where = _where(budget, actor, experiment_id)
    found = totals(session, *where) if where is not None else (0, 0)
    if budget.scope not in (LAB, PROJECT, MEMBER):
        return found
    called = door_totals(
        session,
        None if budget.scope == LAB else budget.project_id,
        actor.member_id if budget.scope == MEMBER else None,
        month_start() if budget.period == Period.MONTH else None,
    )
    return found[0] + called[0], found[1] + called[1]


def _applies(budget: Budget, actor: Actor, experiment_id: int | None) -> bool:
    if budget.scope == MEMBER:
        return budget.member_id in (None, actor.member_id)
    if budget.scope == EXPERIMENT:
        return budget.experiment_id is None or budget.experiment_id == experiment_id
    return True


def objections(
    session: Session, actor: Actor, costs: Sequence[Cost], experiment_id: int | None = None
) -> list[str]:
    """Why these runs may not be launched, as sentences; empty when they may. `experiment_id`: of runs that join one
    that stands."""
    budgets = [row for row in _budgets(session, actor) if _applies(row, actor, experiment_id)]
    found = _unknown_prices(budgets, costs)
    # At an unknown price the cap on single runs is what is reserved.
    each = min((row.cap_microdollars for row in budgets if row.scope == RUN), default=0)
    total = sum(each if cost.microdollars is None else cost.microdollars for cost in costs)
    for budget in budgets:
        cap = budget.cap_microdollars
        if budget.scope == RUN:
            dear = [cost for cost in costs if (cost.microdollars or 0) > cap]
            found += [
                f"A run of {cost.model} may cost {money(cost.microdollars)}; each run may cost {money(cap)}."
                for cost in dear[:1]
            ]
            continue
        spent, reserved = _used(session, budget, actor, experiment_id)
        left = max(cap - spent - reserved, 0)
        if total > left:
            found.append(_over(budget, total, left))
    return found


def _over(budget: Budget, total: int, left: int) -> str:
    whose = {
        LAB: "the lab's budget",
        PROJECT: "the project's budget",
        MEMBER: "your budget",
        EXPERIMENT: "an experiment's budget",
    }[budget.scope]
    when = " this month" if budget.period == Period.MONTH else ""
    return f"This may cost {money(total)}; {whose} of {money(budget.cap_microdollars)} has {money(left)} left{when}."


def _unknown_prices(budgets: Sequence[Budget], costs: Sequence[Cost]) -> list[str]:
    names = list(dict.fromkeys(cost.model for cost in costs if cost.microdollars is None))
    if not names:
        return []
    if not any(budget.allow_unknown for budget in budgets):
        return [
            f"Nobody knows what {names[0]} costs. An admin can allow it with a budget under Settings that takes "
            "unknown prices, and a cap on each run."
        ]
    if not any(budget.scope == RUN for budget in budgets):
        return [
            f"Nobody knows what {names[0]} costs, so that nothing could be reserved for it. An admin must also set "
            "a cap on each run under Settings: it is what such a run reserves."
        ]
    return []


def run_cap(session: Session, actor: Actor) -> int | None:
    """What a single run may cost at most, or None where nothing says so."""
    caps = [row.cap_microdollars for row in session.exec(owned(actor, Budget)) if row.scope == RUN]
    return min(caps, default=None)


def list_budgets(session: Session, actor: Actor) -> list[BudgetLine]:
    """All budgets but those of single experiments, with what is used of them."""
    rows = [row for row in _budgets(session, actor) if row.experiment_id is None]
    of_one = any(row.member_id is not None for row in rows)
    names = {row.id: row.name for row in session.exec(select(Member))} if of_one else {}
    return [_line(session, actor, row, names) for row in rows]


def _line(session: Session, actor: Actor, row: Budget, names: dict[int | None, str]) -> BudgetLine:
    used: int | None = None
    reserved: int | None = None
    words = WORDS[row.scope]
    if row.scope == MEMBER and row.member_id is not None:
        words = names.get(row.member_id, "a member")
    if row.scope in (LAB, PROJECT) or row.member_id is not None:
        whose = Actor(row.member_id or actor.member_id, actor.project_id, "", "")
        used, reserved = _used(session, row, whose, None)
    return BudgetLine(
        row.id or 0,
        row.scope,
        words,
        row.cap_microdollars,
        row.period,
        row.allow_unknown,
        used,
        reserved,
    )


def add_budget(
    session: Session,
    actor: Actor,
    scope: str,
    dollars: float,
    period: str = Period.TOTAL,
    member_id: int | None = None,
    allow_unknown: bool = False,
) -> Budget:
    """Adds a cap. Raises Invalid with a message per field."""
    require_admin(actor, "set budgets")
    wrong = {}
    if scope not in SCOPES:
        wrong["scope"] = f"Choose one of {', '.join(SCOPES)}."
    if not 0 <= dollars <= MOST_MICRODOLLARS / 1e6:
        wrong["cap"] = "Give dollars, 0 or more."
    if period not in list(Period) or (scope in (EXPERIMENT, RUN) and period != Period.TOTAL):
        wrong["period"] = "A cap on each experiment or run counts in total."
    if member_id is not None and (scope != MEMBER or session.get(Member, member_id) is None):
        wrong["member"] = "There is no such member."
    if wrong:
        raise Invalid("The budget is not set: " + " ".join(wrong.values()), "See the marked fields.", wrong)
    row = Budget(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        scope=scope,
        member_id=member_id,
        cap_microdollars=round(dollars * 1e6),
        period=period,
        allow_unknown=allow_unknown,
    )
    session.add(row)
    session.flush()
    return row


def remove_budget(session: Session, actor: Actor, budget_id: int) -> None:
    """Takes a cap away."""
    require_admin(actor, "set budgets")
    row = find_budget(session, actor, budget_id)
    # Requests for more of it stay, and say that it is gone.
    asked = update(BudgetRequest).where(col(BudgetRequest.budget_id) == row.id)
    session.execute(asked.values(budget_id=None))
    session.delete(row)
    session.flush()


def find_budget(session: Session, actor: Actor, budget_id: int) -> Budget:
    """A cap that counts for the actor's project; raises NotFound."""
    found = next((row for row in _budgets(session, actor) if row.id == budget_id), None)
    if found is None:
        raise NotFound(f"There is no budget {budget_id} here.", "Look for it in the list of budgets.")
    return found
