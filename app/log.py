"""Logging: one line an event on standard error, control characters escaped so that no input can forge lines, and no
secret that this process has held.
"""

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from app.config import settings

log = logging.getLogger("tunebook")
# Every key that this process has sealed, unsealed or read from the environment. Shorter ones could be words.
SHORTEST = 8
_secrets: set[str] = set()
# What ends a line or moves a terminal's cursor: C0 and C1 controls, Unicode's line ends and changes of direction.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
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
        if not record.exc_info:
            return _escaped(text)
        # A traceback's lines are set in, also those that an error's own words make.
        told = hidden(self.formatException(record.exc_info))
        first = text.removesuffix(told).rstrip("\n")
        return "\n    ".join((_escaped(first), *map(_escaped, told.split("\n"))))


def _escaped(line: str) -> str:
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), line)


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
        return CONTROL.sub(
            lambda found: f"\\u{ord(found[0]):04x}", hidden(json.dumps(told, ensure_ascii=False))
        )


@contextmanager
def telling(**what: str | int) -> Iterator[None]:
    """Adds fields, such as run=12 or request="...", to every JSON log line of this block."""
    before = about.set({**about.get(), **what})
    try:
        yield
    finally:
        about.reset(before)


def _known_secrets() -> Iterator[str]:
    """The settings that are secrets, and the passwords in those that are addresses."""
    for name, field in type(settings()).model_fields.items():
        value = getattr(settings(), name)
        if not isinstance(value, str) or not value:
            continue
        password = urlsplit(value).password if "://" in value else ""
        if password:
            yield password
            yield unquote(password)
        elif field.repr is False:
            yield value


def set_up_logging() -> None:
    """Called once by each process at its start."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Json()
        if settings().log_format == "json"
        else _OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")
    )
    for secret in _known_secrets():
        hide(secret)
    log.handlers[:] = [handler]
    log.setLevel(settings().log_level.upper())
    log.propagate = False
