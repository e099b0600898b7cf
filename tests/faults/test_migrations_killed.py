"""Migrations killed at each statement: the next start reaches the newest schema with the same rows.

Children of this process run the migrations and kill themselves (kill -9) before their n-th statement, so that no
time goes into starting Python. The rows are put in at the oldest schema.
"""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from sqlalchemy import JSON as SqlJson
from sqlalchemy import Boolean, DateTime, Engine, Float, Integer, LargeBinary, event, insert, text

from app.clock import now
from app.database_rows import read_rows, tables_of
from app.db import make_engine
from app.migrate import alembic_config, migrate

OLDEST = "0001"


def at_oldest(engine: Engine) -> None:
    """The first schema with one row in every table, all pointing at row 1."""
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), OLDEST)
        tables = tables_of(connection)
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        else:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for table in tables.values():
            connection.execute(table.delete())
            connection.execute(insert(table), {column.name: value(column) for column in table.columns})


def value(column: Any) -> Any:
    """Something that fits the column; 1 for ids and what points at them."""
    kinds = {
        Boolean: True,
        DateTime: now().replace(tzinfo=None),
        Integer: 1,
        Float: 0.1 + 0.2,
        SqlJson: {"b": 1, "a": 2},
    }
    kinds[LargeBinary] = b"\0\1"
    found = next((each for kind, each in kinds.items() if isinstance(column.type, kind)), None)
    return f"{column.name[:8]}" if found is None else found


def rows_of(engine: Engine) -> dict[str, list[str]]:
    """All rows as text, with the schema."""
    with engine.connect() as connection:
        rows = {
            name: [json.dumps(row) for row in read_rows(connection, each)]
            for name, each in tables_of(connection).items()
        }
        rows["schema"] = list(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())
    return rows


def kill_at(engine: Engine, number: int) -> int:
    """Migrates in a child that ends itself before its statement of that number, if there is one; gives how the child
    ended. Each time in a child, since what Alembic loads for a migration stays with the process."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    seen, code = 0, 1

    def count(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            os.kill(os.getpid(), 9)

    try:
        fresh = make_engine(engine.url.render_as_string(hide_password=False), True)
        event.listen(fresh, "before_cursor_execute", count)
        migrate(fresh)
        code = 0
    finally:
        # Not what pytest would do at its end.
        os._exit(code)


def statements(engine: Engine) -> int:
    """Migrates and counts what it takes."""
    seen: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _u, statement, *_: seen.append(statement))
    migrate(engine)
    return len(seen)


def each_statement_on_sqlite(home: Path, step: int) -> int:
    begin = home / "begin.db"
    first = make_engine(f"sqlite:///{begin}", True)
    at_oldest(first)
    first.dispose()
    with closing(sqlite3.connect(begin)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = begin.read_bytes()
    whole = make_engine(f"sqlite:///{shutil.copy(begin, home / 'whole.db')}", True)
    count, expected = statements(whole), rows_of(whole)
    whole.dispose()
    killed = 0
    for number in range(1, count + 1, step):
        for left in home.glob("one.db*"):
            left.unlink()
        one = make_engine(f"sqlite:///{shutil.copy(begin, home / 'one.db')}", True)
        assert kill_at(one, number) == 9, number
        killed += 1
        assert kill_at(one, 0) == 0, number
        assert rows_of(one) == expected, number
        with one.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        one.dispose()
    # The copy from before a migration is the database as it was.
    copy = make_engine(f"sqlite:///{home / 'backups' / f'schema-{OLDEST}.db'}", False)
    original = make_engine(f"sqlite:///{begin}", False)
    assert rows_of(copy) == rows_of(original)
    copy.dispose()
    original.dispose()
    assert (home / "backups").stat().st_mode & 0o077 == 0
    assert begin.read_bytes()[:16] == before[:16]
    return killed


@pytest.mark.laptop
def test_some_statements_on_sqlite(home: Path) -> None:
    assert each_statement_on_sqlite(home, 200) >= 2


@pytest.mark.slow
def test_each_statement_on_sqlite(home: Path) -> None:
    print(f"{each_statement_on_sqlite(home, 1)} kills on SQLite")


def each_statement_on_postgres(postgres: Any, step: int) -> int:
    address = postgres.address.replace("postgresql://", "postgresql+psycopg://", 1)

    def database(name: str, template: str = "template0") -> Engine:
        with psycopg.connect(postgres.server.get_uri(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return make_engine(address.replace("/tests", f"/{name}", 1), True)

    begin = database("begin_of_all")
    at_oldest(begin)
    begin.dispose()
    whole = database("whole", "begin_of_all")
    count, expected = statements(whole), rows_of(whole)
    whole.dispose()
    killed = 0
    for number in range(1, count + 1, step):
        one = database("one", "begin_of_all")
        assert kill_at(one, number) == 9, number
        killed += 1
        assert kill_at(one, 0) == 0, number
        assert rows_of(one) == expected, number
        one.dispose()
    return killed


@pytest.mark.slow
def test_some_statements_on_postgres(home: Path, postgres: Any) -> None:
    print(f"{each_statement_on_postgres(postgres, 50)} kills on PostgreSQL")


@pytest.mark.slow
def test_each_statement_on_postgres(home: Path, postgres: Any) -> None:
    print(f"{each_statement_on_postgres(postgres, 1)} kills on PostgreSQL")
