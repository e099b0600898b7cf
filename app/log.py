"""Logging: one line an event on standard error, control characters escaped so that no input can forge lines, and no
secret that this process has held.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType

from app.config import settings

log = logging.getLogger("tunebook")
# Every key that this process has sealed, unsealed or read from the environment. Shorter ones could be words.
SHORTEST = 8
_secrets: set[str] = set()
# What the lines of a request or a task are about.
about: ContextVar[Mapping[str, str | int]] = ContextVar("about", default=MappingProxyType({}))


def hide(secret: str) -> None:
    """From now on `hidden` and all log lines, tracebacks too, leave this out."""
    if len(secret) >= SHORTEST:
        _secrets.add(secret)


def hidden(text: str) -> str:
    """The text without any secret, whoever put it there."""
    for secret in tuple(_secrets):
        text = text.replace(secret, "[key]")
    return text


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = hidden(super().format(record))
        first, newline, rest = text.partition("\n") if record.exc_info else (text, "", "")
        return first.replace("\r", "\\r").replace("\n", "\\n").replace("\x1b", "\\x1b") + newline + rest


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **about.get(),
        }
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return hidden(json.dumps(told, ensure_ascii=False))


@contextmanager
def telling(**what: str | int) -> Iterator[None]:
    """Adds fields, such as run=12 or request="...", to every JSON log line of this block."""
    before = about.set({**about.get(), **what})
    try:
        yield
    finally:
        about.reset(before)


def set_up_logging() -> None:
    """Called once by each process at its start."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Json()
        if settings().log_format == "json"
        else _OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")
    )
    for secret in (settings().database_password, settings().broker_password, settings().metrics_token):
        hide(secret)
    log.handlers[:] = [handler]
    log.setLevel(settings().log_level.upper())
    log.propagate = False
