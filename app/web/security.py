"""One ASGI layer around the whole application: Host allow-list, same-origin check, sign-in, headers.

It is the outermost layer, so that no mount, static file or error page is outside it.
"""

import json
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import subpath
from app.config import settings
from app.door.error_shape import shaped
from app.errors import TunebookError
from app.subpath import inside, outside

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "x-frame-options": "DENY",
}


class Security:
    """Refuses wrong hosts and cross-site changes before any route sees them; adds headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        scope["path"] = inside(scope["path"])
        secured = _with_headers(send, cached=scope["path"].startswith("/static/"))
        refusal = _refusal(scope)
        if refusal:
            await _refuse(secured, scope["path"], *refusal)
            return None
        return await self.app(scope, receive, secured)


def _refusal(scope: Scope) -> tuple[int, str] | None:
    headers = Headers(scope=scope)
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not allowed_host(hosts[0]):
        return 400, "This host name is not allowed. Add it to TUNEBOOK_ALLOWED_HOSTS.\n"
    # At the door cookies open nothing (app/web/session.py): a program without a token is told that it needs one.
    stranger = scope["path"].startswith("/v1/") and not {"origin", "sec-fetch-site"} & set(headers)
    if scope["method"] not in SAFE_METHODS and not stranger and not same_origin(headers, scope["scheme"]):
        return 403, "Refused: the request came from another site.\n"
    return None


def allowed_host(host: str) -> bool:
    """Whether a Host header names one of the allowed hosts, whatever its port."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    public = urlsplit(settings().public_url).hostname
    return name.lower() in {public, *(allowed.lower() for allowed in settings().allowed_hosts)}


def same_origin(headers: Headers, scheme: str) -> bool:
    """Whether an unsafe request comes from our own pages.

    Browsers send Sec-Fetch-Site or Origin and cannot be made not to; a request with neither must carry
    a bearer token, which no other site can know.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is not None:
        host = urlsplit(origin).netloc
        return bool(host) and host == headers.get("host")
    if site == "same-origin":
        return True
    return headers.get("authorization", "").lower().startswith("bearer ")


def _with_headers(send: Send, cached: bool) -> Send:
    async def secured(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            for name in subpath.HEADERS:
                if name in headers:
                    headers[name] = outside(headers[name])
            if settings().https:
                headers.setdefault("strict-transport-security", "max-age=31536000")
            headers.setdefault("cache-control", "private, max-age=31536000" if cached else "no-store")
        await send(message)

    return secured


async def _refuse(send: Send, path: str, status: int, text: str) -> None:
    body, kind = text.encode(), b"text/plain; charset=utf-8"
    if path.startswith("/v1/"):
        refused = TunebookError(text.strip())
        refused.status = status
        body, kind = json.dumps(shaped(refused)).encode(), b"application/json"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
