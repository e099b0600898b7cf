"""Caps over one and over all projects, warnings that money runs low, and requests for more."""

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.errors import Conflict, Forbidden, Invalid
from app.lab.actor import Actor
from app.lab.budgets import Cost, add_budget, list_budgets, objections, remove_budget
from app.lab.money_notes import answer_request, ask_for_more, list_requests, tell_low
from app.lab.notifications import list_notes
from app.tables import Member, Project, ProjectMember, Reservation, Run
from tests.pages import add_dataset, add_experiment


@pytest.fixture
def member(session: Session, actor: Actor) -> Actor:
    row = Member(name="Bo", role="member")
    session.add(row)
    session.flush()
    session.add(ProjectMember(project_id=actor.project_id, member_id=row.id or 0))
    session.flush()
    return Actor(row.id or 0, actor.project_id, "Bo", "member")


def elsewhere(session: Session, actor: Actor) -> Actor:
    """The same admin in another project."""
    project = Project(name="Elsewhere")
    session.add(project)
    session.flush()
    return Actor(actor.member_id, project.id or 0, actor.name, actor.role)


def spend(session: Session, actor: Actor, dollars: float) -> None:
    made = add_experiment(
        session, actor, add_dataset(session, actor), "paid", [{"model": "openai/m", "seed": 1}]
    )
    run = session.exec(select(Run).where(Run.experiment_id == made.id)).one()
    session.add(
        Reservation(
            run_id=run.id or 0, project_id=actor.project_id, member_id=actor.member_id,
            experiment_id=run.experiment_id, provider="openai", reserved_microdollars=round(dollars * 1e6),
            created_at=run.created_at,
        )
    )  # fmt: skip
    session.flush()


def test_a_cap_on_the_lab_counts_all_projects_one_on_the_project_its_own(
    session: Session, actor: Actor
) -> None:
    there = elsewhere(session, actor)
    add_budget(session, actor, "lab", 10)
    add_budget(session, actor, "project", 10)
    add_budget(session, there, "project", 10)
    spend(session, actor, 6)
    cost = [Cost("m", 5_000_000)]
    assert [text.split("; ")[1].split(" of ")[0] for text in objections(session, actor, cost)] == [
        "the lab's budget", "the project's budget",
    ]  # fmt: skip
    assert objections(session, there, cost) == [
        "This may cost $5.00; the lab's budget of $10.00 has $4.00 left."
    ]


def test_low_money_is_told_once(session: Session, actor: Actor, member: Actor) -> None:
    add_budget(session, actor, "project", 10)
    tell_low(session, member)
    assert list_notes(session, member) == []
    spend(session, member, 8.5)
    tell_low(session, member)
    tell_low(session, member)
    for who in (member, actor):
        assert [line.title for line in list_notes(session, who)] == [
            "The budget for this project is 85% used"
        ]


def test_a_request_is_told_answered_once_and_raises_the_cap(
    session: Session, actor: Actor, member: Actor
) -> None:
    budget = add_budget(session, actor, "project", 10)
    request = ask_for_more(session, member, budget.id or 0, 5, "five seeds")
    assert [line.title for line in list_notes(session, actor)] == ["Bo asks for $5.00 more"]
    with pytest.raises(Forbidden):
        answer_request(session, member, request.id or 0, True)
    answer_request(session, actor, request.id or 0, True)
    with pytest.raises(Conflict, match="allowed already"):
        answer_request(session, actor, request.id or 0, True)
    assert [line.cap for line in list_budgets(session, actor)] == [15_000_000]
    assert [line.title for line in list_notes(session, member)] == ["$5.00 more: allowed"]
    assert list_requests(session, actor) == []
    assert [line.state for line in list_requests(session, member)] == ["allowed"]


def test_bad_requests_say_what_is_wrong(session: Session, actor: Actor, member: Actor) -> None:
    budget = add_budget(session, actor, "project", 10)
    with pytest.raises(Invalid) as caught:
        ask_for_more(session, member, budget.id or 0, float("nan"), " ")
    assert set(caught.value.fields) == {"more", "reason"}


@pytest.mark.laptop
def test_the_page_and_the_api_ask_and_answer(client: TestClient, session: Session, actor: Actor) -> None:
    add_budget(session, actor, "project", 10)
    session.commit()
    (line,) = client.get("/api/v1/budgets").json()["budgets"]
    made = client.post(f"/api/v1/budgets/{line['id']}/requests", json={"dollars": 3, "reason": "a try"})
    assert made.status_code == 201
    assert "a try" in client.get("/settings/budgets").text
    assert client.post(f"/settings/budgets/requests/{made.json()['id']}/decline").status_code == 200
    assert client.get("/api/v1/budget-requests").json() == []
    assert (
        client.post("/settings/budgets/more", data={"budget": str(line["id"]), "more": "x"}).status_code
        == 422
    )


def test_requests_outlive_the_budget_that_they_asked_for(
    session: Session, actor: Actor, member: Actor
) -> None:
    budget = add_budget(session, actor, "project", 10)
    asked = ask_for_more(session, member, budget.id or 0, 5, "three more seeds")
    remove_budget(session, actor, budget.id or 0)
    assert list_requests(session, actor)[0].budget == "a budget that is gone"
    with pytest.raises(Conflict, match="gone"):
        answer_request(session, actor, asked.id or 0, allow=True)
    answer_request(session, actor, asked.id or 0, allow=False)
