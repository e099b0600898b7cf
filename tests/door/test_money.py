"""What costs money at the door: endpoints and services, budgets of the lab and of the token, rights, keys that stay."""

from datetime import timedelta

import openai
import pytest

from app.clock import now
from app.door.money import LOST_SECONDS, settle_lost
from app.lab.actor import first_actor
from app.lab.budgets import add_budget, list_budgets
from app.lab.door_money import token_totals
from app.lab.spending import spending
from app.tables import DoorCall, Endpoint, EndpointState, Member, ProjectMember, Role, Scope
from app.vault import seal
from tests.door.conftest import add_run, calls, make_bearer, served
from tests.emulator.openai_chat import Fault, chat_server
from tests.fresh import forget_settings

KEY = "sk-canary-77aa10"
HELLO = [{"role": "user", "content": "How many?"}]
NAME = "endpoint/mine"


@pytest.fixture
def service(monkeypatch, home, session, actor):
    """An endpoint with a price of $1 in and $2 out for a million tokens, and its emulator."""
    monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
    with chat_server() as emulator:
        emulator.key = KEY
        forget_settings()
        session.add(
            Endpoint(
                project_id=actor.project_id,
                maker_id=actor.member_id,
                name="mine",
                base_url=emulator.base_url,
                model="big",
                sealed_key=seal(KEY),
                input_microdollars=1_000_000,
                output_microdollars=2_000_000,
                state=EndpointState.READY,
            )
        )
        session.commit()
        yield emulator


@pytest.fixture
def ask(service, session, actor):
    """ask(token's columns) gives a client of that token."""
    with served() as address:
        yield (
            lambda **values: (
                openai.OpenAI(
                    api_key=make_bearer(session, actor, **values), base_url=f"{address}/v1", max_retries=0
                ).chat.completions.create
            )
        )


def test_a_paid_answer_is_reserved_settled_and_counted(ask, service, session, actor):
    add_budget(session, actor, "project", 1.0)
    session.commit()
    answer = ask()(model=NAME, messages=HELLO, top_p=0.5, max_tokens=100, stop=["x"], presence_penalty=0.5)
    assert (answer.model, answer.choices[0].message.content) == (NAME, "MARK: 10")
    sent = service.calls[0]
    assert (sent["model"], sent["top_p"], sent["stop"], sent["presence_penalty"]) == ("big", 0.5, ["x"], 0.5)
    record = calls(session)[0]
    cost = answer.usage.prompt_tokens + 2 * answer.usage.completion_tokens
    assert (record.status, record.provider, record.cost_microdollars) == (200, "endpoint", cost)
    assert record.reserved_microdollars == 0
    assert spending(session, actor).total == cost
    assert [line.used for line in list_budgets(session, actor)] == [cost]


@pytest.mark.laptop
def test_a_services_stream_is_passed_on(ask, service, session):
    service.answer = lambda prompt: "one two three four"
    chunks = list(ask()(model=NAME, messages=HELLO, stream=True, stream_options={"include_usage": True}))
    texts = [
        each.choices[0].delta.content for each in chunks if each.choices and each.choices[0].delta.content
    ]
    assert texts == ["one", " two", " three", " four"]
    assert chunks[-1].usage.completion_tokens > 0
    assert {each.model for each in chunks} == {NAME}
    assert calls(session)[0].cost_microdollars > 0
    service.delay, service.answer = 0.05, lambda prompt: "word " * 100
    stream = ask()(model=NAME, messages=HELLO, stream=True)
    next(stream)
    stream.close()
    for _ in range(200):
        if calls(session)[-1].status:
            break
    gone = calls(session)[-1]
    assert (gone.status, gone.reserved_microdollars) == (499, 0)
    assert 0 < gone.cost_microdollars < 4096 * 2


@pytest.mark.laptop
def test_budgets_end_calls_with_openais_error(ask, service, session, actor):
    with pytest.raises(openai.RateLimitError) as over:
        ask(budget_microdollars=50)(model=NAME, messages=HELLO)
    assert (over.value.code, over.value.type) == ("insufficient_quota", "insufficient_quota")
    assert "token" in over.value.message
    assert over.value.response.headers["x-should-retry"] == "false"
    spends = ask(budget_microdollars=300)
    for _ in range(3):
        spends(model=NAME, messages=HELLO, max_tokens=50)
    last = calls(session)[-1]
    assert token_totals(session, [last.token_id, 99]) == {last.token_id: 3 * last.cost_microdollars}
    add_budget(session, actor, "lab", 0.000_01)
    session.commit()
    with pytest.raises(openai.RateLimitError, match="the lab's budget"):
        ask()(model=NAME, messages=HELLO)
    assert len(service.calls) == 3


@pytest.mark.laptop
def test_keys_never_cross_the_door(ask, service, session):
    service.faults = [Fault(400, f"max_tokens is too large for {KEY}"), Fault(500), Fault(429, "slow down")]
    with pytest.raises(openai.BadRequestError) as refused:
        ask()(model=NAME, messages=HELLO)
    assert "too large" in refused.value.message
    with pytest.raises(openai.InternalServerError) as broken:
        ask()(model=NAME, messages=HELLO)
    with pytest.raises(openai.RateLimitError):
        ask()(model=NAME, messages=HELLO)
    service.key = "another"
    with pytest.raises(openai.InternalServerError) as wrong:
        ask()(model=NAME, messages=HELLO)
    for error in (refused, broken, wrong):
        assert KEY not in str(error.value.body) + error.value.message
    assert "[key]" in refused.value.message
    records = calls(session)
    assert [each.status for each in records] == [400, 502, 429, 502]
    assert not [each for each in records if KEY in each.error]
    # Only where nobody knows whether it was done, the most that it may have cost is counted.
    assert [bool(each.cost_microdollars) for each in records] == [False, True, False, False]


@pytest.mark.laptop
def test_who_may_only_look_asks_what_is_free_and_nothing_else(ask, service, inference, session, actor):
    run = f"run-{add_run(session, actor).id}"
    reads = ask(scope=Scope.READ)
    assert reads(model=run, messages=HELLO).model == run
    with pytest.raises(openai.PermissionDeniedError, match="only reads"):
        reads(model=NAME, messages=HELLO)
    session.get_one(Member, actor.member_id).role = Role.VIEWER
    session.add(ProjectMember(project_id=actor.project_id, member_id=actor.member_id))
    session.commit()
    views = ask()
    assert views(model=run, messages=HELLO).model == run
    with pytest.raises(openai.PermissionDeniedError, match="viewer"):
        views(model=NAME, messages=HELLO)
    assert not service.calls


def test_calls_lost_in_a_crash_count_with_what_they_may_have_cost(session):
    actor = first_actor(session)
    owner = {"project_id": actor.project_id, "maker_id": actor.member_id, "asked_model": "x", "model": "x"}
    for at, provider in (("old", "openai"), ("new", "openai")):
        made = now() - timedelta(seconds=LOST_SECONDS + 5 if at == "old" else 0)
        session.add(
            DoorCall(**owner, public_id=at, provider=provider, reserved_microdollars=70, created_at=made)
        )
    session.commit()
    assert (settle_lost(), settle_lost()) == (1, 0)
    found = {each.public_id: each for each in calls(session)}
    assert (found["old"].status, found["old"].cost_microdollars, found["old"].reserved_microdollars) == (
        504,
        70,
        0,
    )
    assert (found["new"].status, found["new"].cost_microdollars, found["new"].reserved_microdollars) == (
        0,
        0,
        70,
    )
    assert spending(session, actor).total == 70
    assert spending(session, actor).reserved == 70
