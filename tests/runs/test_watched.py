"""What many browsers ask about a live run is computed once for a moment, never shown to whom it is not for, and never
from before the run changed its state."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.clock import now
from app.lab.actor import Actor
from app.lab.sign_in import make_token
from app.main import application
from app.runs import queries
from app.tables import Member, Project, ProjectMember, Role, Run, RunMetric, RunState, Token, TokenKind
from app.web import watching
from tests.pages import add_dataset, add_experiment

PARTS = ("status", "curves", "series.json")
Open = Callable[..., TestClient]


@pytest.fixture
def run(session: Session, actor: Actor) -> Run:
    made = add_experiment(session, actor, add_dataset(session, actor), "live", [{"model": "starter/tiny"}])
    found = session.exec(select(Run).where(Run.experiment_id == made.id)).one()
    found.state = RunState.TRAINING
    session.add(RunMetric(run_id=found.id or 0, name="loss", step=1, value=2.0))
    session.commit()
    return found


@pytest.fixture
def opened(session: Session, actor: Actor) -> Open:
    """A browser that is signed in as a new member with this role, in this project, by default with a seat there."""

    def open_one(role: str = Role.VIEWER, project: int | None = None, seat: bool = True) -> TestClient:
        member = Member(name="Watcher", role=role)
        session.add(member)
        session.flush()
        place = project or actor.project_id
        if seat:
            session.add(ProjectMember(project_id=place, member_id=member.id or 0))
        who = Actor(member.id or 0, place, member.name, role)
        secret = make_token(session, who, TokenKind.SESSION, "browser")
        session.commit()
        browser = TestClient(application(), base_url="http://localhost")
        browser.cookies.set("tunebook_session", secret)
        return browser

    return open_one


@pytest.mark.laptop
def test_what_several_browsers_ask_is_made_once_for_a_moment(
    opened: Open, session: Session, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, read = [], queries.curves

    def counted(*asked: Any) -> Any:
        reads.append(1)
        return read(*asked)

    monkeypatch.setattr(queries, "curves", counted)
    monkeypatch.setattr(watching, "KEPT_SECONDS", 3600.0)
    browsers, path = [opened() for _ in range(3)], f"/runs/{run.id}/series.json"
    answers = [browser.get(path) for browser in browsers for _ in range(2)]
    assert len(reads) == 1
    assert {answer.content for answer in answers} == {answers[0].content}
    # The layers around take part in each: nothing of one answer's head is another's.
    assert len({answer.headers["x-request-id"] for answer in answers}) == 6
    assert all(answer.headers["cache-control"] == "no-store" for answer in answers)
    session.add(RunMetric(run_id=run.id or 0, name="loss", step=2, value=1.5))
    session.commit()
    monkeypatch.setattr(watching, "KEPT_SECONDS", 0.0)
    assert browsers[0].get(path).json()["series"][0]["values"] == [2.0, 1.5]


def test_another_state_is_shown_at_once(
    opened: Open, session: Session, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "KEPT_SECONDS", 3600.0)
    browsers = opened(), opened()
    for browser in browsers:
        assert "hx-refresh" not in browser.get(f"/runs/{run.id}/status").headers
        assert browser.get(f"/runs/{run.id}/series.json").json()["live"] is True
    run.cancel_asked = True
    session.add(run)
    session.commit()
    assert all("Cancel asked." in browser.get(f"/runs/{run.id}/status").text for browser in browsers)
    run.state, run.ended_at = RunState.CANCELLED, now()
    session.add(run)
    session.commit()
    for browser in browsers:
        assert browser.get(f"/runs/{run.id}/status").headers["hx-refresh"] == "true"
        assert browser.get(f"/runs/{run.id}/series.json").json()["live"] is False
        assert "hx-get" not in browser.get(f"/runs/{run.id}/curves").text


def test_what_is_kept_is_not_for_everybody(
    opened: Open, session: Session, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "KEPT_SECONDS", 3600.0)
    other = Project(name="Other")
    session.add(other)
    session.commit()

    def answers(browser: TestClient) -> set[int]:
        return {browser.get(f"/runs/{run.id}/{part}").status_code for part in PARTS}

    assert answers(opened()) == {200}
    assert answers(opened(Role.ADMIN, seat=False)) == {200}
    assert answers(opened(project=other.id)) == {404}
    # In the project by their session, but without a seat in it.
    assert answers(opened(seat=False)) == {404}
    assert answers(TestClient(application(), base_url="http://localhost")) == {401}
    leaves, signs_out, disabled = opened(), opened(), opened()
    assert [answers(browser) for browser in (leaves, signs_out, disabled)] == [{200}] * 3
    tokens = session.exec(select(Token).where(Token.kind == TokenKind.SESSION).order_by(Token.id)).all()[-3:]  # type: ignore[arg-type]
    session.delete(session.get_one(ProjectMember, (run.project_id, tokens[0].member_id)))
    tokens[1].ended_at = now()
    session.get_one(Member, tokens[2].member_id).disabled_at = now()
    session.commit()
    assert [answers(browser) for browser in (leaves, signs_out, disabled)] == [{404}, {401}, {401}]
    session.get_one(Member, tokens[2].member_id).disabled_at = None
    tokens[2].expires_at = now()
    session.commit()
    assert answers(disabled) == {401}
