"""The first start on a server: a setup token in the log lets one person make the first admin. Called by `tunebook web`,
`tunebook up` and the page /setup."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from sqlalchemy import update
from sqlmodel import Session, col, select

from app.clock import in_seconds, now
from app.config import settings
from app.errors import SignInNeeded
from app.lab.accounts import (
    checked_email,
    checked_name,
    end_access,
    has_admin,
    open_session,
)
from app.lab.actor import first_actor
from app.lab.passwords import checked_password, hash_password
from app.lab.sign_in import SECONDS, digest, new_secret
from app.tables import Member, Role, Token, TokenKind


def is_server() -> bool:
    """Whether others than this machine's browsers can come: by the address listened on, or through a proxy."""
    return not _loopback(settings().host) or not _loopback(
        urlsplit(settings().public_url).hostname or "localhost"
    )


def _loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def setup_secret(session: Session) -> str | None:
    """A new setup token, which ends the earlier ones; None when an admin can sign in already. Makes the first member,
    which the token's holder takes over."""
    if has_admin(session):
        return None
    first_actor(session)
    _end_setup_tokens(session)
    secret = new_secret()
    session.add(
        Token(
            kind=TokenKind.SETUP,
            name="first start",
            digest=digest(secret),
            expires_at=in_seconds(SECONDS[TokenKind.SETUP]),
        )
    )
    session.flush()
    return secret


def awaits_setup(session: Session) -> bool:
    """Whether a setup token is out and nobody has used it."""
    live = select(Token).where(
        Token.kind == TokenKind.SETUP, col(Token.ended_at).is_(None), col(Token.expires_at) > now()
    )
    return session.exec(live).first() is not None and not has_admin(session)


def set_up_lab(session: Session, secret: str, name: str, email: str, password: str) -> str:
    """Makes the first member the lab's admin with a password; gives their session's secret. Of many at once exactly
    one wins.

    Raises SignInNeeded for a token that is wrong, used or over, Invalid with the field that is wrong.
    """
    # Taken first and rolled back with everything else: nobody without the token learns or costs anything.
    moment = now()
    taken = session.execute(
        update(Token)
        .where(
            col(Token.digest) == digest(secret),
            col(Token.kind) == TokenKind.SETUP,
            col(Token.ended_at).is_(None),
            col(Token.expires_at) > moment,
        )
        .values(ended_at=moment, used_at=moment)
    )
    # Two tokens may be out where two web processes started at once: the member's row decides.
    member = session.exec(select(Member).order_by(col(Member.id)).limit(1).with_for_update()).first()
    if taken.rowcount != 1 or member is None or has_admin(session):  # type: ignore[attr-defined]
        raise SignInNeeded(
            "This setup token is wrong, used or too old.",
            "The newest one stands in the log of the web server; starting it again prints another.",
        )
    name, email = checked_name(name), checked_email(session, email, own=member.id or 0)
    member.password_hash = hash_password(checked_password(password, name, email))
    member.name, member.email, member.role, member.disabled_at = name, email, Role.ADMIN, None
    session.flush()
    _end_setup_tokens(session)
    end_access(session, member.id or 0)
    return open_session(session, member)


def _end_setup_tokens(session: Session) -> None:
    out = (col(Token.kind) == TokenKind.SETUP, col(Token.ended_at).is_(None))
    session.execute(update(Token).where(*out).values(ended_at=now()))
