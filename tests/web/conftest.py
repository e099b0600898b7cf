"""Browsers for tests of the web's safety: one without a session, one that signed in by its link."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.lab.actor import Actor
from app.lab.sign_in import make_token
from app.tables import TokenKind
from tests.fresh import application

SAME_SITE = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def stranger(actor: Actor) -> Iterator[TestClient]:
    """Nobody: no cookie, no token, but requests from our own pages."""
    app = application()
    with TestClient(
        app, "http://localhost", headers=SAME_SITE, follow_redirects=False, raise_server_exceptions=False
    ) as opened:
        yield opened


@pytest.fixture
def link(session: Session, actor: Actor) -> str:
    """A fresh one-time link."""
    secret = make_token(session, actor, TokenKind.SIGN_IN)
    session.commit()
    return f"/sign-in?token={secret}"


@pytest.fixture
def member(stranger: TestClient, link: str) -> TestClient:
    """A browser that signed in by the link."""
    assert stranger.get(link).status_code == 303
    return stranger
