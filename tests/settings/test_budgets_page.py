"""/settings/budgets: a cap for everybody, for one member, and what the form says of a choice that is none."""

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.lab.actor import Actor
from app.lab.budgets import list_budgets
from app.tables import Member

pytestmark = pytest.mark.laptop


def test_a_cap_for_one_member(client: TestClient, session: Session, actor: Actor) -> None:
    assert "member:" not in client.get("/settings/budgets").text
    session.add(Member(name="Anna <b>", role="member"))
    session.commit()
    page = client.get("/settings/budgets").text
    assert '<option value="member:2">Anna &lt;b&gt;</option>' in page
    form = {"scope": "member:2", "cap": "12", "period": "month"}
    assert client.post("/settings/budgets", data=form, follow_redirects=False).status_code == 303
    (line,) = list_budgets(session, actor)
    assert (line.words, line.cap, line.period) == ("Anna <b>", 12_000_000, "month")


@pytest.mark.parametrize("scope", ["member:3", "member:x", "member:" + "9" * 30, "lab:1", "nobody"])
def test_a_choice_that_is_none_is_said_by_the_field(
    client: TestClient, session: Session, actor: Actor, scope: str
) -> None:
    answer = client.post("/settings/budgets", data={"scope": scope, "cap": "12"})
    assert answer.status_code == 422
    assert "There is no such member." in answer.text or "Choose one of" in answer.text
    assert list_budgets(session, actor) == []
