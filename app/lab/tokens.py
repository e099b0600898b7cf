"""API tokens of the acting member: list, make, end. Called by the lab page; `tunebook token` makes them too."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.clock import now
from app.errors import Invalid, NotFound
from app.lab.actor import Actor
from app.lab.door_money import token_totals
from app.lab.sign_in import digest, make_token
from app.tables import Project, Scope, Token, TokenKind

MOST = 100
# Days that a token lives unless told otherwise, and at most.
DAYS, MOST_DAYS = 365, 366
NAME_SIZE = 100
MOST_DOLLARS = 1e6


@dataclass(frozen=True)
class TokenLine:
    """One token that still opens the API; its secret is not kept and cannot be shown again."""

    id: int
    name: str
    project: str
    scope: str
    created_at: datetime
    expires_at: datetime | None
    # What it may spend at the door in all, None where only the budgets say, and what it has spent or reserved there.
    budget_microdollars: int | None = None
    spent_microdollars: int = 0


def list_api_tokens(session: Session, actor: Actor) -> list[TokenLine]:
    """The member's live tokens, newest first, at most MOST."""
    rows = session.exec(
        select(Token, Project.name)
        .outerjoin(Project, col(Project.id) == Token.project_id)
        .where(*_live(actor))
        .order_by(col(Token.id).desc())
        .limit(MOST)
    )
    found = [(row, project or "") for row, project in rows]
    spent = token_totals(session, [row.id or 0 for row, _ in found]) if found else {}
    return [_line(row, project, spent.get(row.id or 0, 0)) for row, project in found]


def _line(row: Token, project: str, spent: int) -> TokenLine:
    times = (row.created_at, row.expires_at)
    return TokenLine(row.id or 0, row.name, project, row.scope, *times, row.budget_microdollars, spent)


def make_api_token(
    session: Session,
    actor: Actor,
    name: str,
    scope: str = Scope.WRITE,
    days: int = DAYS,
    budget: float | None = None,
) -> str:
    """A new token's secret, to be shown once; it works in the actor's project for `days` days, and may spend `budget`
    dollars at the door in all. Raises Invalid for a name that is empty or too long, for another scope, length or budget
    than there is, or when there are MOST tokens already.
    """
    name = name.strip()
    if scope not in list(Scope):
        raise Invalid("The token's scope is not known.", "", {"scope": "Choose read or write."})
    if not 1 <= days <= MOST_DAYS:
        raise Invalid("The token cannot live so long.", "", {"days": f"Give 1 to {MOST_DAYS} days."})
    if budget is not None and not 0 <= budget <= MOST_DOLLARS:
        raise Invalid("The token's budget cannot be used.", "", {"budget": "Give dollars, 0 or more."})
    if not actor.project_id:
        raise Invalid("You are in no project.", "Ask an admin to add you to one.", {"name": "no project yet"})
    if not name:
        raise Invalid("The token has no name.", "", {"name": "Say what it is for, for example: my laptop."})
    if len(name) > NAME_SIZE:
        raise Invalid("The name is too long.", "", {"name": f"Use at most {NAME_SIZE} characters."})
    held = session.exec(select(func.count()).select_from(Token).where(*_live(actor))).one()
    if held >= MOST:
        raise Invalid(f"There are {held} tokens already.", "", {"name": "End a token that is not in use."})
    secret = make_token(session, actor, TokenKind.API, name, scope=Scope(scope), seconds=days * 86400)
    if budget is not None:
        token = session.exec(select(Token).where(Token.digest == digest(secret))).one()
        token.budget_microdollars = round(budget * 1e6)
        session.flush()
    return secret


def end_api_token(session: Session, actor: Actor, token_id: int) -> None:
    """The token opens nothing from now on; ending it twice changes nothing. Raises NotFound for a token that
    is not the member's."""
    mine = (Token.id == token_id, Token.member_id == actor.member_id, Token.kind == TokenKind.API)
    token = session.exec(select(Token).where(*mine)).first()
    if token is None:
        raise NotFound(f"There is no API token {token_id} here.", "Look for it in the list on the Lab page.")
    token.ended_at = token.ended_at or now()
    session.flush()


def _live(actor: Actor) -> tuple[Any, ...]:
    return (
        Token.member_id == actor.member_id,
        Token.kind == TokenKind.API,
        col(Token.ended_at).is_(None),
        col(Token.expires_at) > now(),
    )
