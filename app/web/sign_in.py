"""Signing in by password or by the one-time link, and out; the first start; invitations and resets. Nearly the only
pages that are open to everybody."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from app.assets import STATIC
from app.db import session_scope
from app.errors import Invalid, SignInNeeded, TooMany
from app.lab.accounts import sign_in_by_password
from app.lab.first_start import awaits_setup, set_up_lab
from app.lab.invitations import accept, look_at
from app.lab.sign_in import SECONDS, end_session, redeem_sign_in
from app.tables import TokenKind
from app.web.forms import Posted, secret, text
from app.web.local_path import local_path
from app.web.pages import page, see
from app.web.session import cookie_name, forget_session_cookie, set_session_cookie
from app.web.sign_in_page import sign_in_view

router = APIRouter()


@router.get("/sign-in")
def sign_in(request: Request, token: str = "", next: str = "/") -> Response:
    """Redeems the token of a one-time link and sets the session cookie; without a token, the page that asks."""
    if not token:
        view = sign_in_view(message="You are not signed in.", next=local_path(next))
        return page(request, "sign_in/page.html", "Sign in", status=401, **view)
    with session_scope() as session:
        opened = redeem_sign_in(session, token)
    return _signed_in(opened, local_path(next))


@router.post("/sign-in")
def sign_in_with_password(request: Request, form: Posted) -> Response:
    """Signs in by e-mail address and password and goes on to the form's `next`, a path of ours."""
    email, after = text(form, "email")[:254], local_path(text(form, "next"))
    address = request.client.host if request.client else ""
    try:
        opened = sign_in_by_password(email, secret(form, "password")[:1000], address)
    except (SignInNeeded, TooMany) as error:
        view = sign_in_view(message=error.message, hint=error.hint, email=email, next=after)
        return page(request, "sign_in/page.html", "Sign in", status=error.status, **view)
    return _signed_in(opened, after)


@router.get("/setup")
def setup_page(request: Request, token: str = "") -> Response:
    """The first start on a server: asks for the token of the log and for the first admin."""
    with session_scope(write=False) as session:
        awaits = awaits_setup(session)
    return _setup(request, token) if awaits else see("/sign-in")


@router.post("/setup")
def set_up(request: Request, form: Posted) -> Response:
    """Makes the first admin; whoever holds the token does so, once."""
    token, name, email = (text(form, field) for field in ("token", "name", "email"))
    try:
        with session_scope() as session:
            opened = set_up_lab(session, token, name, email, secret(form, "password"))
    except Invalid as error:
        return _setup(request, token, 422, name, email, error.fields)
    except SignInNeeded as error:
        return _setup(request, "", 401, name, email, {"token": f"{error.message} {error.hint}"})
    return _signed_in(opened, "/")


@router.get("/invitations")
def invitation_page(request: Request, token: str = "") -> Response:
    """What an invitation or a reset opens: asks for a password, and for a name where the account is new."""
    return _invitation(request, token)


@router.post("/invitations")
def accept_invitation(request: Request, form: Posted) -> Response:
    """Makes the invited account, or gives an old one a new password, and signs in."""
    token, name = text(form, "token"), text(form, "name")
    try:
        with session_scope() as session:
            opened = accept(session, token, name, secret(form, "password"))
    except Invalid as error:
        return _invitation(request, token, 422, name, error.fields)
    return _signed_in(opened, "/")


@router.post("/sign-out")
def sign_out(request: Request) -> Response:
    """Ends this browser's session."""
    with session_scope() as session:
        end_session(session, request.cookies.get(cookie_name(), ""))
    response = see("/sign-in")
    forget_session_cookie(response)
    return response


@router.get("/favicon.ico")
def favicon() -> Response:
    """Browsers ask for this name whatever the page says."""
    icon = (STATIC / "img" / "favicon.svg").read_bytes()
    return Response(icon, media_type="image/svg+xml")


def _signed_in(opened: str, after: str) -> Response:
    response = see(after)
    set_session_cookie(response, opened, int(SECONDS[TokenKind.SESSION]))
    return response


def _setup(
    request: Request,
    token: str,
    status: int = 200,
    name: str = "",
    email: str = "",
    errors: dict[str, str] | None = None,
) -> HTMLResponse:
    view: dict[str, Any] = {"token": token, "name": name, "email": email, "errors": errors or {}}
    return page(request, "sign_in/setup.html", "First start", status=status, **view)


def _invitation(
    request: Request, token: str, status: int = 200, name: str = "", errors: dict[str, str] | None = None
) -> HTMLResponse:
    with session_scope(write=False) as session:
        opened = look_at(session, token)
    title = "Welcome" if opened.is_new else "Choose a new password"
    view: dict[str, Any] = {"token": token, "name": name, "opened": opened, "errors": errors or {}}
    return page(request, "sign_in/invitation.html", title, status=status, **view)
