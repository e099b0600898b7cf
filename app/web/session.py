"""Request dependencies: the database session (which commits) and the acting member. Used by all routes."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from sqlmodel import Session

from app.db import new_session
from app.errors import SignInNeeded
from app.evaluations.looks import store_looks
from app.lab.actor import Actor
from app.lab.sign_in import actor_for
from app.tables import TokenKind
from app.web.audit import begin, finish

COOKIE = "tunebook_session"
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


def database(request: Request) -> Iterator[Session]:
    """One session a request; reading methods get one that takes no write lock. Commits before the response."""
    with new_session(write=request.method not in SAFE_METHODS) as session:
        begin(session, request)
        try:
            yield session
            finish(session, request)
            session.commit()
            if hasattr(request.state, "actor"):
                store_looks(session, request.state.actor)
        except BaseException:
            session.rollback()
            raise


# scope="function": the commit happens before the response is sent, so that a redirect never reads stale rows.
Database = Annotated[Session, Depends(database, scope="function")]


def acting_member(request: Request) -> Actor:
    """The signed-in member, by bearer token (one header, no other way) or session cookie."""
    secret, kind = _credential(request)
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


def _credential(request: Request) -> tuple[str, TokenKind]:
    header = request.headers.get("authorization", "")
    if header:
        scheme, _, value = header.partition(" ")
        return (value.strip() if scheme.lower() == "bearer" else ""), TokenKind.API
    return request.cookies.get(COOKIE, ""), TokenKind.SESSION


# Answered without signing in; tests/web/test_route_walk.py holds the same list.
OPEN_PATHS = {"/sign-in", "/healthz", "/favicon.ico"}


def gate(request: Request) -> None:
    """The root application's dependency: every route is closed unless its path is written above."""
    if request.url.path not in OPEN_PATHS:
        request.state.actor = acting_member(request)


def _actor(request: Request) -> Actor:
    return request.state.actor


Acting = Annotated[Actor, Depends(_actor)]
