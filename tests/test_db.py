"""The engines of app/db.py on SQLite."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from app import db


def statistics(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'").fetchone():
            return []
        return connection.execute("SELECT tbl, idx FROM sqlite_stat1").fetchall()


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
def test_the_planners_statistics_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(db, "OPTIMIZE_SECONDS", seconds)
    path = tmp_path / "small.db"
    engine = db.make_engine(f"sqlite:///{path}", write=True)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE thing (id INTEGER PRIMARY KEY, kind TEXT)"))
        connection.execute(text("CREATE INDEX ix_thing_kind ON thing (kind)"))
        rows = [{"kind": str(number % 7)} for number in range(500)]
        connection.execute(text("INSERT INTO thing (kind) VALUES (:kind)"), rows)
    for _ in range(2):
        with engine.begin() as connection:
            connection.execute(text("SELECT id FROM thing WHERE kind = '3'")).all()
    engine.dispose()
    assert statistics(path) == ([("thing", "ix_thing_kind")] if seconds == 0 else [])


def test_a_writer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "OPTIMIZE_SECONDS", 0.0)
    path = tmp_path / "small.db"
    engine = db.make_engine(f"sqlite:///{path}", write=False)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE thing (id INTEGER PRIMARY KEY, kind TEXT UNIQUE)"))
        connection.execute(text("INSERT INTO thing (kind) VALUES ('a'), ('b')"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            with engine.connect() as connection:
                connection.execute(text("SELECT id FROM thing WHERE kind = 'a'")).all()
                assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 30_000
    engine.dispose()
