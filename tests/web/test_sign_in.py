"""Signing in by the one-time link and out; API tokens by their one header."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from app.clock import in_seconds
from app.lab.sign_in import make_token
from app.tables import Token, TokenKind
from app.web.session import COOKIE


def test_a_link_signs_in_once(stranger, link):
    first = stranger.get(link)
    assert first.status_code == 303
    assert first.headers["location"] == "/"
    assert stranger.get("/").status_code == 200
    stranger.cookies.clear()
    again = stranger.get(link)
    assert again.status_code == 401
    assert "used already" in again.text
    assert COOKIE not in stranger.cookies


def test_two_browsers_race_for_a_link(stranger, link):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: stranger.get(link).status_code, range(8)))
    assert sorted(answers) == [303] + [401] * 7


def test_an_old_link_is_over(stranger, session, link):
    session.execute(update(Token).values(expires_at=in_seconds(-1)))
    session.commit()
    assert stranger.get(link).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "tb_" + "A" * 43, "%00", "%F0%9F%92%A9", "%ED%A0%80", "a" * 5000])
def test_other_links_open_nothing(stranger, link, token):
    assert stranger.get(f"/sign-in?token={token}").status_code == 401


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(stranger, link):
    cookie = stranger.get(link).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/" in cookie
    assert "domain" not in cookie


def test_signing_out_ends_the_session_everywhere(member):
    secret = member.cookies[COOKIE]
    assert member.post("/sign-out").status_code == 303
    assert member.get("/").status_code == 401
    member.cookies.set(COOKIE, secret)
    assert member.get("/").status_code == 401


def test_each_kind_of_secret_opens_only_its_own_door(stranger, session, actor):
    secrets = {kind: make_token(session, actor, kind) for kind in TokenKind}
    session.commit()

    def bearer(secret):
        return stranger.get("/api/v1/models", headers={"authorization": f"Bearer {secret}"}).status_code

    assert bearer(secrets[TokenKind.API]) == 200
    assert bearer(secrets[TokenKind.SESSION]) == 401
    assert bearer(secrets[TokenKind.SIGN_IN]) == 401
    assert stranger.get(f"/sign-in?token={secrets[TokenKind.API]}").status_code == 401
    stranger.cookies.set(COOKIE, secrets[TokenKind.API])
    assert stranger.get("/").status_code == 401


def test_a_token_counts_only_in_its_header(stranger, session, actor):
    secret = make_token(session, actor, TokenKind.API)
    session.commit()
    path = "/api/v1/models"
    for query in ("token", "access_token", "api_key", "authorization"):
        assert stranger.get(f"{path}?{query}={secret}").status_code == 401
    for header in ("x-api-key", "x-auth-token", "proxy-authorization"):
        assert stranger.get(path, headers={header: f"Bearer {secret}"}).status_code == 401
    for value in (secret, f"Basic {secret}", "Bearer", f"Bearer{secret}", f"Bearer {secret}x", "Bearer  "):
        assert stranger.get(path, headers={"authorization": value}).status_code == 401
    assert stranger.get(path, headers={"authorization": f"bearer {secret}"}).status_code == 200


def test_secrets_are_not_in_the_database(member, session, link):
    secret, cookie = link.partition("token=")[2], member.cookies[COOKIE]
    stored = str(session.execute(Token.__table__.select()).all())
    assert secret not in stored
    assert cookie not in stored
