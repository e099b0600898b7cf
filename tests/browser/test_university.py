"""Signing in by a university in a real browser: the issuer is another site, the session's cookie is strict."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import sync_playwright
from sqlmodel import Session

from app.lab import university as asking
from app.lab.accounts import make_member
from app.main import create_app
from tests.browser.pictures import launch
from tests.fresh import forget_settings
from tests.web.issuer import ADA, CLIENT, SECRET, Issuer, university

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The 'grant' parameter"),
]


@pytest.fixture
def issuer(home: Path, session: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    make_member(session, "Ada", "ada@uni.example", "member", "four quiet words here")
    session.commit()
    with university() as running:
        running.person = dict(ADA)
        asking._known.clear()
        told = {"ISSUER": running.url, "CLIENT_ID": CLIENT, "CLIENT_SECRET": SECRET}
        for name, value in told.items():
            monkeypatch.setenv(f"TUNEBOOK_OIDC_{name}", value)
        forget_settings()
        yield running


@pytest.fixture
def base(issuer: Issuer) -> Iterator[str]:
    """The application under a name that is another site than the issuer's address."""
    server = uvicorn.Server(uvicorn.Config(create_app(), log_level="critical"))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    yield f"http://localhost:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def test_the_button_leads_through_the_university_and_back(base: str, issuer: Issuer) -> None:
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = launch(playwright)
        tab = browser.new_page()
        tab.on(
            "console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None
        )
        tab.goto(f"{base}/lab/account")
        tab.get_by_role("link", name="Sign in with your university").click()
        tab.wait_for_url(f"{base}/lab/account")
        assert "Linked" in tab.inner_text("main")
        assert "/authorize" in issuer.asked
        cookies = {each["name"]: each for each in tab.context.cookies()}
        assert cookies["tunebook_session"]["sameSite"] == "Strict"
        assert "tunebook_university" not in cookies
        # Without scripts the page leads on as well: it is no script that does it.
        tab.get_by_role("button", name="Sign out").click()
        tab.wait_for_url(f"{base}/sign-in")
        plain = browser.new_context(java_script_enabled=False).new_page()
        plain.goto(f"{base}/datasets")
        plain.get_by_role("link", name="Sign in with your university").click()
        plain.wait_for_url(f"{base}/datasets")
        assert plain.get_by_role("heading", name="Datasets").count()
        browser.close()
    assert not complaints, complaints
