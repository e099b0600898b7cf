"""Browsers for tests of the web's safety: one without a session, one that signed in by its link."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.lab import university as asking
from app.lab.accounts import make_member
from app.lab.actor import Actor
from app.lab.sign_in import make_token
from app.tables import Member, TokenKind
from tests.fresh import application, forget_settings

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


@pytest.fixture(scope="session")
def running_issuer() -> Iterator[Any]:
    """A university's sign-in (tests/web/issuer.py), started by the first test that asks for it."""
    from tests.web.issuer import university

    with university() as issuer:
        yield issuer


@pytest.fixture
def issuer(running_issuer: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """It, without a fault and with Ada signed in there; the settings name it."""
    from tests.web.issuer import ADA, CLIENT, SECRET

    running_issuer.person, running_issuer.fault = dict(ADA), ""
    running_issuer.claims, running_issuer.codes = {}, {}
    asking._known.clear()
    told = {"ISSUER": running_issuer.url, "CLIENT_ID": CLIENT, "CLIENT_SECRET": SECRET}
    for name, value in told.items():
        monkeypatch.setenv(f"TUNEBOOK_OIDC_{name}", value)
    forget_settings()
    return running_issuer


@pytest.fixture
def ada(issuer: Any, session: Session) -> Member:
    """A member with the address that the university knows."""
    member = make_member(session, "Ada", "ada@uni.example", "member", "four quiet words here")
    session.commit()
    return member
