"""Each request's id and time: one layer around the routes, and /metrics for a collector that knows the token."""

import re
import secrets
import time
from collections import Counter

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.home.measures import family, measures, sample
from app.lab.actor import require_admin
from app.log import telling
from app.stored_files import asking
from app.web.session import METRICS, Database

router = APIRouter()
# Upper ends in seconds; the last bucket takes the rest.
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, float("inf"))
GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{6,64}")
# This process's requests since it started: by (method, route, bucket), and their seconds by (method, route). Routes
# are as many as we wrote, whatever addresses strangers try.
_counts: Counter[tuple[str, str, float]] = Counter()
_seconds: dict[tuple[str, str], float] = {}


class Telemetry:
    """Takes the request's id from the proxy or makes one, tells it to log and answer, and counts how long it took."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = Headers(scope=scope).get("x-request-id", "")
        chosen = given if GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
        began = time.perf_counter()

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = chosen
                _count(scope, time.perf_counter() - began)
            await send(message)

        with telling(request=chosen), asking():
            await self.app(scope, receive, named)


def _count(scope: Scope, seconds: float) -> None:
    # Until the first byte: an event stream has no end that would say anything.
    key = (scope["method"], str(getattr(scope.get("route"), "path", "none")))
    _counts[(*key, next(end for end in BUCKETS if seconds <= end))] += 1
    _seconds[key] = _seconds.get(key, 0.0) + seconds


def latencies() -> str:
    """The histogram of this web process, by method and route."""
    name, lines = "tunebook_request_seconds", []
    for (method, route), total in sorted(_seconds.items()):
        labels, count = {"method": method, "route": route}, 0
        for end in BUCKETS:
            count += _counts[(method, route, end)]
            le = "+Inf" if end == BUCKETS[-1] else f"{end:g}"
            lines.append(sample(f"{name}_bucket", {**labels, "le": le}, count))
        lines += [sample(f"{name}_sum", labels, total), sample(f"{name}_count", labels, count)]
    head = family(
        name, "Time to the first byte of an answer, by route, of this web process.", [], "histogram"
    )
    return head + "".join(f"{line}\n" for line in lines)


@router.get(METRICS)
def metrics(request: Request, session: Database) -> Response:
    """Prometheus' text format, for who has TUNEBOOK_METRICS_TOKEN; admins who are signed in see it too."""
    if actor := getattr(request.state, "actor", None):
        require_admin(actor, "see the server's metrics")
    return PlainTextResponse(measures(session) + latencies(), media_type="text/plain; version=0.0.4")
