"""Who made a tuning job or a batch, as they may act now: workers go on in their name. Called by the work of both."""

from sqlmodel import Session

from app.clock import now
from app.errors import Forbidden
from app.lab.access import actor_of
from app.lab.actor import Actor
from app.tables import DoorBatch, DoorJob, Member, Scope, Token, TokenKind


def maker_of(session: Session, row: DoorJob | DoorBatch) -> Actor:
    """The maker with the role that they have now, in the row's project and by the token that they came by.

    Raises Forbidden where the token was ended, or the member may not enter the project any more.
    """
    token = session.get(Token, row.token_id) if row.token_id else None
    if token is not None and token.kind == TokenKind.API and _over(token):
        raise Forbidden(
            "The API token by which this was made opens nothing any more.", "Make it anew by another."
        )
    member = session.get(Member, row.maker_id)
    # A browser's session may be in another project by now: what counts is the row's.
    stand_in = Token(
        id=token.id if token else None,
        member_id=row.maker_id,
        project_id=row.project_id,
        scope=token.scope if token else Scope.WRITE,
        kind=TokenKind.API,
        digest="",
    )
    actor = actor_of(session, stand_in, member) if member else None
    if actor is None:
        raise Forbidden(
            "Whoever made this may not enter the project any more.", "Somebody of it makes it anew."
        )
    return actor


def _over(token: Token) -> bool:
    return token.ended_at is not None or (token.expires_at is not None and token.expires_at <= now())
