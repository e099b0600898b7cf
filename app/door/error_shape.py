"""Errors in OpenAI's shape: what programs at the door read. Called by app/web/errors.py, by streams and by batches."""

from typing import Any

from app.errors import (
    Busy,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    KeyRefused,
    NotFound,
    OutOfCredit,
    ProviderError,
    Refused,
    SignInNeeded,
    TooLarge,
    TooMany,
    TunebookError,
    Unavailable,
)
from app.log import hidden

REQUEST, SERVER = "invalid_request_error", "server_error"
# (class, status, type, code); the first that fits counts, so that the finer ones stand first.
SHAPES: tuple[tuple[type[TunebookError], int, str, str | None], ...] = (
    (SignInNeeded, 401, REQUEST, "invalid_api_key"),
    (Forbidden, 403, REQUEST, "insufficient_permissions"),
    (Invalid, 400, REQUEST, None),
    (NotFound, 404, REQUEST, "not_found"),
    (Conflict, 409, REQUEST, "conflict"),
    (TooLarge, 413, REQUEST, "too_large"),
    (TooMany, 429, "requests", "rate_limit_exceeded"),
    (Unavailable, 503, SERVER, "service_unavailable"),
    (Gone, 404, REQUEST, "model_not_found"),
    (Refused, 400, REQUEST, "refused_by_service"),
    (KeyRefused, 502, SERVER, "key_refused_by_service"),
    (OutOfCredit, 429, "insufficient_quota", "insufficient_quota"),
    (Busy, 429, "requests", "rate_limit_exceeded"),
    (ProviderError, 502, SERVER, "service_error"),
)
# Codes after which the same call may well succeed; programs read the header that says so.
AGAIN = ("rate_limit_exceeded", "service_unavailable", "service_error")
DEFAULT_WAIT = 2.0


def status_of(error: TunebookError) -> int:
    """The HTTP status that the door answers with."""
    return _shape(error)[0]


def shaped(error: TunebookError) -> dict[str, Any]:
    """{"error": {"message", "type", "param", "code"}}; the message says what and how to mend it, and holds no key."""
    _status, type_, code = _shape(error)
    message = hidden(" ".join(part for part in (error.message, error.hint) if part))
    fields = list(error.fields)
    return {
        "error": {"message": message, "type": type_, "param": fields[0] if fields else None, "code": code}
    }


def headers_of(error: TunebookError) -> dict[str, str]:
    """What goes along: whether the call may be sent again, and after how many seconds."""
    status, _type, code = _shape(error)
    again = code in AGAIN
    headers = {"x-should-retry": "true" if again else "false"}
    if again:
        headers["retry-after"] = f"{max(DEFAULT_WAIT if error.wait is None else error.wait, 1):.0f}"
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return headers


def _shape(error: TunebookError) -> tuple[int, str, str | None]:
    for kind, status, type_, code in SHAPES:
        if isinstance(error, kind):
            return status, type_, error.reason or code
    code = error.reason or None
    type_ = code if error.status == 429 and code else REQUEST if error.status < 500 else SERVER
    return error.status, type_, code
