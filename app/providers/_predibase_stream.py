"""Predibase's stream of metrics, a websocket that tells everything from the start on each connection; for predibase.py."""

import socket
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import msgspec

from app.outside import resolve
from app.providers._shapes import Page, Point
from app.service_http import Api
from app.service_json import mapping, number, whole

CURVES = {"loss": "train_metrics_loss", "validation_loss": "validation_metrics_loss"}
# What has been told comes at once; after so long a silence the rest is still to happen.
SILENCE_SECONDS = 1.0
MOST_MESSAGES = 10_000


def points(api: Api, path: str, cursor: str) -> Page:
    """The points after the cursor, which is a step. A stream that cannot be read gives none: the next look tries again."""
    seen, found = int(cursor or 0), []
    last = seen
    for message in _messages(api, path):
        data = mapping(message, "data")
        step = whole(data, "steps") or 0
        if step > seen:
            values = ((curve, number(data, name)) for curve, name in CURVES.items())
            found += [Point(curve, step, value) for curve, value in values if value is not None]
            last = max(last, step)
    unique = {(point.name, point.step): point for point in found}
    return Page(
        str(last) if last else "", points=sorted(unique.values(), key=lambda each: (each.name, each.step))
    )


def _messages(api: Api, path: str) -> list[object]:
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    parts = urlsplit(api.url(path))
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = api.url(path).replace("http", "ws", 1)
    found: list[object] = []
    with suppress(OSError, httpx.TransportError, WebSocketException, TimeoutError, msgspec.DecodeError):
        # The client's own rule: the name is resolved and judged here; a client without one may go anywhere.
        host = parts.hostname or ""
        allowed = getattr(api.client, "private_host", host) == host
        plain = socket.create_connection((resolve(host, port, allowed), port), timeout=10)
        with connect(address, sock=plain, additional_headers=dict(api.headers), max_size=2**20) as opened:
            for _ in range(MOST_MESSAGES):
                found.append(msgspec.json.decode(opened.recv(timeout=SILENCE_SECONDS)))
                if mapping(found[-1], "meta").get("is_completed") is True:
                    break
    return found
