"""One-time sign-in links, sessions and API tokens. Called by app/web/sign_in.py and the command line."""

import hashlib
import secrets
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, select

from app.clock import in_seconds, now
from app.errors import SignInNeeded
from app.lab.access import actor_of
from app.lab.actor import Actor
from app.lab.audit import record
from app.tables import Member, Scope, Token, TokenKind

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


def make_token(
    session: Session,
    actor: Actor,
    kind: TokenKind,
    name: str = "",
    *,
    scope: Scope = Scope.WRITE,
    seconds: float | None = None,
    about: dict[str, Any] | None = None,
) -> str:
    """A new secret for the actor in their project; only its hash is kept. It lives `seconds`, or as long as SECONDS
    says for its kind; `about` is what its kind needs beside."""
    secret = new_secret()
    session.add(
        Token(
            member_id=actor.member_id,
            project_id=actor.project_id or None,
            scope=scope,
            kind=kind,
            name=name,
            about=about or {},
            digest=digest(secret),
            expires_at=in_seconds(SECONDS[kind] if seconds is None else seconds),
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
    link = session.exec(select(Token).where(Token.digest == digest(secret))).one()
    member = session.get(Member, link.member_id) if link.member_id else None
    actor = actor_of(session, link, member) if member else None
    if actor is None:
        raise SignInNeeded("This account is disabled.", "Ask an admin of your lab.")
    record(session, actor, "signed in", "session", by="one-time link")
    return make_token(session, actor, TokenKind.SESSION, "browser")


def actor_for(session: Session, secret: str, kind: TokenKind) -> Actor | None:
    """Who a session cookie or an API token belongs to, and in which project; None when it opens nothing."""
    found = session.exec(
        select(Token, Member)
        .join(Member, col(Member.id) == Token.member_id)
        .where(
            Token.digest == digest(secret),
            Token.kind == kind,
            col(Token.ended_at).is_(None),
            col(Token.expires_at) > now(),
        )
    ).first()
    return actor_of(session, *found) if found else None


def new_secret() -> str:
    """256 random bits as text."""
    return f"tb_{secrets.token_urlsafe(32)}"


def end_session(session: Session, secret: str) -> None:
    """Signs out: the cookie opens nothing from now on."""
    session.execute(update(Token).where(col(Token.digest) == digest(secret)).values(ended_at=now()))


def digest(secret: str) -> str:
    """SHA-256 of a secret, as stored."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
