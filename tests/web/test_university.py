"""Signing in by a university against a real OpenID provider: who gets in, who does not, and what goes wrong."""

import pytest
from sqlmodel import Session, select

from app.clock import now
from app.doctor_server import server_checks
from app.lab import university as asking
from app.lab.actor import Actor
from app.lab.invitations import invite
from app.lab.members import list_members
from app.tables import AuditEntry, Member, Project, ProjectMember
from tests.fresh import forget_settings
from tests.web.issuer import ADA, BACK, go, refused

# The provider's, not ours: they are about how it calls itself, and that it can sign by "none".
pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'grant' parameter"),
    pytest.mark.filterwarnings("ignore:JWS algorithm .none. is deprecated"),
]


def test_a_member_is_linked_by_the_verified_address_and_signs_in(stranger, session, ada):
    assert "Sign in with your university" in stranger.get("/sign-in").text
    answer = stranger.get(go(stranger, "/sign-in/university?next=/datasets%3Fx=1"))
    assert answer.status_code == 200
    # A page of ours leads on, so that the strict cookie is sent; a redirect would come from the other site.
    assert 'http-equiv="refresh" content="0;url=/datasets?x=1"' in answer.text
    assert "samesite=strict" in answer.headers["set-cookie"].lower()
    assert stranger.get("/datasets").status_code == 200
    account = stranger.get("/lab/account").text
    assert "Linked" in account
    session.expire_all()
    assert session.get_one(Member, ada.id).oidc_subject.endswith(" u-ada")
    told = session.exec(select(AuditEntry.about).where(AuditEntry.action == "signed in")).all()
    assert told == [{"way": "university"}]
    assert [line.way for line in list_members(session) if line.id == ada.id] == ["password and university"]


def test_the_link_stays_when_the_address_changes(stranger, session, issuer, ada):
    stranger.get(go(stranger))
    stranger.post("/sign-out")
    issuer.person = {"sub": "u-ada", "email": "new@elsewhere.example", "email_verified": False}
    assert stranger.get(go(stranger)).status_code == 200
    assert stranger.get("/").status_code == 200
    assert len(session.exec(select(Member)).all()) == 2


@pytest.mark.laptop
def test_an_issuer_that_is_down_says_so_and_passwords_go_on(stranger, issuer, ada):
    issuer.fault = "down"
    answer = stranger.get("/sign-in/university")
    assert answer.status_code == 503
    assert "university" in answer.text
    assert 'name="password"' in answer.text
    asked = len(issuer.asked)
    assert stranger.get("/sign-in/university").status_code == 503
    assert len(issuer.asked) == asked, "a failure is remembered for a moment"
    form = {"email": "ada@uni.example", "password": "four quiet words here"}
    assert stranger.post("/sign-in", data=form).status_code == 303
    stranger.cookies.clear()
    asking._known.clear()
    issuer.fault = ""
    back = go(stranger)
    issuer.fault = "down"
    assert stranger.get(back).status_code == 503
    asking._known.clear()
    issuer.fault = "names itself otherwise"
    assert "calls itself" in stranger.get("/sign-in/university").text


@pytest.mark.laptop
def test_what_the_issuer_says_of_itself_is_asked_once(stranger, issuer, ada):
    issuer.asked.clear()
    for _ in range(3):
        assert stranger.get(go(stranger)).status_code == 200
        stranger.cookies.clear()
    assert issuer.asked.count("/keys") == issuer.asked.count("/.well-known/openid-configuration") == 1


@pytest.mark.laptop
def test_nothing_is_asked_inside_a_transaction(stranger, issuer, ada, monkeypatch):
    """On SQLite a writer would wait for the issuer; here it must not."""
    from app import db

    open_now, seen = [0], []
    real = db.new_session

    def counted(write: bool = True) -> Session:
        made = real(write)
        close = made.close
        open_now[0] += 1

        def closing() -> None:
            open_now[0] -= 1
            close()

        made.close = closing
        return made

    ask = asking._ask

    def asked(*args, **options):
        seen.append(open_now[0])
        return ask(*args, **options)

    monkeypatch.setattr(db, "new_session", counted)
    monkeypatch.setattr(asking, "_ask", asked)
    assert stranger.get(go(stranger)).status_code == 200
    assert len(seen) == 3
    assert set(seen) == {0}


def test_a_disabled_member_stays_out(stranger, session, issuer, ada):
    stranger.get(go(stranger))
    stranger.cookies.clear()
    member = session.get_one(Member, ada.id)
    session.refresh(member)
    member.disabled_at = now()
    session.commit()
    assert "disabled" in refused(stranger, stranger.get(go(stranger)))
    session.refresh(member)
    member.oidc_subject = None
    session.commit()
    assert "disabled" in refused(stranger, stranger.get(go(stranger)))
    session.refresh(member)
    assert member.oidc_subject is None


@pytest.mark.laptop
def test_an_address_that_is_not_verified_links_nobody(stranger, session, issuer, ada):
    for verified in (False, None, 1, "yes"):
        issuer.person = {**ADA, "email_verified": verified}
        assert "no verified e-mail" in refused(stranger, stranger.get(go(stranger)))
    issuer.person = {**ADA, "email_verified": True}
    stranger.get(go(stranger))
    stranger.cookies.clear()
    issuer.person = {**ADA, "sub": "u-somebody-else"}
    assert "belongs to another account" in refused(stranger, stranger.get(go(stranger)))


def test_who_may_join(stranger, session, actor, issuer, monkeypatch):
    assert "is not invited" in refused(stranger, stranger.get(go(stranger)))
    project = Project(name="Odours")
    session.add(project)
    session.flush()
    invite(session, Actor(actor.member_id, 0, "", "admin"), "ada@uni.example", "member", [project.id])
    session.commit()
    assert stranger.get(go(stranger)).status_code == 200
    ada = session.exec(select(Member).where(Member.email == "ada@uni.example")).one()
    assert (ada.name, ada.role, ada.password_hash) == ("Ada Lovelace", "member", "")
    assert session.exec(select(ProjectMember.project_id)).all() == [project.id]
    session.commit()
    stranger.cookies.clear()
    monkeypatch.setenv("TUNEBOOK_OIDC_DOMAINS", "Uni.example, other.example")
    forget_settings()
    for address, joins in (
        ("bo@uni.example", True),
        ("bo@evil-uni.example", False),
        ("bo@uni.example.evil.example", False),
        ("bo@sub.uni.example", False),
        ("uni.example@evil.example", False),
    ):
        issuer.person = {"sub": f"u-{address}", "email": address, "email_verified": True}
        answer = stranger.get(go(stranger))
        assert (answer.status_code == 200) is joins, address
        stranger.cookies.clear()
    roles = dict(session.exec(select(Member.email, Member.role)).all())
    assert roles["bo@uni.example"] == "viewer"
    assert len(roles) == 3


@pytest.mark.laptop
def test_without_an_issuer_there_is_no_such_sign_in(stranger):
    for path in ("/sign-in/university", BACK):
        assert stranger.get(path).status_code == 404
    assert "Sign in with your university" not in stranger.get("/sign-in").text


@pytest.mark.laptop
def test_the_doctor_asks_the_issuer(issuer):
    def looked() -> tuple[bool, str]:
        return next((check.ok, check.found) for check in server_checks() if check.name == "university")

    assert looked()[0]
    issuer.fault = "down"
    assert not looked()[0]
    issuer.fault = "names itself otherwise"
    assert "calls itself https://another.example" in looked()[1]
