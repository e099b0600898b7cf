"""Brings the database to the newest schema. Called by `tunebook up`, `tunebook migrate` and the tests."""

import os
import sqlite3
from contextlib import closing
from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DatabaseError

from app.config import settings
from app.db import engine
from app.errors import Unavailable

ROOT = Path(__file__).resolve().parent.parent
# Copies of the SQLite file from before a migration; older ones are removed.
COPIES = 3


def migrate(on: Engine | None = None) -> None:
    """Runs the missing migrations in one transaction, under a lock, so that processes starting together do it once
    and whoever is killed has done nothing. `on`: another database than that of the settings.

    Raises Unavailable when the database cannot be opened, or was made by a newer Tunebook.
    """
    settings().folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    reachable(on)
    with (on or engine(True)).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(7231)"))
        config = alembic_config(connection)
        have = _heads(connection)
        _refuse_newer(have)
        if have and have != newest_schemas() and connection.dialect.name == "sqlite":
            _keep_copy(Path(str(connection.engine.url.database)), "-".join(sorted(have)))
        command.upgrade(config, "head")


def require_schema() -> None:
    """For web, workers and clock that are started alone: raises Unavailable when the database is newer or older than
    this code."""
    reachable()
    with engine(False).connect() as connection:
        have = _heads(connection)
    _refuse_newer(have)
    if have != newest_schemas():
        raise Unavailable(
            f"The database has schema {', '.join(sorted(have)) or 'none'}; this Tunebook needs "
            f"{', '.join(sorted(newest_schemas()))}.",
            "Run `tunebook migrate` first.",
        )


def reachable(on: Engine | None = None) -> None:
    """Raises Unavailable when the database cannot be opened."""
    try:
        (on or engine(True)).connect().close()
    except DatabaseError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise Unavailable(
            f"The database cannot be opened: {reason}.",
            "Start it, or mend TUNEBOOK_DATABASE_URL; `tunebook doctor` looks at everything.",
        ) from error


def _keep_copy(database: Path, schema: str) -> None:
    """The file as it was, beside the others in backups/. The caller's lock keeps writers away meanwhile."""
    folder = settings().folder / "backups"
    final = folder / f"schema-{schema}.db"
    part = final.with_suffix(".part")
    try:
        folder.mkdir(exist_ok=True, mode=0o700)
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
        os.replace(part, final)
    except (OSError, sqlite3.Error) as error:
        part.unlink(missing_ok=True)
        raise Unavailable(
            f"The database is not migrated: no copy of it could be made in {folder} ({error}).",
            "Make room there for a file as large as tunebook.db, then start again.",
        ) from error
    for old in sorted(folder.glob("schema-*.db"), key=lambda each: each.stat().st_mtime)[:-COPIES]:
        old.unlink(missing_ok=True)


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration bound to a connection."""
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["connection"] = connection
    return config


@lru_cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(ROOT / "migrations"))


def known_schemas() -> set[str]:
    """The revisions that this code knows."""
    return {revision.revision for revision in _scripts().walk_revisions()}


def newest_schemas() -> set[str]:
    """The one that it needs."""
    return set(_scripts().get_heads())


def _heads(connection: Connection) -> set[str]:
    return set(MigrationContext.configure(connection).get_current_heads())


def _refuse_newer(have: set[str]) -> None:
    found = have - known_schemas()
    if found:
        raise Unavailable(
            f"The database was made by a newer Tunebook (schema {', '.join(sorted(found))}).",
            "Update Tunebook, or start it on another data folder with DATA=... .",
        )
