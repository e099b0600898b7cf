"""A database of another schema than the code's: each command that would use it refuses with words, and changes nothing."""

import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app import db
from app.__main__ import tunebook
from app.errors import Unavailable
from app.migrate import migrate, newest_schemas
from tests.backup.test_backup import all_rows


@pytest.mark.parametrize(
    ("schema", "words"), [("9999", "newer Tunebook .*9999"), ("0005", "has schema 0005")]
)
def test_web_worker_and_clock_refuse(
    home: Path, monkeypatch: pytest.MonkeyPatch, schema: str, words: str
) -> None:
    def begun(*_: Any) -> None:
        raise AssertionError("it went on")

    monkeypatch.setattr(os, "execv", begun)
    monkeypatch.setattr("app.serve.serve", begun)
    with db.engine(True).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :schema"), {"schema": schema})
    before = all_rows()
    for command in ("web", "worker", "clock"):
        with pytest.raises(Unavailable, match=words):
            tunebook([command], standalone_mode=False)
    if schema == "9999":
        with pytest.raises(Unavailable, match=words):
            migrate()
    assert all_rows() == before
    with db.engine(True).begin() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == schema
        # The database is shared by tests.
        newest = {"schema": min(newest_schemas())}
        connection.execute(text("UPDATE alembic_version SET version_num = :schema"), newest)
