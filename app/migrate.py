"""Brings the database to the newest schema. Called by `tunebook up`, `tunebook migrate` and the tests."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DatabaseError

from app.config import settings
from app.db import engine
from app.errors import Unavailable

ROOT = Path(__file__).resolve().parent.parent


def migrate() -> None:
    """Runs the missing migrations under a lock, so that processes starting together do it once.

    Raises Unavailable when the database cannot be opened, or was made by a newer Tunebook.
    """
    settings().folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _refuse_unreachable()
    with engine(True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(7231)"))
        config = alembic_config(connection)
        _refuse_newer(connection, ScriptDirectory.from_config(config))
        command.upgrade(config, "head")


def _refuse_unreachable() -> None:
    try:
        engine(True).connect().close()
    except DatabaseError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise Unavailable(
            f"The database cannot be opened: {reason}.",
            "Start it, or mend TUNEBOOK_DATABASE_URL; `tunebook doctor` looks at everything.",
        ) from error


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration bound to a connection."""
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["connection"] = connection
    return config


def _refuse_newer(connection: Connection, scripts: ScriptDirectory) -> None:
    known = {revision.revision for revision in scripts.walk_revisions()}
    found = set(MigrationContext.configure(connection).get_current_heads()) - known
    if found:
        raise Unavailable(
            f"The database was made by a newer Tunebook (schema {', '.join(sorted(found))}).",
            "Update Tunebook, or start it on another data folder with DATA=... .",
        )
