"""Logging: one line an event on standard error, control characters escaped so that no input can forge lines."""

import logging
import sys

from app.config import settings

log = logging.getLogger("tunebook")


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        first, newline, rest = text.partition("\n") if record.exc_info else (text, "", "")
        return first.replace("\r", "\\r").replace("\n", "\\n").replace("\x1b", "\\x1b") + newline + rest


def set_up_logging() -> None:
    """Called once by each process at its start."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    log.handlers[:] = [handler]
    log.setLevel(settings().log_level.upper())
    log.propagate = False
