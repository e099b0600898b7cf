"""Logging: one line an event on standard error, control characters escaped so that no input can forge lines, and no
secret that this process has held.
"""

import logging
import sys

from app.config import settings

log = logging.getLogger("tunebook")
# Every key that this process has sealed, unsealed or read from the environment. Shorter ones could be words.
SHORTEST = 8
_secrets: set[str] = set()


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


def set_up_logging() -> None:
    """Called once by each process at its start."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    log.handlers[:] = [handler]
    log.setLevel(settings().log_level.upper())
    log.propagate = False
