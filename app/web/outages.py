"""Answers when the database or the disk fails under a request, in words instead of as a fault. Added by app/main.py."""

import errno

from fastapi import FastAPI, Request
from fastapi.responses import Response
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from app.errors import TunebookError, Unavailable
from app.log import log
from app.web.errors import answer

# What may be one: outage() says whether it is.
POSSIBLE = (OperationalError, InterfaceError, NoConnection, OSError)
AGAIN = "Nothing is half done. Wait a moment and send it again: a launch that had been taken after all is not made twice."
ROOM = "Free some space, or ask whoever looks after this server; then send it again. Nothing needs to be restarted."
# Parts of what SQLite says: there are no numbers for them in what SQLAlchemy hands on.
LOCKED = ("database is locked", "database table is locked", "database is busy")
DISK = ("unable to open database file", "disk i/o error", "readonly database", "read-only")
# PostgreSQL's classes of conditions: connection, resources, operator intervention, system; and what is worth a
# second try: deadlock, serialization, a lock or statement that waited too long.
CLASSES = ("08", "53", "57", "58", "40", "55")
FULL_CODE = "53100"


class Full(Unavailable):
    """There is no room left on a disk."""

    status = 507
    title = "No room left"


def add_outage_handlers(app: FastAPI) -> None:
    """Installs the handlers on the application."""
    for kind in POSSIBLE:
        app.add_exception_handler(kind, _answer)


def _answer(request: Request, error: Exception) -> Response:
    found = outage(error)
    if found is None:
        raise error
    log.warning("%s %s: %s (%s)", request.method, request.url.path, found.message, error)
    # The rail of a page asks the database.
    request.state.actor = None
    return answer(request, found)


def outage(error: BaseException) -> TunebookError | None:
    """The sentence for a database that is away, locked or full and for a full disk; None: a fault of another kind."""
    if isinstance(error, NoConnection):
        return Unavailable(
            "The server has too much to do: all its connections to the database are taken.", AGAIN
        )
    if isinstance(error, DBAPIError):
        return _database(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Full("The disk is full: there was no room for what you sent.", ROOM)
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return Unavailable("The data folder can only be read.", "Ask whoever looks after this server.")
    return None


def _database(error: DBAPIError) -> TunebookError | None:
    said, code = str(error.orig).lower(), getattr(error.orig, "sqlstate", None)
    if "disk is full" in said or code == FULL_CODE:
        return Full("The disk is full: the database has no room for this.", ROOM)
    if any(part in said for part in LOCKED):
        return Unavailable("Another program has kept the database locked for too long.", AGAIN)
    if any(part in said for part in DISK):
        return Unavailable("The database cannot be written or read now.", "`tunebook doctor` says more.")
    # A connection that could not be made has no code.
    away = type(error.orig).__module__.startswith("psycopg") and (code is None or code[:2] in CLASSES)
    return Unavailable("The database does not answer now.", AGAIN) if away else None
