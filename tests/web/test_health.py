"""/healthz says that the process answers, /readyz that it can work."""

import socket

import pytest
from sqlalchemy import text

from app.config import settings
from app.web import health
from tests.fresh import forget_settings


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Looks each time."""
    monkeypatch.setattr(health, "FRESH_SECONDS", 0.0)


@pytest.fixture
def closed():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]


def readiness(browser) -> tuple[int, str]:
    answer = browser.get("/readyz")
    assert browser.get("/healthz").text == "ok\n"
    return answer.status_code, answer.text


def test_ready_needs_the_database_with_our_schema(stranger, session):
    assert readiness(stranger) == (200, "ready\n")
    newest = session.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    change = text("UPDATE alembic_version SET version_num = :to")
    session.execute(change, {"to": "0001"})
    session.commit()
    try:
        assert readiness(stranger) == (503, "database\n")
    finally:
        # The next test has the same PostgreSQL.
        session.execute(change, {"to": newest})
        session.commit()


@pytest.mark.laptop
def test_a_database_that_is_away(stranger, monkeypatch, closed):
    monkeypatch.setenv("TUNEBOOK_DATABASE_URL", f"postgresql://nobody:canary@127.0.0.1:{closed}/none")
    forget_settings()
    assert readiness(stranger) == (503, "database\n")


def test_a_broker_that_is_away(stranger, shape, monkeypatch, closed):
    if shape == "laptop":
        assert not settings().broker_url
        return
    monkeypatch.setenv("TUNEBOOK_BROKER_URL", f"redis://127.0.0.1:{closed}/0")
    forget_settings()
    assert readiness(stranger) == (503, "broker\n")


@pytest.mark.laptop
def test_strangers_cannot_make_it_ask_again_and_again(stranger, monkeypatch):
    asked = []
    monkeypatch.setattr(health, "FRESH_SECONDS", 60.0)
    health._looked.clear()
    monkeypatch.setattr(health, "_missing", lambda: asked.append(1) or "")
    for _ in range(20):
        assert stranger.get("/readyz").status_code == 200
    assert len(asked) == 1
    health._looked.clear()
