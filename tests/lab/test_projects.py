"""/lab/projects and /api/v1/projects: made, renamed, archived and opened to members by admins alone."""

import pytest

from app.errors import Conflict, Forbidden, Invalid, NotFound
from app.lab import projects
from app.lab.actor import Actor, require_member
from app.lab.sign_in import actor_for, make_token
from app.lab.tokens import make_api_token
from app.tables import Member, ProjectMember, TokenKind

pytestmark = pytest.mark.slow_on_server


@pytest.fixture
def student(session, actor) -> Actor:
    """A member of the first project."""
    row = Member(name="Student", role="member")
    session.add(row)
    session.flush()
    session.add(ProjectMember(project_id=actor.project_id, member_id=row.id))
    session.commit()
    return Actor(row.id, actor.project_id, row.name, row.role)


def test_a_project_is_made_renamed_and_archived(client, session, actor):
    made = client.post("/api/v1/projects", json={"name": " Odour "}).json()
    assert (made["name"], made["members"], made["current"]) == ("Odour", [], False)
    path = f"/api/v1/projects/{made['id']}"
    assert client.post("/api/v1/projects", json={"name": "odour"}).status_code == 422
    assert client.patch(path, json={"name": "odour"}).json()["name"] == "odour"
    assert client.patch(path, json={"archived": True}).json()["archived_at"]
    assert client.patch(path, json={"archived": False}).json()["archived_at"] is None
    page = client.get("/lab/projects").text
    assert "odour" in page
    assert "you are here" in page
    # The rail names the project as soon as there is a choice.
    assert "rail-projects" in page


def test_names_that_cannot_be_used(session, actor):
    for name in ("", "   ", "x" * 101, "a\nb", "lab"):
        with pytest.raises(Invalid):
            projects.make_project(session, actor, name)


def test_the_last_open_project_stays_open(session, actor):
    with pytest.raises(Conflict, match="only project"):
        projects.archive_project(session, actor, actor.project_id, archived=True)


def test_an_archived_project_changes_no_more(session, actor, student):
    secret = make_api_token(session, student, "laptop")
    projects.make_project(session, actor, "Other")
    projects.archive_project(session, actor, actor.project_id, archived=True)
    session.commit()
    now = actor_for(session, secret, TokenKind.API)
    assert now is not None
    with pytest.raises(Forbidden, match="archived"):
        require_member(now, "launch runs")


def test_members_come_and_go(client, session, actor, student):
    other = projects.make_project(session, actor, "Other").id
    session.commit()
    with pytest.raises(NotFound):
        projects.find_project(session, student, other)
    session.rollback()
    path = f"/api/v1/projects/{other}/members/{student.member_id}"
    assert [client.put(path).status_code for _ in range(2)] == [204, 204]
    there = Actor(student.member_id, other, student.name, student.role)
    secret = make_token(session, there, TokenKind.API, "there")
    cookie = make_token(session, there, TokenKind.SESSION)
    session.commit()
    assert actor_for(session, secret, TokenKind.API).project_id == other
    session.rollback()
    assert client.delete(path).status_code == 204
    assert client.delete(path).status_code == 404
    session.expire_all()
    assert actor_for(session, secret, TokenKind.API) is None
    # The browser goes on in the project that is left.
    assert actor_for(session, cookie, TokenKind.SESSION).project_id == actor.project_id
    session.rollback()
    client.put(path)
    session.expire_all()
    assert actor_for(session, secret, TokenKind.API) is None


def test_only_admins_change_projects(session, actor, student):
    for change in (
        lambda: projects.make_project(session, student, "Mine"),
        lambda: projects.rename_project(session, student, actor.project_id, "Mine"),
        lambda: projects.archive_project(session, student, actor.project_id, True),
        lambda: projects.add_to_project(session, student, actor.project_id, student.member_id),
        lambda: projects.remove_from_project(session, student, actor.project_id, student.member_id),
    ):
        with pytest.raises(Forbidden):
            change()
    assert projects.view_project(session, student, actor.project_id).others == []


def test_a_viewer_is_told_why_buttons_are_gone(client, session, actor):
    member = session.get_one(Member, actor.member_id)
    member.role = "viewer"
    session.add(ProjectMember(project_id=actor.project_id, member_id=actor.member_id))
    session.commit()
    page = client.get("/experiments").text
    assert "You can look, not change: your role is viewer." in page
    assert 'class=" looks-only nothing-shared"' in page


def test_a_token_has_a_scope_and_an_end(client):
    made = client.post("/api/v1/tokens", json={"name": "reads", "scope": "read", "days": 7}).json()
    assert made["token"]["scope"] == "read"
    reads = {"authorization": f"Bearer {made['secret']}"}
    assert client.get("/api/v1/datasets", headers=reads).status_code == 200
    assert client.post("/api/v1/tokens", json={"name": "more"}, headers=reads).status_code == 403
    assert client.post("/api/v1/tokens", json={"name": "x", "days": 400}).status_code == 422
    assert client.delete(f"/api/v1/tokens/{made['token']['id']}").status_code == 204
    assert client.get("/api/v1/datasets", headers=reads).status_code == 401


def test_whether_answers_are_recorded(client, session, actor):
    path = f"/lab/projects/{actor.project_id}"
    assert "Only how often" in client.get(path).text
    client.post(f"{path}/answers", data={"records": "on"})
    assert "Questions and answers are recorded" in client.get(path).text
    assert client.get(f"/api/v1/projects/{actor.project_id}").json()["records_answers"] is True
    said = client.get("/api/v1/audit").json()["entries"]
    assert any("records answers" in str(entry) for entry in said)
    client.patch(f"/api/v1/projects/{actor.project_id}", json={"records_answers": False})
    assert "Only how often" in client.get(path).text
