"""For load balancers, the supervisor and container health checks: whether the web process answers, and whether it can
do its work."""

import time
from contextlib import suppress

import kombu.exceptions
from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response
from sqlalchemy.exc import SQLAlchemyError

from app.config import settings
from app.errors import TunebookError
from app.log import log
from app.queue import producer

router = APIRouter()
BROKER_SECONDS = 2
# Strangers may ask as often as they like; the database and the broker are asked once in this time.
FRESH_SECONDS = 1.0
# What was missing at the last look ("" for nothing), and when that was.
_looked: list[tuple[str, float]] = []


@router.get("/healthz")
def healthz() -> Response:
    """The web process answers; nothing else is looked at."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
def readyz() -> Response:
    """Whether the database is there with the schema of this code, and the broker: 200, else 503 with the word for what
    is missing. Why stands in the log, not here: strangers read this."""
    with suppress(IndexError):
        missing, at = _looked[-1]
        if time.monotonic() - at < FRESH_SECONDS:
            return _said(missing)
    missing = _missing()
    _looked[:] = [(missing, time.monotonic())]
    return _said(missing)


def _said(missing: str) -> Response:
    return PlainTextResponse(f"{missing or 'ready'}\n", 503 if missing else 200)


def _missing() -> str:
    # What brings databases to a schema, and Redis' client below: only servers ask for this, and laptops save the memory.
    from app.migrate import require_schema

    for name, check in (("database", require_schema), ("broker", _broker)):
        try:
            check()
        except TunebookError as error:
            log.warning("not ready: %s: %s", name, error.message)
            return name
        except (SQLAlchemyError, OSError, kombu.exceptions.KombuError) as error:
            log.warning("not ready: %s: %s", name, error)
            return name
    return ""


def _broker() -> None:
    if not settings().broker_url:
        return
    from redis.exceptions import RedisError

    try:
        with producer().connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
    except RedisError as error:
        raise OSError(str(error)) from error
