"""Passwords: what may be one, and their argon2id hashes. Called wherever one is set or checked."""

from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.errors import Invalid

SHORTEST, LONGEST = 8, 200
# OWASP's figures: 19 MiB for some 20 ms. Four at once, so that a flood of tries costs 76 MiB and no more.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_room = BoundedSemaphore(4)
# The hash of something that nobody knows, so that an unknown account takes as long as a known one.
_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXRoaW5nIHNhbHR5IQ$YMRyJFZE7QtKbY0vVmXwJ0YbPW1kYV0qM6nJ0m2xg7Q"


def checked_password(password: str, *known: str) -> str:
    """The password itself. Raises Invalid, on the field `password`, for one that is short, common, a single
    character over and over, or one of `known`: the member's name and address."""
    wrong = _wrong(password, known)
    if wrong:
        raise Invalid("This password cannot be used.", wrong, {"password": wrong})
    return password


def _wrong(password: str, known: tuple[str, ...]) -> str:
    plain = password.strip().casefold()
    if len(plain) < SHORTEST:
        return f"Use at least {SHORTEST} characters; blanks around them do not count."
    if len(password) > LONGEST:
        return f"Use at most {LONGEST} characters."
    if "\x00" in password or not password.isprintable():
        return "Use characters that can be printed."
    parts = {part for each in known for part in (each.casefold(), *each.casefold().split("@"))}
    if plain in parts:
        return "Do not use your name or address."
    if len(set(plain)) < 4 or plain.rstrip("0123456789!?.") in {*_common(), "tunebook"} or plain in _common():
        return (
            "This one is among the first that anybody would try. Use four words that do not belong together."
        )
    return ""


def _common() -> dict[str, int]:
    # Imported here: the lists take 40 ms and 5 MB, and are wanted once in a member's life.
    from zxcvbn.matching import RANKED_DICTIONARIES

    found: dict[str, int] = RANKED_DICTIONARIES["passwords"]
    return found


def hash_password(password: str) -> str:
    """The argon2id hash as it is stored."""
    with _room:
        return _hasher.hash(password)


def is_password(password: str, stored: str) -> bool:
    """Whether `stored` is the hash of `password`. Takes as long where nothing is stored."""
    with _room:
        try:
            return _hasher.verify(stored or _NOBODY, password) and bool(stored)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False
