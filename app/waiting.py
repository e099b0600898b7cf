"""Whether messages wait in the queue of files, so that another worker is worth its memory. Called by app/up.py; apart
from app/file_queue.py, which is all of Celery's.
"""

import os
from contextlib import suppress

from app.config import settings


class Waiting:
    """Says True while at least `most` messages have waited since it was asked last, a fifth of a second ago."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.before: set[str] = set()

    def __call__(self) -> bool:
        now: set[str] = set()
        with suppress(FileNotFoundError):
            now = {
                name for name in os.listdir(settings().folder / "queue" / "messages") if name.endswith(".msg")
            }
        waiting, self.before = now & self.before, now
        return len(waiting) >= self.most
