"""Audit entries for whatever no service recorded by itself: each change and each download has a line."""

from typing import Any

from fastapi import Request
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import ORMExecuteState
from sqlmodel import Session
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.db import session_scope
from app.lab.actor import Actor
from app.lab.audit import BY, RECORDED, record
from app.log import log

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
AUDITED, CHANGED = "audited", "audit changed"


def begin(session: Session, request: Request) -> None:
    """Lets the session's entries say by what the actor came, and notices whether it changes anything."""
    session.info[BY] = by(request.scope)
    event.listen(session, "after_flush", lambda changed, _context: changed.info.update({CHANGED: True}))
    event.listen(session, "do_orm_execute", _notice)


def finish(session: Session, request: Request) -> None:
    """Before the commit of a change: adds an entry unless a service has. A plan that is only looked at has none."""
    actor: Actor | None = getattr(request.state, "actor", None)
    session.flush()
    recorded, changed = session.info.pop(RECORDED, False), session.info.pop(CHANGED, False)
    if actor and changed and not recorded and request.method not in SAFE_METHODS:
        record(session, actor, "changed", *what(request.scope))
    request.state.audited = True


def _notice(statement: ORMExecuteState) -> None:
    if statement.is_insert or statement.is_update or statement.is_delete:
        statement.session.info[CHANGED] = True


def by(scope: Scope) -> str:
    """ "token" or "browser"."""
    return "token" if any(name == b"authorization" for name, _ in scope["headers"]) else "browser"


def what(scope: Scope) -> tuple[str, int | None]:
    """The noun and the row that a request is about, from its route: ("run: cancel", 12)."""
    route, numbers = scope.get("route"), scope.get("path_params", {})
    path = str(getattr(route, "path", scope["path"])).removeprefix("/api/v1").removeprefix("/v1")
    noun = path.strip("/").split("/")[0].removesuffix("s")
    name = str(getattr(route, "name", "")).replace("_", " ")
    first = next((value for value in numbers.values() if str(value).isdigit()), None)
    return f"{noun}: {name}"[:40], int(first) if first is not None and int(first) < 2**31 else None


class Audit:
    """Records downloads before their first byte leaves, and changes of routes that use no session of the request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        state: dict[str, Any] = scope.setdefault("state", {})

        refused = False

        async def watched(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                action = _action(scope, message, state)
                if action and isinstance(actor := state.get("actor"), Actor):
                    try:
                        await run_in_threadpool(_store, actor, action, scope)
                    except OperationalError as error:
                        log.warning("a %s was refused: it could not be recorded: %s", action, error)
                        refused = True
                        await _refuse(send)
            if not refused:
                await send(message)

        return await self.app(scope, receive, watched)


async def _refuse(send: Send) -> None:
    """Instead of an answer that has not begun: nothing is downloaded that cannot be recorded."""
    body = b"The database does not answer now, so that this cannot be recorded. Try again in a moment.\n"
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _action(scope: Scope, message: Message, state: dict[str, Any]) -> str:
    if message["status"] >= 400:
        return ""
    if scope["method"] not in SAFE_METHODS:
        return "" if state.get(AUDITED) else "changed"
    headers = {name.lower(): value for name, value in message.get("headers", [])}
    return "downloaded" if headers.get(b"content-disposition", b"").startswith(b"attachment") else ""


def _store(actor: Actor, action: str, scope: Scope) -> None:
    with session_scope() as session:
        session.info[BY] = by(scope)
        query = scope.get("query_string", b"").decode("latin-1")[:300]
        record(session, actor, action, *what(scope), **({"of": query} if query else {}))
