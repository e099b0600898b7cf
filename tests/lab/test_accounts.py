"""Accounts: passwords, the first start, invitations, resets, limits, and that whatever takes rights away does so at once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from fastapi.testclient import TestClient
from sqlmodel import select

from app.db import session_scope
from app.errors import Conflict, Invalid, NotFound, SignInNeeded, TooMany
from app.lab import accounts, first_start, invitations
from app.lab.passwords import checked_password, hash_password, is_password
from app.lab.sign_in import make_token
from app.lab.sign_in_tries import begin_try, network
from app.tables import Member, Role, SignInTry, Token, TokenKind
from app.web.local_path import local_path
from app.web.session import COOKIE
from tests.fresh import application

GOOD, OTHER = "violet anchor 42 rain", "seven quiet lamps burn"
WEAK = [
    "",
    " ",
    "        ",
    "1234567",
    "password",
    "Password1!",
    "12345678",
    "aaaaaaaa",
    "qwertyuiop",
    "tunebook1",
]
WEAK += ["ada@example.org", "x" * 201, "nul\x00nul nul"]


@pytest.fixture
def visitor(actor):
    """A browser on our own pages, without a session."""
    headers = {"sec-fetch-site": "same-origin"}
    with TestClient(application(), "http://localhost", headers=headers, follow_redirects=False) as opened:
        yield opened


@pytest.fixture
def ada(session, actor):
    """A second admin, with a password."""
    made = accounts.make_member(session, "Ada", "ada@example.org", Role.ADMIN, GOOD)
    session.get_one(Member, actor.member_id).password_hash = "not this one's"
    session.commit()
    return made


def sign_in(visitor, password=GOOD, email="ada@example.org", **more):
    return visitor.post("/sign-in", data={"email": email, "password": password, **more})


@pytest.mark.parametrize("password", WEAK)
def test_weak_passwords_are_refused_with_a_reason(password):
    with pytest.raises(Invalid) as error:
        checked_password(password, "Ada", "ada@example.org")
    assert error.value.fields["password"]


def test_a_hash_is_argon2id_and_opens_by_its_password_alone():
    stored = hash_password(GOOD)
    assert stored.startswith("$argon2id$")
    assert is_password(GOOD, stored)
    assert not is_password(GOOD + " ", stored)
    assert not any(is_password(each, "") for each in ("", GOOD))


def enter(session, way, secret, member, password):
    """Gives a password by one of the ways there are."""
    if way == "setup":
        first_start.set_up_lab(session, secret, "Ada", "a@example.org", password)
    elif way == "own":
        accounts.change_password(session, member, GOOD, password)
    elif way == "command":
        accounts.make_member(session, "B", "b@example.org", "member", password or " ")
    else:
        invitations.accept(session, secret, "B", password)


@pytest.mark.parametrize("way", ["setup", "invite", "reset", "own", "command"])
def test_every_entry_refuses_a_weak_password(session, actor, ada, way):
    secret = ""
    if way == "setup":
        ada.password_hash = session.get_one(Member, actor.member_id).password_hash = ""
        secret = first_start.setup_secret(session) or ""
    elif way in ("invite", "reset"):
        make = invitations.invite if way == "invite" else invitations.make_reset
        secret = make(session, actor, *(("b@example.org", "member", []) if way == "invite" else (ada.id,)))
    for password in ("", " ", "1234567", "password"):
        with pytest.raises(Invalid) as error, session.begin_nested():
            enter(session, way, secret, replace(actor, member_id=ada.id), password)
        assert "password" in error.value.fields


def test_the_first_start_gives_the_lab_to_whoever_has_the_token(session, actor, visitor):
    assert visitor.get("/setup").headers["location"] == "/sign-in"
    secret = first_start.setup_secret(session)
    session.commit()
    assert visitor.get("/datasets").status_code == 401
    assert "setup token" in visitor.get("/").text
    form = {"token": "tb_wrong", "name": "Ada", "email": "Ada@Example.org", "password": GOOD}
    assert visitor.post("/setup", data=form).status_code == 401
    assert visitor.post("/setup", data={**form, "token": secret, "password": "short"}).status_code == 422
    assert visitor.post("/setup", data={**form, "token": secret}).status_code == 303
    assert visitor.get("/lab/account").status_code == 200
    session.expire_all()
    found = session.exec(select(Member)).one()
    assert (found.id, found.email, found.role) == (actor.member_id, "ada@example.org", "admin")
    session.commit()
    assert visitor.post("/setup", data={**form, "token": secret}).status_code == 401
    assert first_start.setup_secret(session) is None
    assert secret not in str(session.execute(Token.__table__.select()).all())


def races(count):
    """How often of two at once with the token exactly one became the admin."""
    won = 0
    for number in range(count):
        with session_scope() as session:
            for member in session.exec(select(Member)):
                member.password_hash, member.email = "", None
            secret = first_start.setup_secret(session) or ""
        start = Barrier(2)

        def one(name, secret=secret, number=number, start=start):
            start.wait()
            try:
                with session_scope() as own:
                    first_start.set_up_lab(own, secret, name, f"{name}{number}@example.org", GOOD)
            except SignInNeeded:
                return 0
            return 1

        with ThreadPoolExecutor(2) as pool:
            won += sum(pool.map(one, ("ada", "bob"))) == 1
    return won


def test_two_browsers_race_for_the_first_admin(actor):
    assert races(3) == 3


@pytest.mark.slow
def test_two_browsers_race_200_times(actor):
    assert races(200) == 200


def test_an_invitation_makes_one_account_in_its_projects(session, actor, visitor):
    secret = invitations.invite(session, actor, "Bo@example.org", "member", [actor.project_id])
    session.commit()
    assert "bo@example.org" in visitor.get(f"/invitations?token={secret}").text
    form = {"token": secret, "name": "Bo", "password": OTHER}
    assert visitor.post("/invitations", data=form).status_code == 303
    assert visitor.get("/datasets").status_code == 200
    assert visitor.get("/lab/audit").status_code == 403
    assert visitor.post("/invitations", data=form).status_code == 404
    assert invitations.list_invitations(session, actor) == []


@pytest.mark.laptop
def test_an_invitation_ends_when_revoked_or_replaced_and_with_its_inviter(session, actor, ada):
    admin = replace(actor, member_id=ada.id)
    old = invitations.invite(session, admin, "bo@example.org", "viewer", [])
    new = invitations.invite(session, admin, "bo@example.org", "viewer", [])
    with pytest.raises(NotFound):
        invitations.look_at(session, old)
    assert invitations.look_at(session, new).is_new
    accounts.disable_member(session, actor, ada.id)
    with pytest.raises(NotFound):
        invitations.look_at(session, new)
    third = invitations.invite(session, actor, "bo@example.org", "viewer", [])
    invitations.revoke_invitation(session, actor, invitations.list_invitations(session, actor)[0].id)
    with pytest.raises(NotFound):
        invitations.accept(session, third, "Bo", OTHER)


@pytest.mark.parametrize("change", ["password", "reset", "disable", "demote", "others"])
def test_sessions_and_tokens_end_at_once(session, actor, ada, visitor, change):
    as_ada = replace(actor, member_id=ada.id)
    assert sign_in(visitor).status_code == 303
    api = make_token(session, as_ada, TokenKind.API, "script")
    session.commit()
    bearer = {"authorization": f"Bearer {api}"}
    assert visitor.get("/lab").status_code == 200
    assert visitor.get("/api/v1/projects", headers=bearer).status_code == 200
    if change == "password":
        accounts.change_password(session, as_ada, GOOD, OTHER)
    elif change == "reset":
        invitations.accept(session, invitations.make_reset(session, actor, ada.id), "", OTHER)
    elif change == "disable":
        accounts.disable_member(session, actor, ada.id)
    elif change == "demote":
        accounts.change_role(session, actor, ada.id, Role.VIEWER)
    else:
        from app.lab.members import end_other_sessions

        end_other_sessions(session, as_ada)
    session.commit()
    assert visitor.get("/lab").status_code == 401
    if change != "others":
        assert visitor.get("/api/v1/projects", headers=bearer).status_code == 401
    works = {"password": OTHER, "reset": OTHER, "demote": GOOD, "others": GOOD}.get(change)
    assert sign_in(visitor, works or GOOD).status_code == (303 if works else 401)


def test_the_last_admin_stays(session, actor, ada):
    accounts.disable_member(session, actor, actor.member_id)
    for take in (accounts.disable_member, lambda *who: accounts.change_role(*who, Role.VIEWER)):
        with pytest.raises(Conflict, match="last admin"):
            take(session, actor, ada.id)


def test_changing_the_password_by_the_page_keeps_this_browser(ada, visitor):
    sign_in(visitor)
    first = visitor.cookies[COOKIE]
    sign_in(visitor)
    wrong = visitor.post("/lab/password", data={"old": OTHER, "password": OTHER})
    assert wrong.status_code == 422
    assert visitor.post("/lab/password", data={"old": GOOD, "password": OTHER}).status_code == 303
    assert visitor.get("/lab").status_code == 200
    visitor.cookies.clear()
    visitor.cookies.set(COOKIE, first)
    assert visitor.get("/lab").status_code == 401


def test_a_stranger_has_ten_tries_and_unknown_accounts_look_the_same(session, ada, visitor):
    answers = {sign_in(visitor, "wrong words here").text, sign_in(visitor, "x", "nobody@example.org").text}
    assert len({each.replace("nobody@", "ada@") for each in answers}) == 1
    for _ in range(8):
        assert sign_in(visitor, OTHER).status_code == 401
    assert sign_in(visitor, GOOD).status_code == 429
    assert len(session.exec(select(SignInTry)).all()) == 30


@pytest.mark.laptop
def test_limits_count_accounts_and_networks_by_themselves(home):
    for number in range(10):
        begin_try("ada@example.org", f"192.0.2.{number}")
    with pytest.raises(TooMany):
        begin_try("ada@example.org", "198.51.100.1")
    begin_try("bo@example.org", "198.51.100.1")
    assert network("2001:db8::1") == network("2001:db8::ffff:2") != network("2001:db8:0:1::1")
    assert network("::ffff:192.0.2.1") == "192.0.2.1"


@pytest.mark.parametrize(
    "wanted",
    [
        "//x.example",
        "/\\x.example",
        "\\\\x.example",
        "https:x.example",
        "https://x.example",
        "/a\r\nSet-Cookie: a=b",
        "",
        "/ x",
        "/\tx",
        "javascript:alert(1)",
        "x",
        "/" + "a" * 3000,
    ],
)
def test_signing_in_leads_to_our_pages_only(wanted):
    assert local_path(wanted) == "/"


def test_signing_in_goes_on_to_where_one_was(ada, visitor):
    assert 'value="/datasets?page=2"' in visitor.get("/datasets?page=2").text
    assert sign_in(visitor, next="/datasets?page=2").headers["location"] == "/datasets?page=2"
    assert sign_in(visitor, next="//x.example").headers["location"] == "/"


def test_only_an_admin_changes_members(session, actor, ada, visitor):
    accounts.make_member(session, "Bo", "bo@example.org", Role.MEMBER, OTHER)
    session.commit()
    sign_in(visitor, OTHER, "bo@example.org")
    page = visitor.get("/lab/members")
    assert "Ada" in page.text
    assert "ada@example.org" not in page.text
    for path in ("invite", f"{ada.id}/disable", f"{ada.id}/role", f"{ada.id}/reset", "invitations/1/revoke"):
        assert visitor.post(f"/lab/members/{path}", data={"email": "c@example.org"}).status_code == 403, path


def test_the_members_page_shows_a_link_once(ada, visitor):
    sign_in(visitor)
    shown = visitor.post("/lab/members/invite", data={"email": "c@example.org", "role": "viewer"})
    assert shown.status_code == 201
    assert "/invitations?token=tb_" in shown.text
    again = visitor.get("/lab/members").text
    assert "c@example.org" in again
    assert "token=tb_" not in again
    wrong = visitor.post("/lab/members/invite", data={"email": "no address", "role": "viewer"})
    assert wrong.status_code == 422
