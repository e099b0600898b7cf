"""Time is UTC everywhere; this is the one place that asks for it."""

from datetime import UTC, datetime, timedelta


def now() -> datetime:
    """The present moment, timezone-aware, in UTC."""
    return datetime.now(UTC)


def in_seconds(seconds: float) -> datetime:
    """The moment `seconds` from now."""
    return now() + timedelta(seconds=seconds)
