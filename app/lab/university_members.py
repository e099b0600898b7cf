"""Which member somebody is whom the university vouches for, and whether they may join. Called by app/web/university.py
once the issuer was asked."""

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, select

from app.config import settings
from app.errors import Conflict, Forbidden, SignInNeeded
from app.lab.accounts import make_member, open_session
from app.lab.audit import record
from app.lab.invitations import accept_by_email
from app.lab.university import Person
from app.tables import Member


def sign_in_person(session: Session, person: Person) -> str:
    """A new session's secret. The first time it links the member with the same verified address, accepts an invitation
    of that address, or makes an account where the address's domain may join.

    Raises SignInNeeded for a disabled member, Forbidden for somebody who may not join, Conflict when two browsers did
    this at once.
    """
    try:
        member = _known(session, person) or _linked(session, person) or _joined(session, person)
        session.flush()
    except IntegrityError as error:
        raise Conflict("This account was made a moment ago.", "Sign in again.") from error
    return open_session(session, member, by="university")


def _known(session: Session, person: Person) -> Member | None:
    return session.exec(select(Member).where(Member.oidc_subject == person.subject)).first()


def _linked(session: Session, person: Person) -> Member | None:
    """The member with this address, who signs in by the university from now on."""
    if not person.email:
        return None
    found = select(Member).where(Member.email == person.email).with_for_update()
    member = session.exec(found).first()
    if member is None:
        return None
    if member.disabled_at is not None:
        raise SignInNeeded("This account is disabled.", "Ask an admin of your lab.")
    if member.oidc_subject:
        raise Forbidden(
            f"{person.email} belongs to another account of the university.",
            "Sign in with that one, or ask an admin of your lab.",
        )
    member.oidc_subject = person.subject
    record(session, None, "changed", "member", member.id, name=member.name, linked="university")
    return member


def _joined(session: Session, person: Person) -> Member:
    if not person.email:
        raise Forbidden(
            "The university gives no verified e-mail address of yours, so nobody here can be found by it.",
            "Ask an admin of your lab for an invitation, or the university for the claims email and email_verified.",
        )
    member = accept_by_email(session, person.email, person.name)
    if member is None and person.email.partition("@")[2] in {
        each.lower() for each in settings().oidc_domains
    }:
        member = make_member(session, person.name, person.email, settings().oidc_role)
    if member is None:
        raise Forbidden(
            f"{person.email} is not invited to this lab.",
            "Ask an admin of your lab to invite this address; then sign in again.",
        )
    member.oidc_subject = person.subject
    record(session, None, "changed", "member", member.id, name=member.name, joined="university")
    return member
