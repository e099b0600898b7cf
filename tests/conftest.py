"""What all tests share: a data folder of their own with a migrated database, and a signed-in client."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app import db, queue
from app.config import settings
from app.lab.actor import Actor, first_actor
from app.lab.sign_in import make_token
from app.migrate import migrate
from app.tables import TokenKind


def forget_settings() -> None:
    """Makes this process read its settings anew, with new connections."""
    db.dispose()
    settings.cache_clear()
    queue.producer.cache_clear()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database at the newest schema, made by the real migrations; copied for each test."""
    folder = tmp_path_factory.mktemp("migrated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNEBOOK_DATA", str(folder))
        forget_settings()
        migrate()
        forget_settings()
    # What still stands in the log beside the file would be missing from its copies.
    with closing(sqlite3.connect(folder / "tunebook.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder / "tunebook.db"


@pytest.fixture
def home(migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder of the test's own, with its database; TUNEBOOK_DATA names it."""
    shutil.copy(migrated, tmp_path / "tunebook.db")
    monkeypatch.setenv("TUNEBOOK_DATA", str(tmp_path))
    forget_settings()
    yield tmp_path
    forget_settings()


@pytest.fixture
def session(home: Path) -> Iterator[Session]:
    """A writing session; what a test wants other connections to see, it commits."""
    with db.new_session() as opened:
        yield opened


@pytest.fixture
def actor(session: Session) -> Actor:
    """The one admin."""
    found = first_actor(session)
    session.commit()
    return found


@pytest.fixture
def client(session: Session, actor: Actor) -> Iterator[TestClient]:
    """The whole application with an API token; errors come back as answers, as they do for users."""
    from app.main import create_app

    secret = make_token(session, actor, TokenKind.API, "tests")
    session.commit()
    headers = {"authorization": f"Bearer {secret}"}
    with TestClient(
        create_app(), base_url="http://localhost", headers=headers, raise_server_exceptions=False
    ) as opened:
        yield opened
