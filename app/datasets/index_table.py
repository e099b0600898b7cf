"""Writes the index of a dataset into the database and reads it raw. Called by check_file.py."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from sqlalchemy import bindparam, delete, func
from sqlmodel import Session, col, select

from app.datasets.index import Columns
from app.datasets.items import UNUSED
from app.db import is_sqlite
from app.tables import Item, Split

LINES_NAMED = 10
_COLUMNS = ", ".join(f'"{name}"' for name in (*Columns._fields, "occurrence", "dataset_id"))
_COPY = f"COPY item ({_COLUMNS}) FROM STDIN"
# A statement for many rows takes two thirds of the time of single ones; SQLite takes at most 32,766 parameters.
ROWS_AT_ONCE = 500


def clear_index(session: Session, dataset_id: int) -> None:
    """Removes what an earlier check wrote, so that a check can be repeated."""
    session.execute(delete(Split).where(col(Split.dataset_id) == dataset_id))
    session.execute(delete(Item).where(col(Item.dataset_id) == dataset_id))


def insert_items(session: Session, dataset_id: int, batches: list[Columns]) -> None:
    """Stores batches of index rows by the database's own quick way."""
    connection: Any = session.connection().connection
    cursor = connection.cursor()
    rows = chain.from_iterable(zip(*batch, strict=True) for batch in batches)
    if is_sqlite(session):
        one = f"({'?, ' * len(Columns._fields)}1, {dataset_id:d})"
        insert = f"INSERT INTO item ({_COLUMNS}) VALUES "
        many = insert + ", ".join([one] * ROWS_AT_ONCE)
        while len(some := list(islice(rows, ROWS_AT_ONCE))) == ROWS_AT_ONCE:
            cursor.execute(many, list(chain.from_iterable(some)))
        # Always the same two statements, as preparing a long one takes a millisecond.
        cursor.executemany(insert + one, some)
    else:
        with cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row((*row, 1, dataset_id))
    cursor.close()


def store_twins(session: Session, dataset_id: int, twins: Any) -> None:
    """Writes for items that share a prompt the first of them, and which occurrence of the very prompt each is.

    `twins` are in the order of their numbers, so that few pages of the table are touched at a time.
    """
    mark = "?" if is_sqlite(session) else "%s"
    statement = (
        f"UPDATE item SET same_as = {mark}, occurrence = {mark} "
        f"WHERE dataset_id = {dataset_id:d} AND number = {mark}"
    )
    columns = [twins[name].tolist() for name in ("first", "occurrence", "number")]
    connection: Any = session.connection().connection
    cursor = connection.cursor()
    cursor.executemany(statement, zip(*columns, strict=True))
    cursor.close()


_FOUND = {
    "long-answer": col(Item.answer_characters) > bindparam("limit"),
    "some-without-split": col(Item.file_part) == UNUSED,
    "some-without-rejected": col(Item.rejected).is_(False),
}


def found_lines(session: Session, dataset_id: int, code: str, limit: int = 0) -> tuple[int, list[int]]:
    """(how many items have the oddity `code`, the lines of the first few); `limit` is for long answers."""
    values = {"limit": limit} if code == "long-answer" else {}
    where = (col(Item.dataset_id) == dataset_id, _FOUND[code])
    count = session.execute(select(func.count()).select_from(Item).where(*where), values).scalar_one()
    lines = select(Item.line).where(*where).order_by(col(Item.number)).limit(LINES_NAMED)
    return count, list(session.execute(lines, values).scalars()) if count else []


def lines_of(session: Session, dataset_id: int, numbers: list[int]) -> list[int]:
    """The lines of a few items, in order."""
    query = select(Item.line).where(Item.dataset_id == dataset_id, col(Item.number).in_(numbers))
    return sorted(session.exec(query))


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
