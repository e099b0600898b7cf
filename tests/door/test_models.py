"""Names of models at the door, and errors in OpenAI's shape."""

import pytest

from app.door.targets import find_target, list_targets
from app.errors import ModelNotFound, Unavailable
from app.lab.sign_in import make_token
from app.tables import ModelAlias, RunState, TokenKind
from app.web.session import COOKIE
from tests.door.conftest import add_run
from tests.pages import stranger as somebody_else


def alias(session, actor, name, model):
    owner = {"project_id": actor.project_id, "maker_id": actor.member_id}
    session.add(ModelAlias(**owner, name=name, model=model))
    session.commit()


def test_a_run_goes_by_each_of_its_names(client, session, actor):
    run = add_run(session, actor)
    alias(session, actor, "ft:gpt-4o-mini:lab::abc", f"run-{run.id}")
    for name in (f"run-{run.id}", f"ft:starter/tiny:lab::run-{run.id}", "ft:gpt-4o-mini:lab::abc"):
        answer = client.get(f"/v1/models/{name}")
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["object"] == "model"
        assert (found["id"], found.get("served_by", found["id"])) == (name, f"run-{run.id}")
    listed = client.get("/v1/models").json()
    ids = [each["id"] for each in listed["data"]]
    assert listed["object"] == "list"
    assert {f"run-{run.id}", "ft:gpt-4o-mini:lab::abc"} <= set(ids)
    assert all(set(each) >= {"id", "object", "created", "owned_by"} for each in listed["data"])


def test_what_is_needed_to_ask_a_local_run(session, actor):
    run = add_run(session, actor)
    target = find_target(session, actor, f"run-{run.id}")
    assert (target.kind, target.model, target.is_free) == ("local", f"run-{run.id}", True)
    assert target.weights["kind"] == "starter"
    baseline = add_run(session, actor, "baseline/majority")
    assert find_target(session, actor, f"run-{baseline.id}").kind == "baseline"


def test_what_has_no_model_says_why(session, actor):
    waiting = add_run(session, actor, state=RunState.TRAINING)
    with pytest.raises(Unavailable, match="training"):
        find_target(session, actor, f"run-{waiting.id}")
    for model in ("imported/x", "prompt/openai/gpt-4o"):
        run = add_run(session, actor, model)
        with pytest.raises(ModelNotFound):
            find_target(session, actor, f"run-{run.id}")
    assert not [each for each in list_targets(session, actor) if each.run_id]


def test_another_projects_run_is_none_of_ours(session, actor):
    theirs = add_run(session, somebody_else(session))
    with pytest.raises(ModelNotFound):
        find_target(session, actor, f"run-{theirs.id}")


@pytest.mark.laptop
@pytest.mark.parametrize(
    "name", ["gpt-5", "run-", "run-999999999999999", "nobody/knows", "endpoint/none", "a" * 400]
)
def test_a_name_that_is_none(client, name):
    answer = client.get(f"/v1/models/{name}")
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "model_not_found")
    assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.laptop
def test_every_error_below_v1_has_openais_shape(client, session, actor):
    none = {"authorization": ""}
    for method, path, headers, status, code in (
        ("GET", "/v1/nothing", {}, 404, "not_found"),
        ("DELETE", "/v1/models", {}, 405, None),
        ("GET", "/v1/models", none, 401, "invalid_api_key"),
        ("GET", "/v1/models", {"authorization": "Bearer tb_wrong"}, 401, "invalid_api_key"),
        ("POST", "/v1/models", {"origin": "https://evil.example"}, 403, None),
        ("GET", "/v1/models", {"host": "evil.example"}, 400, None),
    ):
        answer = client.request(method, path, headers=headers)
        assert answer.status_code == status, (path, answer.text)
        assert answer.headers["content-type"] == "application/json"
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert answer.json()["error"]["code"] == code
    secret = make_token(session, actor, TokenKind.SESSION)
    session.commit()
    client.cookies.set(COOKIE, secret)
    assert client.get("/datasets", headers=none).status_code == 200
    assert client.get("/v1/models", headers=none).status_code == 401
