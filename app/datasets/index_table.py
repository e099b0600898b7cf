"""Writes the index of a dataset into the database, and finds duplicates there by its keys. Called by check_file.py."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from sqlalchemy import delete, text
from sqlmodel import Session, col

from app.datasets.index import Columns
from app.db import is_sqlite
from app.tables import Item, Split

LINES_NAMED = 10
_COLUMNS = ", ".join(f'"{name}"' for name in (*Columns._fields, "occurrence", "dataset_id"))
_COPY = f"COPY item ({_COLUMNS}) FROM STDIN"
# One statement for many rows takes two thirds of the time; SQLite takes at most 32,766 parameters.
ROWS_AT_ONCE = 2_000


def clear_index(session: Session, dataset_id: int) -> None:
    """Removes what an earlier check wrote, so that a check can be repeated."""
    session.execute(delete(Split).where(col(Split.dataset_id) == dataset_id))
    session.execute(delete(Item).where(col(Item.dataset_id) == dataset_id))


def insert_items(session: Session, dataset_id: int, batches: list[Columns]) -> None:
    """Stores batches of index rows by the database's own quick way."""
    connection: Any = session.connection().connection
    cursor = connection.cursor()
    columns = [list(chain.from_iterable(column)) for column in zip(*batches, strict=True)]
    if is_sqlite(session):
        _insert(cursor, dataset_id, columns)
    else:
        with cursor.copy(_COPY) as copy:
            for row in zip(*columns, strict=True):
                copy.write_row((*row, 1, dataset_id))
    cursor.close()


def _insert(cursor: Any, dataset_id: int, columns: list[list[Any]]) -> None:
    one = f"({'?, ' * len(columns)}1, {dataset_id:d})"
    for start in range(0, len(columns[0]), ROWS_AT_ONCE):
        rows = list(zip(*(column[start : start + ROWS_AT_ONCE] for column in columns), strict=True))
        statement = f"INSERT INTO item ({_COLUMNS}) VALUES {', '.join([one] * len(rows))}"
        cursor.execute(statement, list(chain.from_iterable(rows)))


# Items that share a prompt (but for case and blanks) get the number of the first of them; items with the very
# same prompt are counted 1, 2, ... Items with a prompt of their own are not touched.
_MARK = text("""
    UPDATE item SET same_as = twin.first, occurrence = twin.occurrence
    FROM (
        SELECT number, min(number) OVER (PARTITION BY normalised_key) AS first,
               row_number() OVER (PARTITION BY content_key ORDER BY number) AS occurrence
        FROM item WHERE dataset_id = :dataset AND normalised_key IN (
            SELECT normalised_key FROM item WHERE dataset_id = :dataset
            GROUP BY normalised_key HAVING count(*) > 1)
    ) AS twin
    WHERE item.dataset_id = :dataset AND item.number = twin.number
""")

_FOUND = {
    "duplicate": """
        SELECT line FROM (
            SELECT line, row_number() OVER (PARTITION BY content_key, answer_key ORDER BY number) AS place
            FROM item WHERE dataset_id = :dataset AND same_as IS NOT NULL) AS twin
        WHERE place > 1""",
    "contradiction": """
        SELECT line FROM item
        WHERE dataset_id = :dataset AND same_as IS NOT NULL AND content_key IN (
            SELECT content_key FROM item WHERE dataset_id = :dataset AND same_as IS NOT NULL
            GROUP BY content_key HAVING min(answer_key) <> max(answer_key))""",
    "long-answer": "SELECT line FROM item WHERE dataset_id = :dataset AND answer_characters > :limit",
    "some-without-split": "SELECT line FROM item WHERE dataset_id = :dataset AND file_part = 3",
}


def mark_twins(session: Session, dataset_id: int) -> int:
    """Marks items that share their prompt with others; returns how many there are."""
    return session.execute(_MARK, {"dataset": dataset_id}).rowcount  # type: ignore[attr-defined]


def found_lines(session: Session, dataset_id: int, code: str, limit: int = 0) -> tuple[int, list[int]]:
    """(how many items have the oddity `code`, the lines of the first few); `limit` is for long answers."""
    query, values = _FOUND[code], {"dataset": dataset_id, "limit": limit}
    if "limit" not in query:
        del values["limit"]
    count = session.execute(text(f"SELECT count(*) FROM ({query}) AS found"), values).scalar_one()
    if not count:
        return 0, []
    lines = session.execute(text(f"{query} ORDER BY line LIMIT {LINES_NAMED}"), values)
    return count, [row[0] for row in lines]


def raw_rows(session: Session, dataset_id: int, columns: str, where: str = "") -> Iterator[Any]:
    """Some columns of all items in their order, by the driver's own cursor: four times as fast as an ORM row.

    `columns` and `where` are SQL of ours, never of a user.
    """
    query = f"SELECT {columns} FROM item WHERE dataset_id = {dataset_id:d} {where} ORDER BY number"
    connection: Any = session.connection().connection
    if is_sqlite(session):
        cursor = connection.cursor()
        yield from cursor.execute(query)
    else:
        # A named cursor stays on the server and sends the rows in pieces.
        cursor = connection.cursor(name="items")
        cursor.itersize = 10_000
        yield from cursor.execute(query)
    cursor.close()
