"""Below a path of its host, by https: no address that a page or a redirect names lies outside of that path."""

import re
from urllib.parse import urljoin, urlsplit

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.config import Settings, settings
from app.lab.actor import Actor
from app.lab.sign_in import make_token
from app.main import create_app
from app.subpath import inside, outside
from app.tables import TokenKind

ROOT = "/tunebook"


@pytest.fixture
def below(session: Session, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """A signed-in browser of https://lab.example.org/tunebook."""
    monkeypatch.setenv("TUNEBOOK_PUBLIC_URL", f"https://lab.example.org{ROOT}/")
    settings.cache_clear()
    secret = make_token(session, actor, TokenKind.SIGN_IN, "link")
    session.commit()
    browser = TestClient(create_app(), base_url="https://lab.example.org", follow_redirects=False)
    answer = browser.get(f"{ROOT}/sign-in?token={secret}")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{ROOT}/"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Secure-tunebook_session=")
    assert {"Secure", "HttpOnly", f"Path={ROOT}"} <= {part.strip() for part in cookie.split(";")}
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    return browser


@pytest.mark.laptop
def test_no_link_escapes_the_path(below: TestClient) -> None:
    """A crawler over everything that can be reached from the first page by links."""
    waiting, seen, escaped = [f"{ROOT}/"], set(), set()
    while waiting:
        page = waiting.pop()
        if page in seen or len(seen) > 150:
            continue
        seen.add(page)
        answer = below.get(page)
        assert answer.status_code < 400, (page, answer.status_code)
        if to := answer.headers.get("location"):
            waiting.append(to.partition("#")[0])
            escaped |= {to} if not to.startswith(f"{ROOT}/") else set()
        if "text/html" not in answer.headers.get("content-type", ""):
            continue
        found = re.findall(r'\s([a-z-]+)="((?:/|\./|\.\./)[^"]*)"', answer.text)
        for name, link in found:
            if name in ("d", "value", "data-copy-text"):
                continue
            link = urljoin(page, link.replace("&amp;", "&").partition("#")[0])
            escaped |= set() if urlsplit(link).path.startswith(ROOT) else {f"{name}={link} on {page}"}
            if name in ("href", "src", "hx-get"):
                waiting.append(link)
    assert not escaped
    assert len(seen) > 20
    assert any("/static/css/" in page for page in seen)


@pytest.mark.laptop
def test_the_proxy_may_take_the_prefix_away_or_leave_it(below: TestClient) -> None:
    # A proxy that takes the prefix away passes the cookie on; a browser would not send it to another path.
    cookie = {"cookie": "; ".join(f"{each.name}={each.value}" for each in below.cookies.jar)}
    kept, taken = below.get(f"{ROOT}/datasets"), below.get("/datasets", headers=cookie)
    assert kept.status_code == taken.status_code == 200
    assert f'href="{ROOT}/datasets"' in kept.text
    assert kept.text == taken.text
    assert below.get(f"{ROOT}x/datasets").status_code == 404
    # The way back from a refused form names the path that the browser was on, once.
    refused = below.post(
        f"{ROOT}/settings/endpoints",
        data={},
        headers={
            "origin": "https://lab.example.org",
            "referer": f"https://lab.example.org{ROOT}/settings",
        },
    )
    assert f"{ROOT}{ROOT}" not in refused.text


@pytest.mark.laptop
def test_at_the_root_of_a_host_the_cookie_is_of_this_host_alone(
    session: Session, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEBOOK_PUBLIC_URL", "https://lab.example.org")
    settings.cache_clear()
    secret = make_token(session, actor, TokenKind.SIGN_IN, "link")
    session.commit()
    browser = TestClient(create_app(), base_url="https://lab.example.org", follow_redirects=False)
    answer = browser.get(f"/sign-in?token={secret}")
    assert answer.headers["location"] == "/"
    assert answer.headers["set-cookie"].startswith("__Host-tunebook_session=")
    assert "Path=/;" in answer.headers["set-cookie"]
    assert browser.get("/datasets").status_code == 200
    left = browser.post("/sign-out", headers={"origin": "https://lab.example.org"})
    assert left.headers["set-cookie"].startswith('__Host-tunebook_session="";')
    assert browser.get("/datasets").status_code == 401


def test_addresses_lose_and_gain_the_prefix_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBOOK_PUBLIC_URL", "https://lab.example.org/a/b")
    settings.cache_clear()
    try:
        assert [inside(path) for path in ("/a/b", "/a/b/", "/a/b/runs/1", "/a/bc", "/runs")] == [
            "/", "/", "/runs/1", "/a/bc", "/runs",
        ]  # fmt: skip
        assert outside("/runs/1") == outside("/a/b/runs/1") == "/a/b/runs/1"
        assert outside("//evil.example") == "//evil.example"
        assert outside("https://evil.example/") == "https://evil.example/"
    finally:
        settings.cache_clear()


@pytest.mark.parametrize("wrong", ["lab.example.org", "ftp://lab.example.org", "https://", "https://h/?x=1"])
def test_a_public_address_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="write it like"):
        Settings(public_url=wrong)


def test_settings_come_from_files_that_variables_name(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p").write_text("p@ss/word\n")
    monkeypatch.setenv("TUNEBOOK_DATABASE_URL", "postgresql://tunebook@db:5433/lab?sslmode=require")
    monkeypatch.setenv("TUNEBOOK_DATABASE_PASSWORD_FILE", str(tmp_path / "p"))
    monkeypatch.setenv("TUNEBOOK_BROKER_URL", "redis://redis:6379/0")
    monkeypatch.setenv("TUNEBOOK_BROKER_PASSWORD_FILE", str(tmp_path / "p"))
    found = Settings()
    assert found.database == "postgresql+psycopg://tunebook:p%40ss%2Fword@db:5433/lab?sslmode=require"
    assert found.broker == "redis://:p%40ss%2Fword@redis:6379/0"
    assert "p@ss" not in repr(found)
    monkeypatch.setenv("TUNEBOOK_BROKER_PASSWORD", "direct")
    assert Settings().broker == "redis://:direct@redis:6379/0"
    monkeypatch.setenv("TUNEBOOK_DATABASE_PASSWORD_FILE", str(tmp_path / "none"))
    with pytest.raises(Exception, match="none that holds a setting cannot be read"):
        Settings()
