"""Whether anything was written to the database since somebody last looked: SQLite says so in microseconds. Used by
entry.py to keep what it has read until then.
"""

import sqlite3
from functools import lru_cache
from pathlib import Path

from app.config import settings


def seen() -> int | None:
    """A number that changes with every commit of any process; None where the database has none (PostgreSQL), or does not
    say it at once."""
    try:
        connection = _connection(settings().data, settings().database_url)
        if connection is None:
            return None
        return int(connection.execute("PRAGMA data_version").fetchone()[0])
    except sqlite3.OperationalError:
        return None


@lru_cache(maxsize=4)
def _connection(_data: Path, database_url: str) -> sqlite3.Connection | None:
    """A connection that only ever looks: what is written by it would not be told."""
    if database_url:
        return None
    path = settings().folder / "tunebook.db"
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=ro", uri=True, timeout=0.02, isolation_level=None, check_same_thread=False
    )
    # Else it would hold a share of memory for nothing.
    connection.execute("PRAGMA cache_size=-64")
    return connection
