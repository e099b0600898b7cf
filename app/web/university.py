"""Signing in by a university: the way out to the issuer, and the page it comes back to."""

import base64
import re
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.config import settings
from app.db import session_scope
from app.errors import Forbidden, SignInNeeded, TunebookError
from app.lab.audit import record
from app.lab.sign_in import SECONDS
from app.lab.sign_in_tries import begin_try, forgive, network
from app.lab.university import check_state, leave_for, new_flow, person_from, require_offered
from app.lab.university_members import sign_in_person
from app.subpath import outside
from app.tables import TokenKind
from app.web.local_path import local_path
from app.web.own_address import own_address
from app.web.pages import page, see
from app.web.session import COOKIE, cookie_name, set_session_cookie
from app.web.sign_in_page import sign_in_view

router = APIRouter()
START, BACK = "/sign-in/university", "/sign-in/university/back"
FLOW_SECONDS = 600
# What the issuer may say went wrong (RFC 6749, 4.1.2.1); its sentences are not shown, anybody can write an address.
SAID = re.compile(r"[a-z_]{1,40}")


@router.get(START)
def go_to_university(request: Request, next: str = "/") -> Response:
    """Sends the browser to the university's sign-in."""
    require_offered()
    flow = new_flow()
    try:
        response: Response = see(leave_for(flow, own_address(request) + BACK))
    except TunebookError as error:
        return _refused(request, error)
    kept = base64.urlsafe_b64encode(local_path(next).encode()).decode()
    response.set_cookie(**_cookie(), value=f"{flow}.{kept}", max_age=FLOW_SECONDS)
    return response


@router.get(BACK)
def come_back(request: Request, code: str = "", state: str = "", error: str = "", iss: str = "") -> Response:
    """Where the university sends the browser back to. The answer is a page and no redirect: browsers send our cookie,
    which is for our own pages alone, only where a page of ours leads on."""
    require_offered()
    flow, _, kept = request.cookies.get(_cookie()["key"], "").partition(".")
    try:
        check_state(flow, state, iss)
        if error or not code:
            said = error if SAID.fullmatch(error) else "no code"
            raise SignInNeeded(
                f"The university did not sign you in ({said}).", "Try again, or ask its help desk."
            )
        secret = _signed_in(request, flow, code[:4000])
    except TunebookError as problem:
        return _refused(request, problem)
    after = local_path(_decoded(kept))
    response = page(request, "sign_in/continue.html", "Signed in", after=after, outside=outside(after))
    response.delete_cookie(**_cookie())
    set_session_cookie(response, secret, int(SECONDS[TokenKind.SESSION]))
    return response


def _signed_in(request: Request, flow: str, code: str) -> str:
    # Counted, since each try asks the issuer; and asked before the transaction begins.
    address = request.client.host if request.client else ""
    tries = begin_try(f"university {network(address)}", address)
    person = person_from(flow, code, own_address(request) + BACK)
    try:
        with session_scope() as session:
            secret = sign_in_person(session, person)
    except (SignInNeeded, Forbidden):
        with session_scope() as session:
            record(
                session, None, "refused", "session", account=person.email[:100] or "unknown", by="university"
            )
        raise
    forgive(tries)
    return secret


def _refused(request: Request, error: TunebookError) -> Response:
    view = sign_in_view(message=error.message, hint=error.hint)
    response = page(request, "sign_in/page.html", "Sign in", status=error.status, **view)
    response.delete_cookie(**_cookie())
    return response


def _cookie() -> dict[str, Any]:
    """Name and flags of the cookie that remembers a sign-in by a university while the browser is there. Unlike the
    session's it comes along when another site leads back to us; it opens nothing."""
    return {
        "key": cookie_name().replace(COOKIE, "tunebook_university"),
        "path": settings().root_path or "/",
        "secure": settings().https,
        "httponly": True,
        "samesite": "lax",
    }


def _decoded(kept: str) -> str:
    try:
        return base64.urlsafe_b64decode(kept.encode("ascii", "replace")).decode()
    except ValueError:
        return "/"
