"""One place that turns errors into answers: problem JSON for the API, a page for browsers."""

from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException

from app.door.error_shape import headers_of, shaped, status_of
from app.errors import Invalid, NotFound, SignInNeeded, TunebookError
from app.log import about, log
from app.web.local_path import local_path
from app.web.pages import page
from app.web.sign_in_page import sign_in_view


def add_error_handlers(app: FastAPI) -> None:
    """Installs the handlers on the application."""
    app.add_exception_handler(TunebookError, _expected)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OverflowError, _too_large)
    app.add_exception_handler(DataError, _too_large)
    app.add_exception_handler(Exception, _unexpected)


def answer(request: Request, error: TunebookError, request_id: str = "") -> Response:
    """An error in OpenAI's shape under /v1, as problem JSON (RFC 9457) under /api, else as a page."""
    if request.url.path.startswith("/v1/"):
        return JSONResponse(shaped(error), status_of(error), headers_of(error))
    if request.url.path.startswith("/api/") and request.url.path != "/api/docs":
        body = {
            "type": "about:blank",
            "title": error.title,
            "status": error.status,
            "detail": error.message,
            "hint": error.hint,
            "fields": error.fields,
        }
        headers = {"www-authenticate": "Bearer"} if error.status == 401 else {}
        return JSONResponse(body, error.status, headers, media_type="application/problem+json")
    if isinstance(error, SignInNeeded):
        after = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        after = "/" if request.method != "GET" or after.startswith("/sign-in") else local_path(after)
        view = sign_in_view(message=error.message, hint=error.hint, next=after)
        return page(request, "sign_in/page.html", "Sign in", status=error.status, **view)
    return page(
        request,
        "error.html",
        error.title,
        status=error.status,
        title=error.title,
        message=error.message,
        hint=error.hint,
        request_id=request_id,
        back=_page_before(request),
        switch=error.project if isinstance(error, NotFound) and request.method == "GET" else None,
        here=request.url.path,
    )


def _page_before(request: Request) -> str:
    """The path of our own page whose form was sent; "" for anything else, also where the browser does not say."""
    before = urlsplit(request.headers.get("referer", ""))
    ours = before.netloc == request.url.netloc and before.path.startswith("/")
    if request.method == "GET" or not ours or before.path.startswith("//"):
        return ""
    return before.path + (f"?{before.query}" if before.query else "")


# Not async: the pages read the database, which would stop the whole server for as long as that takes.
def _expected(request: Request, error: Any) -> Response:
    return answer(request, error)


def _invalid_request(request: Request, error: Any) -> Response:
    fields = {
        ".".join(str(part) for part in problem["loc"][1:]): problem["msg"] for problem in error.errors()
    }
    where = ", ".join(f"{name or 'the request'}: {message}" for name, message in fields.items())
    return answer(
        request,
        Invalid(f"The request cannot be read ({where}).", "See /api/docs for what is expected.", fields),
    )


def _too_large(request: Request, error: Any) -> Response:
    # A number that no database column can hold: SQLite and PostgreSQL say so in these two ways.
    log.warning("%s %s holds a value that the database refuses: %s", request.method, request.url.path, error)
    return answer(request, NotFound("A number in the request is too large.", "Check the address."))


def _http(request: Request, error: Any) -> Response:
    if error.status_code == 404:
        return answer(request, NotFound("There is nothing at this address.", "Start from the menu."))
    problem = TunebookError(f"The server answered: {error.detail}.", "")
    problem.status = error.status_code
    return answer(request, problem)


def _unexpected(request: Request, error: Exception) -> Response:
    id = str(about.get().get("request", ""))
    log.error("request %s failed: %s %s", id, request.method, request.url.path, exc_info=error)
    hint = f"Nothing you entered is lost on the server. The log has the details under {id}."
    return answer(request, TunebookError("Tunebook met a fault of its own.", hint), id)
