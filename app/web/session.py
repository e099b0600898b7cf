"""Request dependencies: the database session (which commits) and the acting member. Used by all routes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from hmac import compare_digest
from typing import Annotated

from fastapi import Depends, Request, Response
from sqlmodel import Session

from app.config import settings
from app.db import new_session
from app.errors import Forbidden, SignInNeeded
from app.evaluations.looks import store_looks
from app.lab.actor import Actor, why_not
from app.lab.sign_in import actor_for
from app.stored_files import end_first
from app.tables import Scope, TokenKind
from app.web.audit import begin, finish

COOKIE = "tunebook_session"
# For a collector with TUNEBOOK_METRICS_TOKEN; closed like every other route to whoever has it not.
METRICS = "/metrics"
# The OpenAI-compatible API.
DOOR = "/v1/"


def cookie_name() -> str:
    """The session cookie's name. Over https browsers themselves keep such names to secure cookies of this host."""
    if not settings().https:
        return COOKIE
    return f"__Secure-{COOKIE}" if settings().root_path else f"__Host-{COOKIE}"


def set_session_cookie(response: Response, secret: str, seconds: int) -> None:
    """Lets the browser send `secret` with each request to us from now on."""
    response.set_cookie(
        cookie_name(),
        secret,
        max_age=seconds,
        path=settings().root_path or "/",
        secure=settings().https,
        httponly=True,
        samesite="strict",
    )


def forget_session_cookie(response: Response) -> None:
    """Takes the cookie back; name, path and flags must be the same."""
    response.delete_cookie(
        cookie_name(),
        path=settings().root_path or "/",
        secure=settings().https,
        httponly=True,
        samesite="strict",
    )


SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


def database(request: Request) -> Iterator[Session]:
    """One session a request; reading methods get one that takes no write lock. Commits before the response."""
    with new_session(write=request.method not in SAFE_METHODS) as session:
        begin(session, request)
        request.state.session = session
        if request.method in SAFE_METHODS:
            end_first(session.commit)
        try:
            yield session
            finish(session, request)
            session.commit()
            if hasattr(request.state, "actor"):
                store_looks(session, request.state.actor)
        except BaseException:
            session.rollback()
            raise
        finally:
            del request.state.session


def commit_now(session: Session, request: Request) -> None:
    """Commits a change before its route goes on, for what asks another machine afterwards: no transaction waits for a
    network. Nothing may be written in this request any more."""
    finish(session, request)
    session.commit()


@contextmanager
def reading(request: Request) -> Iterator[Session]:
    """A session for what surrounds a page: the request's own while that holds a connection, since a request that
    waits for a second one may wait for requests that wait likewise; else one that takes no write lock."""
    own: Session | None = getattr(request.state, "session", None)
    if own is None or not own.in_transaction():
        with new_session(write=False) as session:
            yield session
        return
    # What a refused form left behind is not written for the sake of the menu.
    with own.no_autoflush:
        yield own


# scope="function": the commit happens before the response is sent, so that a redirect never reads stale rows.
Database = Annotated[Session, Depends(database, scope="function")]


def acting_member(request: Request) -> Actor:
    """The signed-in member, by bearer token (one header, no other way) or session cookie."""
    secret, kind = credential(request)
    if secret:
        with new_session(write=False) as session:
            actor = actor_for(session, secret, kind)
        if actor:
            return actor
    if kind == TokenKind.API:
        raise SignInNeeded("The API token is unknown or over.", "Make a new one with `tunebook token`.")
    raise SignInNeeded(
        "You are not signed in.",
        "Open the sign-in link that `make up` printed, or make a new one with `make sign-in`.",
    )


def credential(request: Request) -> tuple[str, TokenKind]:
    """The secret that came with a request, "" for none, and what it should open."""
    header = request.headers.get("authorization", "")
    # The door is for programs: a browser's cookie opens nothing there, whatever page makes it ask.
    if header or request.url.path.startswith(DOOR):
        scheme, _, value = header.partition(" ")
        return (value.strip() if scheme.lower() == "bearer" else ""), TokenKind.API
    return request.cookies.get(cookie_name(), ""), TokenKind.SESSION


# Answered without signing in; tests/web/test_route_walk.py holds the same list.
OPEN_PATHS = {
    *("/sign-in", "/sign-in/university", "/sign-in/university/back", "/setup", "/invitations"),
    *("/healthz", "/readyz", "/favicon.ico"),
}
# A link to one comparison opens by itself (app/exports/share_link.py); only to look.
SHARED_LINK = re.compile(r"/shared/[\w-]+(/[\w.-]+)?")


# Changes that a viewer may make too, in any project or none, in their own browser: they concern only themselves.
# tests/web/test_rights.py holds the same list.
OWN_CHANGES = re.compile(
    r"/sign-out|/lab/password|/lab/tokens|/lab/tokens/\d+/end|/lab/sessions/(\d+|others)/end"
    r"|/lab/projects/\d+/enter|/lab/notifications/\S+|/api/v1/tokens|/api/v1/tokens/\d+"
    r"|/api/v1/notifications/\S+"
)
# What the whole lab shares: only admins change it (their services say so), also while in an archived project.
SHARED = (
    "/lab/",
    "/settings",
    *(
        f"/api/v1/{noun}"
        for noun in ("projects", "members", "providers", "keys", "endpoints", "compute", "budgets")
    ),
)


def gate(request: Request) -> None:
    """The root application's dependency: every route is closed unless its path is written above, and changes are
    refused to whoever may only look."""
    path = request.url.path
    if path == METRICS and _collects(request):
        return
    if path in OPEN_PATHS or (request.method in SAFE_METHODS and SHARED_LINK.fullmatch(path)):
        return
    actor = request.state.actor = acting_member(request)
    if request.method not in SAFE_METHODS:
        _may_change(actor, path)


def _collects(request: Request) -> bool:
    token, given = settings().metrics_token, request.headers.get("authorization", "")
    return bool(token) and compare_digest(given.encode(), f"Bearer {token}".encode())


def _may_change(actor: Actor, path: str) -> None:
    own = OWN_CHANGES.fullmatch(path) is not None and actor.scope == Scope.WRITE
    reason, hint = why_not(actor)
    lab = actor.is_admin and actor.scope == Scope.WRITE and path.startswith(SHARED)
    if reason and not own and not lab:
        raise Forbidden(f"You may not change anything here: {reason}.", hint)


def _actor(request: Request) -> Actor:
    return request.state.actor


Acting = Annotated[Actor, Depends(_actor)]
