"""Reads a service's JSON without trusting it: a field of another kind counts as absent. Used by providers and
compute."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

# Beyond this a float cannot tell whole numbers apart.
LARGEST = 2**53


def mapping(raw: Any, *names: str) -> Mapping[str, Any]:
    """The object at a path of names; {} where there is none."""
    for name in names:
        raw = raw.get(name) if isinstance(raw, Mapping) else None
    return raw if isinstance(raw, Mapping) else {}


def rows(raw: Any, name: str) -> list[Mapping[str, Any]]:
    """The objects of a list; [] where there is none."""
    found = raw.get(name) if isinstance(raw, Mapping) else None
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def text(raw: Mapping[str, Any], name: str) -> str:
    """A text; "" where there is none."""
    found = raw.get(name)
    return found if isinstance(found, str) else ""


def number(raw: Mapping[str, Any], name: str) -> float | None:
    """A finite number, also one written as text (Protocol Buffers write large whole numbers so)."""
    found = raw.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    try:
        value = float(found)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def whole(raw: Mapping[str, Any], name: str) -> int | None:
    """A whole number of at least 0, and small enough for a database."""
    found = number(raw, name)
    return int(found) if found is not None and 0 <= found <= LARGEST else None


def moment(raw: Mapping[str, Any], name: str) -> float | None:
    """Seconds since 1970, from a number or an ISO 8601 time."""
    found = number(raw, name)
    if found is not None:
        return found
    try:
        return datetime.fromisoformat(text(raw, name)).timestamp()
    except (ValueError, OverflowError):
        return None
