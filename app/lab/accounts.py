"""Accounts: made, signed in to, changed and closed. Called by the members' and account pages, sign-in and the command.

Whatever takes rights away ends the member's sessions and tokens in the same transaction.
"""

import re
from typing import Any

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from app.clock import now
from app.db import session_scope
from app.errors import Conflict, Invalid, NotFound, SignInNeeded
from app.lab.access import actor_of
from app.lab.actor import Actor, require_admin
from app.lab.audit import record
from app.lab.passwords import checked_password, hash_password, is_password
from app.lab.sign_in import make_token
from app.lab.sign_in_tries import begin_try, forgive
from app.tables import Member, Role, Token, TokenKind

ADDRESS = re.compile(r"[^@\s\x00-\x1f<>,;:\"()\[\]\\]{1,64}@[\w-]+(\.[\w-]+)*", re.ASCII)
# What opens an account; share links and invitations stand by themselves.
OPENS_ACCOUNT = (TokenKind.SESSION, TokenKind.API, TokenKind.SIGN_IN, TokenKind.RESET)


def checked_name(name: str) -> str:
    """A member's name without blanks around it. Raises Invalid for one that cannot be used."""
    name = name.strip()
    if not 1 <= len(name) <= 100 or not name.isprintable():
        wrong = "Give a name of at most 100 characters that can be printed."
        raise Invalid("This name cannot be used.", wrong, {"name": wrong})
    return name


def checked_email(session: Session, email: str, own: int = 0) -> str:
    """An e-mail address in small letters. Raises Invalid for none, or for one that another member has."""
    email = email.strip().lower()
    wrong = "" if len(email) <= 254 and ADDRESS.fullmatch(email) else "Write it like ada@example.org."
    if not wrong and session.exec(select(Member).where(Member.email == email, Member.id != own)).first():
        wrong = "Another member has this address."
    if wrong:
        raise Invalid("This e-mail address cannot be used.", wrong, {"email": wrong})
    return email


def checked_role(role: str) -> Role:
    """A role of the three. Raises Invalid for another one."""
    if role not in list(Role):
        raise Invalid("There is no such role.", "", {"role": "Choose admin, member or viewer."})
    return Role(role)


def make_member(session: Session, name: str, email: str, role: str, password: str = "") -> Member:
    """A new account; without a password it opens by a link alone. Raises Invalid with the field that is wrong."""
    name, email, role = checked_name(name), checked_email(session, email), checked_role(role)
    hashed = hash_password(checked_password(password, name, email)) if password else ""
    member = Member(name=name, email=email, role=role, password_hash=hashed)
    session.add(member)
    session.flush()
    return member


def sign_in_by_password(email: str, password: str, address: str) -> str:
    """A new session's secret; commits by itself, since tries are counted whatever comes of them.

    Raises SignInNeeded, the same for an unknown account and a wrong password, or TooMany.
    """
    email = email.strip().lower()
    ids = begin_try(email, address)
    with session_scope(write=False) as session:
        member = session.exec(select(Member).where(Member.email == email)).first()
    right = is_password(password, member.password_hash if member else "")
    if member is None or not right or member.disabled_at is not None:
        with session_scope() as session:
            record(session, None, "refused", "session", account=email[:100] if member else "unknown")
        raise SignInNeeded("That is not the address and password of an account here.", "")
    with session_scope() as session:
        # Looked at again: the password may have been changed while it was being checked.
        again = session.get(Member, member.id, with_for_update=True)
        if again is None or again.disabled_at is not None or again.password_hash != member.password_hash:
            raise SignInNeeded("The account was changed a moment ago.", "Sign in again.")
        secret = open_session(session, again)
    forgive(ids)
    return secret


def open_session(session: Session, member: Member, by: str = "") -> str:
    """A new browser session's secret; the audit log keeps `by`. Raises SignInNeeded for a disabled member."""
    actor = actor_of(session, Token(kind=TokenKind.SESSION, digest=""), member)
    if actor is None:
        raise SignInNeeded("This account is disabled.", "Ask an admin of your lab.")
    member.seen_at = now()
    about: dict[str, Any] = {"way": by} if by else {}
    record(session, actor, "signed in", "session", **about)
    return make_token(session, actor, TokenKind.SESSION, "browser")


def end_access(session: Session, member_id: int, but: int = 0) -> None:
    """Ends at once every session, token and link of a member, except the one token `but`."""
    session.execute(
        update(Token)
        .where(
            col(Token.member_id) == member_id,
            col(Token.kind).in_(OPENS_ACCOUNT),
            col(Token.ended_at).is_(None),
            col(Token.id) != but,
        )
        .values(ended_at=now())
    )


def set_password(session: Session, member: Member, password: str, but: int = 0) -> None:
    """Gives the member a new password and ends everything that was open, except the token `but`."""
    member.password_hash = hash_password(checked_password(password, member.name, member.email or ""))
    session.flush()
    end_access(session, member.id or 0, but)


def change_password(session: Session, actor: Actor, old: str, new: str) -> None:
    """The actor's own password; other sessions and all API tokens end. Raises Invalid unless `old` is the present
    one. Whoever calls counts the tries."""
    member = session.get_one(Member, actor.member_id, with_for_update=True)
    if not member.email:
        raise Conflict(
            "This account has no e-mail address to sign in with.", "Sign in by its link as before."
        )
    if member.password_hash and not is_password(old, member.password_hash):
        raise Invalid("The present password is wrong.", "", {"old": "This is not the present password."})
    set_password(session, member, new, but=actor.token_id)


def change_role(session: Session, actor: Actor, member_id: int, role: str) -> Member:
    """Gives a member another role; their sessions and tokens end. Raises Conflict for the last admin."""
    require_admin(actor, "change roles")
    wanted, member = checked_role(role), find_member(session, member_id)
    if member.role == wanted:
        return member
    if wanted != Role.ADMIN:
        _keep_an_admin(session, member)
    member.role = wanted
    session.flush()
    end_access(session, member_id)
    return member


def disable_member(session: Session, actor: Actor, member_id: int) -> Member:
    """Closes an account at once; what they made stays. Raises Conflict for the last admin."""
    require_admin(actor, "disable members")
    member = find_member(session, member_id)
    _keep_an_admin(session, member)
    member.disabled_at = member.disabled_at or now()
    session.flush()
    end_access(session, member_id)
    return member


def enable_member(session: Session, actor: Actor, member_id: int) -> Member:
    """Opens a disabled account again; what was ended stays ended."""
    require_admin(actor, "enable members")
    member = find_member(session, member_id)
    member.disabled_at = None
    session.flush()
    return member


def sign_out_member(session: Session, actor: Actor, member_id: int) -> Member:
    """Ends every session, API token and link of a member; the account stays open."""
    require_admin(actor, "sign members out")
    member = find_member(session, member_id)
    end_access(session, member_id)
    return member


def find_member(session: Session, member_id: int) -> Member:
    """The member, locked until the end of the transaction; else NotFound."""
    member = session.get(Member, member_id, with_for_update=True)
    if member is None:
        raise NotFound(f"There is no member {member_id} here.", "Look at the list of members.")
    return member


def _keep_an_admin(session: Session, member: Member) -> None:
    # All admins are locked, in one order: two who take each other's rights away at once must not both succeed.
    admins = select(Member).where(Member.role == Role.ADMIN, col(Member.disabled_at).is_(None))
    rows = session.exec(admins.order_by(col(Member.id)).with_for_update()).all()
    others = [row for row in rows if row.id != member.id and (_has_way(row) or not _has_way(member))]
    if member in rows and not others:
        raise Conflict(
            f"{member.name} is the last admin, and a lab without one cannot be run.",
            "Make another member admin first.",
        )


def _has_way(member: Member) -> bool:
    return bool(member.password_hash or member.oidc_subject)


def has_admin(session: Session) -> bool:
    """Whether an admin can sign in without a link: by password or through the university's sign-in."""
    can = (col(Member.password_hash) != "") | col(Member.oidc_subject).is_not(None)
    return bool(
        session.exec(
            select(func.count())
            .select_from(Member)
            .where(Member.role == Role.ADMIN, col(Member.disabled_at).is_(None), can)
        ).one()
    )


def has_passwords(session: Session) -> bool:
    """Whether anybody here signs in by a password, so that the page asks for one."""
    return session.exec(select(Member.id).where(col(Member.password_hash) != "").limit(1)).first() is not None
