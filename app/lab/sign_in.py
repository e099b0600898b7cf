"""One-time sign-in links, sessions and API tokens. Called by app/web/sign_in.py and the command line."""

import hashlib
import secrets

from sqlalchemy import update
from sqlmodel import Session, col, select

from app.clock import in_seconds, now
from app.errors import SignInNeeded
from app.lab.actor import Actor, first_actor
from app.tables import Member, Token, TokenKind

DAY = 24 * 3600
SECONDS = {
    TokenKind.SIGN_IN: DAY,
    TokenKind.SESSION: 30 * DAY,
    TokenKind.API: 365 * DAY,
    TokenKind.SETUP: 7 * DAY,
    TokenKind.INVITE: 5 * DAY,
    TokenKind.RESET: DAY,
    TokenKind.SHARE: 365 * DAY,
}


def make_token(session: Session, actor: Actor, kind: TokenKind, name: str = "") -> str:
    """A new secret for the actor; only its hash is kept. Sign-in links live a day, sessions 30 days,
    API tokens a year."""
    secret = f"tb_{secrets.token_urlsafe(32)}"
    session.add(
        Token(
            member_id=actor.member_id,
            kind=kind,
            name=name,
            digest=digest(secret),
            expires_at=in_seconds(SECONDS[kind]),
        )
    )
    session.flush()
    return secret


def redeem_sign_in(session: Session, secret: str) -> str:
    """Turns a one-time secret into a session's secret. Two browsers racing: exactly one wins.

    Raises SignInNeeded for a link that is unknown, used or over.
    """
    moment = now()
    used = session.execute(
        update(Token)
        .where(
            col(Token.digest) == digest(secret),
            col(Token.kind) == TokenKind.SIGN_IN,
            col(Token.ended_at).is_(None),
            col(Token.expires_at) > moment,
        )
        .values(ended_at=moment)
    )
    if used.rowcount != 1:  # type: ignore[attr-defined]
        raise SignInNeeded(
            "This sign-in link was used already or is too old.",
            "Make a new one: run `make sign-in` (or `tunebook sign-in`) where Tunebook is installed.",
        )
    return make_token(session, first_actor(session), TokenKind.SESSION, "browser")


def actor_for(session: Session, secret: str, kind: TokenKind) -> Actor | None:
    """Who a session cookie or an API token belongs to; None when it opens nothing."""
    token = session.exec(
        select(Token).where(
            Token.digest == digest(secret),
            Token.kind == kind,
            col(Token.ended_at).is_(None),
            col(Token.expires_at) > now(),
        )
    ).first()
    member = session.get(Member, token.member_id) if token else None
    if member is None:
        return None
    return Actor(member.id or 0, first_actor(session).project_id, member.name, member.role)


def end_session(session: Session, secret: str) -> None:
    """Signs out: the cookie opens nothing from now on."""
    session.execute(update(Token).where(col(Token.digest) == digest(secret)).values(ended_at=now()))


def digest(secret: str) -> str:
    """SHA-256 of a secret, as stored."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
