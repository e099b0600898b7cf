"""Old names: mapped to a model, heeded at once, told in the answer and in the record."""

import pytest

from app.door.aliases import list_aliases, set_alias
from app.errors import Forbidden, Invalid
from app.lab.actor import Actor
from tests.door.conftest import add_run, calls

OLD = "ft:gpt-4o-mini:lab::abc"
HELLO = [{"role": "user", "content": "one two"}]


def test_an_old_name_is_answered_by_its_successor(client, inference, session, actor):
    first, second = add_run(session, actor), add_run(session, actor)

    def ask():
        body = {"model": OLD, "messages": HELLO}
        return client.post("/v1/chat/completions", json=body).json()["model"]

    for run in (first, second):
        made = client.post("/api/v1/aliases", json={"name": OLD, "model": f"run-{run.id}"})
        assert made.status_code == 201, made.text
        assert ask() == f"run-{run.id}"
    assert [(each.asked_model, each.run_id) for each in calls(session)] == [(OLD, first.id), (OLD, second.id)]
    listed = client.get("/api/v1/aliases").json()["aliases"]
    assert [(each["name"], each["model"], each["trouble"]) for each in listed] == [
        (OLD, f"run-{second.id}", "")
    ]
    assert client.delete(f"/api/v1/aliases/{listed[0]['id']}").status_code == 204
    gone = client.post("/v1/chat/completions", json={"model": OLD, "messages": HELLO})
    assert gone.json()["error"]["code"] == "model_not_found"


def test_what_cannot_be_mapped(session, actor):
    run = f"run-{add_run(session, actor).id}"
    for name, model, field in (
        ("", run, "name"),
        (run, run, "name"),
        ("ft:x::run-7", run, "name"),
        ("old", "nothing/here", "model"),
        ("old", "old", "model"),
        ("old", run + "0000", "model"),
    ):
        with pytest.raises(Invalid) as wrong:
            set_alias(session, actor, name, model)
        assert field in wrong.value.fields, (name, model)
    set_alias(session, actor, "old", run)
    with pytest.raises(Invalid, match="old name itself"):
        set_alias(session, actor, "older", "old")
    with pytest.raises(Forbidden):
        set_alias(session, Actor(actor.member_id, actor.project_id, "v", "viewer"), "x", run)
    assert [line.name for line in list_aliases(session, actor)] == ["old"]
