"""Database engines and sessions. SQLite gets WAL, foreign keys and BEGIN IMMEDIATE for writers; PostgreSQL
is used as it is. Sessions come from the web dependency and from workers/task.py, which alone commit.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlmodel import Session

from app.config import settings

# So often a connection looks whether the query planner's statistics of what it asked are out of date.
OPTIMIZE_SECONDS = 3600.0
# SQLite reads at most so many rows of an index for them: milliseconds, whatever the table's size.
ANALYSIS_ROWS = 400


def make_engine(url: str, write: bool) -> Engine:
    """An engine for `url`; on SQLite a writing engine takes the write lock when a transaction begins,
    so that read-modify-write transactions of several processes cannot lose updates."""
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=20)
    # The connection used last comes first: each has a cache of its own, and few stay in use.
    arguments = {"timeout": 30, "check_same_thread": False}
    # No limit: a request that waits for a connection would keep the thread that another needs to give one back.
    engine = create_engine(url, connect_args=arguments, pool_use_lifo=True, max_overflow=-1)

    @event.listens_for(engine, "connect")
    def _set_pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "busy_timeout=30000",
            "foreign_keys=ON",
            "cache_size=-4000",
            "temp_store=FILE",
            f"analysis_limit={ANALYSIS_ROWS}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "checkin")
    def _optimize(connection: Any, record: Any) -> None:
        due = record.info.setdefault("optimize", time.monotonic() + OPTIMIZE_SECONDS)
        if connection is None or time.monotonic() < due:
            return
        record.info["optimize"] = time.monotonic() + OPTIMIZE_SECONDS
        # On the connection that asked the queries, which is how SQLite knows what statistics they lack.
        connection.execute("PRAGMA busy_timeout=0")
        # Somebody writes just now: an hour later will do.
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA optimize")
        connection.execute("PRAGMA busy_timeout=30000")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


@lru_cache
def engine(write: bool = True) -> Engine:
    """The engine of this process. On PostgreSQL readers and writers share one."""
    settings().folder.mkdir(parents=True, exist_ok=True)
    url = settings().database
    return make_engine(url, write) if write or url.startswith("sqlite") else engine(True)


def new_session(write: bool = True) -> Session:
    """A session that the caller closes; objects stay readable after a commit."""
    return Session(engine(write), expire_on_commit=False)


@contextmanager
def session_scope(write: bool = True) -> Iterator[Session]:
    """A session that commits at the end and rolls back on any error: for workers and the command line."""
    with new_session(write) as session:
        try:
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise


def sync_to_disk() -> None:
    """Makes what was committed outlast a power cut: SQLite syncs its log only now and then (synchronous=NORMAL), and
    that is not enough before money is spent. PostgreSQL syncs each commit."""
    url = settings().database
    if not url.startswith("sqlite:///"):
        return
    with suppress(FileNotFoundError):
        descriptor = os.open(f"{url.removeprefix('sqlite:///')}-wal", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def dispose() -> None:
    """Closes all connections (after a fork, and in tests that change the settings)."""
    for write in (True, False):
        engine(write).dispose(close=False)
    engine.cache_clear()


def is_sqlite(session: Session) -> bool:
    """Whether this session talks to SQLite."""
    return session.get_bind().dialect.name == "sqlite"


def clean(text: str | None) -> str | None:
    """Text that every database stores: without NUL and lone surrogates."""
    if text is None:
        return None
    return text.replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()
