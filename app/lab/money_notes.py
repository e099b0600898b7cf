"""Telling that money runs low, and asking for more. Called by launches, the budgets page and the API."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from app.clock import now
from app.errors import Conflict, Invalid, NotFound
from app.format import money
from app.lab.actor import Actor, owned, require_admin
from app.lab.audit import record
from app.lab.budgets import MOST_MICRODOLLARS, BudgetLine, find_budget, list_budgets
from app.lab.notifications import MONEY, Note, tell, tell_admins
from app.tables import Budget, BudgetRequest, Member, Period

# A budget is low when so much of it is used or reserved.
LOW = 0.8
HREF = "/settings/budgets"
OPEN, ALLOWED, DECLINED = "open", "allowed", "declined"
MOST_OPEN = 20


@dataclass(frozen=True)
class RequestLine:
    """One request for more money, as the budgets page shows it."""

    id: int
    member: str
    budget: str
    more: int
    reason: str
    state: str
    created_at: datetime


def low_budgets(session: Session, actor: Actor) -> list[BudgetLine]:
    """The caps of which at least LOW is used or reserved."""
    return [line for line in list_budgets(session, actor) if line.used is not None and line.share >= LOW]


def tell_low(session: Session, actor: Actor) -> None:
    """After a launch: tells the actor and the admins of each low budget, once for each cap and month."""
    for line in low_budgets(session, actor):
        month = f"{now():%Y-%m}" if line.period == Period.MONTH else ""
        note = Note(
            MONEY,
            f"budget {line.id} low {line.cap} {month}",
            f"The budget for {line.words} is {line.share:.0%} used",
            f"{money(line.left)} of {money(line.cap)} is left.",
            HREF,
            actor.project_id,
        )
        tell(session, actor.member_id, note)
        tell_admins(session, note, but=actor.member_id)


def ask_for_more(
    session: Session, actor: Actor, budget_id: int, dollars: float, reason: str
) -> BudgetRequest:
    """A request that every admin is told of. Raises Invalid with a message per field, NotFound for no such budget."""
    budget = find_budget(session, actor, budget_id)
    wrong = {}
    if not 0 < dollars <= MOST_MICRODOLLARS / 1e6:
        wrong["more"] = "Give dollars, more than 0."
    if not reason.strip():
        wrong["reason"] = "Say what it is for."
    if len(reason) > 1000:
        wrong["reason"] = "Use at most 1,000 characters."
    mine = owned(actor, BudgetRequest).where(
        BudgetRequest.maker_id == actor.member_id, BudgetRequest.state == OPEN
    )
    if len(session.exec(mine).all()) >= MOST_OPEN:
        wrong["more"] = f"You have {MOST_OPEN} open requests already."
    if wrong:
        raise Invalid("The request is not made: " + " ".join(wrong.values()), "See the marked fields.", wrong)
    row = BudgetRequest(
        project_id=actor.project_id, maker_id=actor.member_id, budget_id=budget.id,
        more_microdollars=round(dollars * 1e6), reason=reason.strip(),
    )  # fmt: skip
    session.add(row)
    session.flush()
    title = f"{actor.name} asks for {money(row.more_microdollars)} more"
    tell_admins(session, Note(MONEY, f"request {row.id}", title, row.reason, HREF, actor.project_id))
    record(session, actor, "changed", "budget: ask for more", row.id, dollars=dollars)
    return row


def answer_request(session: Session, actor: Actor, request_id: int, allow: bool) -> None:
    """An admin raises the cap by what was asked, or declines. Raises Forbidden, NotFound, or Conflict when the request
    was answered already or its budget is gone."""
    require_admin(actor, "answer requests for money")
    query = owned(actor, BudgetRequest).where(BudgetRequest.id == request_id).with_for_update()
    row: BudgetRequest | None = session.exec(query).first()
    if row is None:
        raise NotFound(f"There is no request {request_id} here.", "Look for it on the Budgets page.")
    if row.state != OPEN:
        raise Conflict(f"This request is {row.state} already.", "Nothing was changed.")
    if allow:
        budget = session.get(Budget, row.budget_id) if row.budget_id else None
        if budget is None:
            raise Conflict("The budget of this request is gone.", "Set a new cap, or decline the request.")
        budget.cap_microdollars = min(budget.cap_microdollars + row.more_microdollars, MOST_MICRODOLLARS)
        session.add(budget)
    row.state, row.answered_by, row.answered_at = ALLOWED if allow else DECLINED, actor.member_id, now()
    session.add(row)
    session.flush()
    title = f"{money(row.more_microdollars)} more: {row.state}"
    tell(session, row.maker_id, Note(MONEY, f"request {row.id} {row.state}", title, "", HREF, row.project_id))
    record(
        session, actor, "changed", f"budget: request {row.state}", row.id, dollars=row.more_microdollars / 1e6
    )


def list_requests(session: Session, actor: Actor) -> list[RequestLine]:
    """The open requests of the project: an admin sees all, others their own; with the member's last answered ones."""
    query = owned(actor, BudgetRequest).order_by(col(BudgetRequest.id).desc()).limit(50)
    query = query.where(BudgetRequest.state == OPEN) if actor.role == "admin" else query
    rows = [row for row in session.exec(query) if actor.role == "admin" or row.maker_id == actor.member_id]
    words = {line.id: line.words for line in list_budgets(session, actor)}
    names = dict(session.exec(select(Member.id, Member.name)).all())
    return [
        RequestLine(
            row.id or 0, names.get(row.maker_id, ""), words.get(row.budget_id or 0, "a budget that is gone"),
            row.more_microdollars, row.reason, row.state, row.created_at,
        )
        for row in rows
    ]  # fmt: skip
