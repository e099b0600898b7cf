"""Strict JSON, as answers are tested for it. Also used where answers are read."""

from typing import Any

import msgspec

MAX_DEPTH = 100


def decode(text: str) -> tuple[bool, Any]:
    """(True, value), or (False, None) for text that is no JSON or nested deeper than 100 levels."""
    try:
        value = msgspec.json.decode(text.encode())
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False, None
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in children(parent)]
        if not level:
            return True, value
    return False, None


def children(value: Any) -> list[Any]:
    """The values inside an object or array; none for anything else."""
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
