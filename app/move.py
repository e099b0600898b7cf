"""`tunebook move`: all rows into another, empty database, of the other kind or the same. Called by app/backup_commands.py."""

from sqlalchemy import Connection

from app.backup import snapshot
from app.config import database_address, settings
from app.database_rows import count_rows, filling, read_rows, tables_of, write_rows
from app.db import make_engine
from app.errors import Conflict, Invalid
from app.migrate import migrate, reachable
from app.up import make_folder, only_one


def move(url: str) -> dict[str, int]:
    """Copies the database of the settings to `url` and gives the rows of each table, counted on both sides. The
    source stays as it is, and files stay where they are.

    Raises Conflict when Tunebook runs or the target has rows, Unavailable when one of them cannot be opened.
    """
    address = database_address(url)
    if address == settings().database:
        raise Invalid("This is the database that is in use already.", "Name another one.")
    with only_one(make_folder()):
        migrate()
        target = make_engine(address, True)
        try:
            reachable(target)
            migrate(target)
            with snapshot() as source, target.begin() as connection:
                return _copy(source, connection)
        finally:
            target.dispose()


def _copy(source: Connection, target: Connection) -> dict[str, int]:
    theirs, ours = tables_of(target), tables_of(source)
    filled = [name for name, rows in count_rows(target, theirs.values()).items() if rows]
    if filled:
        raise Conflict(
            f"The target is not empty: there are rows in {', '.join(filled[:5])}.", "Name an empty database."
        )
    with filling(target, theirs.values()):
        for name, table in ours.items():
            write_rows(target, theirs[name], table.columns.keys(), read_rows(source, table))
    expected, counted = count_rows(source, ours.values()), count_rows(target, theirs.values())
    if expected != counted:
        wrong = sorted(name for name, rows in expected.items() if counted.get(name) != rows)
        raise Invalid(
            f"Not all rows of {', '.join(wrong)} came over; nothing was kept.", "Try again; report it."
        )
    return counted
