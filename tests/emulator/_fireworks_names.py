"""How Fireworks names, lists and times things; its numbers for errors."""

from datetime import UTC, datetime
from typing import Any

from tests.emulator._service import Call

LISTING = ("pageSize", "pageToken", "filter", "orderBy", "readMask")
CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 413: 3, 429: 8, 500: 13, 503: 14}


def code_of(status: int) -> int:
    """gRPC's number."""
    return CODES.get(status, 2)


def iso(seconds: float) -> str:
    """A time as Fireworks writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def resource(call: Call, collection: str) -> str:
    """The full name of what the path asks for."""
    return f"accounts/{call.params['account']}/{collection}/{call.params['id']}"


def page(call: Call, field: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """One page; its token says where the next begins."""
    start, size = int(call.query.get("pageToken") or 0), int(call.query.get("pageSize") or 50)
    token = str(start + size) if start + size < len(found) else ""
    return {field: found[start : start + size], "nextPageToken": token, "totalSize": len(found)}
