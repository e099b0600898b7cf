"""All rows of a database as plain values, the same from SQLite and PostgreSQL. Called by backup, restore and move.

Tables are read from the database itself, not from the code, so that rows of an older schema can be handled too.
"""

import base64
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    DateTime,
    LargeBinary,
    MetaData,
    Table,
    Text,
    cast,
    func,
    insert,
    select,
)

from app.errors import Invalid

SCHEMA_TABLE = "alembic_version"
BATCH = 1000
KINDS = (("time", DateTime), ("json", JSON), ("bytes", LargeBinary), ("yes-no", Boolean))


def tables_of(connection: Connection) -> dict[str, Table]:
    """The tables by name as the database has them, without Alembic's own."""
    metadata = MetaData()
    metadata.reflect(connection)
    return {name: table for name, table in sorted(metadata.tables.items()) if name != SCHEMA_TABLE}


def kind_of(column: Column[Any]) -> str:
    """ "time", "json", "bytes", "yes-no", or "plain" for numbers and text."""
    return next((name for name, kind in KINDS if isinstance(column.type, kind)), "plain")


def read_rows(connection: Connection, table: Table) -> Iterator[list[Any]]:
    """Rows in the order of the primary key, as values for JSON: times as UTC without a zone, bytes in base64, JSON
    as the very text that is stored."""
    chosen = [cast(each, Text) if kind_of(each) == "json" else each for each in table.columns]
    asked = select(*chosen).order_by(*table.primary_key.columns).execution_options(yield_per=BATCH)
    for row in connection.execute(asked):
        yield [_plain(value) for value in row]


def write_rows(connection: Connection, table: Table, names: list[str], rows: Iterable[list[Any]]) -> int:
    """Puts rows in as `read_rows` gave them, `names` being their columns; gives their number. Raises Invalid when
    the table has other columns."""
    if set(names) != set(table.columns.keys()):
        other = sorted(set(names) ^ set(table.columns.keys()))
        raise Invalid(
            f"The table {table.name} has other columns here: {', '.join(other)}.",
            "Use the Tunebook that the rows were written by.",
        )
    kinds = [kind_of(table.columns[name]) for name in names]
    values = ([_stored(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in rows)
    if connection.dialect.name == "postgresql":
        return _copy_in(connection, table, names, values)
    written = 0
    # JSON goes in as the text that it is.
    for name, kind in zip(names, kinds, strict=True):
        if kind == "json":
            table.columns[name].type = Text()
    while batch := [dict(zip(names, row, strict=True)) for row in islice(values, BATCH)]:
        connection.execute(insert(table), batch)
        written += len(batch)
    return written


def _copy_in(connection: Connection, table: Table, names: list[str], values: Iterable[list[Any]]) -> int:
    quote = connection.dialect.identifier_preparer.quote
    columns = ", ".join(quote(name) for name in names)
    written = 0
    cursor: Any = connection.connection.cursor()
    with cursor, cursor.copy(f"COPY {quote(table.name)} ({columns}) FROM STDIN") as copy:
        for row in values:
            copy.write_row([each.replace(tzinfo=UTC) if isinstance(each, datetime) else each for each in row])
            written += 1
    return written


def count_rows(connection: Connection, tables: Iterable[Table]) -> dict[str, int]:
    """How many rows each table has."""
    return {
        each.name: connection.execute(select(func.count()).select_from(each)).scalar_one() for each in tables
    }


@contextmanager
def filling(connection: Connection, tables: Iterable[Table]) -> Iterator[None]:
    """Tables are emptied, and may be filled in any order: foreign keys are checked at the end, where PostgreSQL's
    counters of ids are set too. All in the caller's transaction."""
    quote = connection.dialect.identifier_preparer.quote
    tables = list(tables)
    keys: Sequence[Any] = []
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
    else:
        keys = connection.exec_driver_sql(
            "SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE contype = 'f' AND connamespace = current_schema()::regnamespace"
        ).all()
    for table, key, _ in keys:
        connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {key}")
    for each in tables:
        connection.execute(each.delete())
    yield
    for table, key, definition in keys:
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD CONSTRAINT {key} {definition}")
    if connection.dialect.name == "postgresql":
        for each in tables:
            if "id" in each.columns:
                name = quote(each.name)
                connection.exec_driver_sql(
                    f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), max(id)) FROM {name} HAVING max(id) > 0"
                )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).replace(tzinfo=None).isoformat(" ")
    return base64.b64encode(value).decode() if isinstance(value, bytes | memoryview) else value


def _stored(value: Any, kind: str) -> Any:
    if value is None or kind not in ("time", "bytes"):
        return value
    return datetime.fromisoformat(value) if kind == "time" else base64.b64decode(value)
