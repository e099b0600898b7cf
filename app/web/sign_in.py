"""Signing in by the one-time link, and out. The only pages that are open to everybody."""

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from app.assets import STATIC
from app.db import session_scope
from app.errors import SignInNeeded
from app.lab.sign_in import end_session, redeem_sign_in
from app.web.pages import see
from app.web.session import COOKIE

router = APIRouter()


@router.get("/sign-in")
def sign_in(token: str = "") -> Response:
    """Redeems the token of a one-time link and sets the session cookie."""
    if not token:
        raise SignInNeeded(
            "You are not signed in.",
            "Open the sign-in link that `make up` printed, or make a new one with `make sign-in`.",
        )
    with session_scope() as session:
        secret = redeem_sign_in(session, token)
    response = see("/")
    response.set_cookie(COOKIE, secret, max_age=30 * 24 * 3600, httponly=True, samesite="strict", path="/")
    return response


@router.post("/sign-out")
def sign_out(request: Request) -> Response:
    """Ends this browser's session."""
    with session_scope() as session:
        end_session(session, request.cookies.get(COOKIE, ""))
    response = see("/sign-in")
    response.delete_cookie(COOKIE)
    return response


@router.get("/healthz")
def healthz() -> Response:
    """For load balancers and the supervisor: the web process answers."""
    return PlainTextResponse("ok\n")


@router.get("/favicon.ico")
def favicon() -> Response:
    """Browsers ask for this name whatever the page says."""
    icon = (STATIC / "img" / "favicon.svg").read_bytes()
    return Response(icon, media_type="image/svg+xml")
