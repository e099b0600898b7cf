"""What all tests share: a data folder of their own with a migrated database on two shapes, and a signed-in client."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app import db
from app.config import Settings
from app.lab.actor import Actor, first_actor
from app.lab.sign_in import make_token
from app.migrate import migrate
from app.tables import TokenKind
from tests.fresh import application, forget_settings, share_compiled

for name in [name for name in os.environ if name.startswith("TUNEBOOK_")]:
    # The settings of whoever runs the tests are theirs. The one that stays is no setting: it tells tests/providers
    # where the services' published descriptions lie.
    if name != "TUNEBOOK_API_DESCRIPTIONS":
        del os.environ[name]
Settings.model_config["env_file"] = None
share_compiled()

SHAPES = ("laptop", "server")
# Tests of these kinds run on SQLite and files alone: they are slow, and what they try lies elsewhere.
ONCE = ("laptop", "slow", "train", "browser")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What touches the database or the queue runs twice: on SQLite and files, on PostgreSQL and Redis."""
    if "shape" not in metafunc.fixturenames:
        return
    if metafunc.definition.get_closest_marker("slow_on_server"):
        shapes: tuple[Any, ...] = (SHAPES[0], pytest.param(SHAPES[1], marks=pytest.mark.slow))
    else:
        once = any(metafunc.definition.get_closest_marker(name) for name in ONCE)
        shapes = SHAPES[:1] if once else SHAPES
    metafunc.parametrize("shape", shapes, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without PyTorch or a browser the tests that need them are skipped, and the summary says so."""
    lacking = {}
    if find_spec("torch") is None:
        lacking["train"] = "PyTorch is not installed (TRAIN=0)"
    if not has_browser():
        lacking["browser"] = "no Chromium on this machine"
    for item in items:
        for mark, reason in lacking.items():
            if item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Skipped kinds of tests in words, so that nobody takes them for passed."""
    reasons = {report.longrepr[2] for report in terminalreporter.stats.get("skipped", [])}
    for reason in sorted(reasons):
        terminalreporter.write_line(f"*** SKIPPED: {reason.removeprefix('Skipped: ')} ***", yellow=True)


def has_browser() -> bool:
    """Whether Chromium, Chrome or playwright's own Chromium is there."""
    if any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        return True
    own = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    return any(own.glob("chromium*"))


@pytest.fixture
def shape(request: pytest.FixtureRequest) -> str:
    """ "laptop" (SQLite, files) or "server" (PostgreSQL, Redis)."""
    return str(getattr(request, "param", "laptop"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A PostgreSQL server, started by the first test that asks for it."""
    from tests.servers import Postgres

    made = Postgres()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def redis() -> Iterator[Any]:
    """A server that speaks the Redis protocol, likewise."""
    from tests.servers import redis_server

    with redis_server() as server:
        yield server


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
def home(
    shape: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A data folder of the test's own, with its database; the settings name it."""
    monkeypatch.setenv("TUNEBOOK_DATA", str(tmp_path))
    if shape == "laptop":
        shutil.copy(request.getfixturevalue("migrated"), tmp_path / "tunebook.db")
        forget_settings()
        yield tmp_path
        forget_settings()
        return
    postgres, redis = request.getfixturevalue("postgres"), request.getfixturevalue("redis")
    monkeypatch.setenv("TUNEBOOK_DATABASE_URL", postgres.emptied())
    monkeypatch.setenv("TUNEBOOK_BROKER_URL", f"{redis.connection_url}/0")
    redis.client().flushall()
    forget_settings()
    yield tmp_path
    forget_settings(close=True)


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
    secret = make_token(session, actor, TokenKind.API, "tests")
    session.commit()
    headers = {"authorization": f"Bearer {secret}"}
    with TestClient(
        application(), base_url="http://localhost", headers=headers, raise_server_exceptions=False
    ) as opened:
        yield opened
