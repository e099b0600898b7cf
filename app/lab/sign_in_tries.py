"""Limits of tries to sign in, counted in the database so that all web processes share them. Called by accounts.py."""

import hashlib
from ipaddress import IPv6Address, ip_address

from sqlalchemy import delete, func
from sqlmodel import col, select

from app.clock import in_seconds
from app.db import session_scope
from app.errors import TooMany
from app.tables import SignInTry

WINDOW_SECONDS = 300
EACH, ALL = 10, 1000
EVERYBODY = "all"


def begin_try(account: str, address: str) -> list[int]:
    """Counts one try of `account` from `address` before it is looked at, in a transaction of its own, so that many
    at once cannot slip through; gives the ids for `forgive`. Raises TooMany, which counts as no try.
    """
    limits = ((_key("account", account), EACH), (_key("address", network(address)), EACH), (EVERYBODY, ALL))
    with session_scope() as session:
        session.execute(delete(SignInTry).where(col(SignInTry.at) < in_seconds(-WINDOW_SECONDS)))
        rows = [SignInTry(key=key) for key, _most in limits]
        session.add_all(rows)
    ids = [row.id or 0 for row in rows]
    with session_scope(write=False) as session:
        count = select(func.count()).select_from(SignInTry)
        over = [session.exec(count.where(SignInTry.key == key)).one() > most for key, most in limits]
    if any(over):
        forgive(ids)
        raise TooMany(
            "Too many tries to sign in.",
            "Wait five minutes, or make a one-time link with `tunebook sign-in` where Tunebook is installed.",
        )
    return ids


def forgive(ids: list[int]) -> None:
    """Takes a try back: it succeeded, or was not let through."""
    with session_scope() as session:
        session.execute(delete(SignInTry).where(col(SignInTry.id).in_(ids)))


def network(address: str) -> str:
    """What one stranger has to themselves: an IPv4 address, or the /64 that an IPv6 address is in."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64))


def _key(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind} {value}".encode("utf-8", "surrogatepass")).hexdigest()
