"""Makes a test process read its settings anew. Used by conftest and by tests that change settings."""

from functools import lru_cache
from typing import Any

from fastapi import FastAPI
from sqlalchemy import Engine

from app import db, queue
from app.config import settings
from app.log import set_up_logging
from app.settings import access


def forget_settings(close: bool = False) -> None:
    """Drops what was made from the old settings: engines, the queue's producer, the settings themselves."""
    if close:
        for write in (True, False):
            db.engine(write).dispose()
    db.dispose()
    settings.cache_clear()
    queue.producer.cache_clear()
    queue.refusal.cache_clear()
    access._written.cache_clear()


def application() -> FastAPI:
    """The whole application, made once for each test process: it keeps nothing of a test but what the settings say."""
    made = _application()
    # Where log lines go changes with each test.
    set_up_logging()
    return made


@lru_cache
def _application() -> FastAPI:
    from app.main import create_app

    return create_app()


def share_compiled() -> None:
    """Engines of one kind share their dialect and the statements it compiled. A statement is compiled once for each
    engine, and each test has engines of its own: without this a third of the time goes into compiling."""
    make_engine = db.make_engine
    first: dict[tuple[str, bool], Engine] = {}
    compiled: dict[Any, Any] = {}

    def make(url: str, write: bool) -> Engine:
        made = make_engine(url, write)
        kind = (made.dialect.name, write)
        # A dialect that was never connected knows no version.
        if kind in first and first[kind].dialect.server_version_info:
            made.dialect = first[kind].dialect
        else:
            first[kind] = made
        made.update_execution_options(compiled_cache=compiled)
        return made

    db.make_engine = make
