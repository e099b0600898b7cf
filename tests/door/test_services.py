"""Hosted services behind the door, at their emulators: their own models, a run's tuned model, a chat of another shape."""

import openai
import pytest

from app.lab.budgets import add_budget
from app.tables import RemoteJobRow
from tests.door.conftest import add_run, calls, make_bearer, served
from tests.hosting import world  # noqa: F401  a fixture

pytestmark = pytest.mark.laptop
MODEL = "openai/gpt-4.1-mini-2025-04-14"
HELLO = [{"role": "user", "content": "Which?"}]


@pytest.fixture
def door(world, session, actor):  # noqa: F811
    """OpenAI's client against a door with a key for every service."""
    secret = make_bearer(session, actor)
    with (
        served() as address,
        openai.OpenAI(api_key=secret, base_url=f"{address}/v1", max_retries=0) as opened,
    ):
        yield opened


def test_models_of_services_are_listed_and_answer(door, session):
    assert MODEL in {each.id for each in door.models.list()}
    answer = door.chat.completions.create(model=MODEL, messages=HELLO, logprobs=True, top_logprobs=3)
    assert answer.model == MODEL
    assert answer.choices[0].message.content
    first = answer.choices[0].logprobs.content[0]
    assert first.top_logprobs[0].token == first.token
    record = calls(session)[0]
    assert (record.provider, record.status, record.reserved_microdollars) == ("openai", 200, 0)
    read, written = answer.usage.prompt_tokens, answer.usage.completion_tokens
    assert record.cost_microdollars == round(read * 0.4 + written * 1.6)


def test_a_tuned_model_answers_by_its_run(door, session, actor):
    run = add_run(session, actor, MODEL)
    session.add(
        RemoteJobRow(
            run_id=run.id,
            provider="openai",
            base_url="http://127.0.0.1",
            model=MODEL.removeprefix("openai/"),
            tuned_model="ft:gpt-4.1-mini-2025-04-14:lab::x1",
        )
    )
    session.commit()
    assert f"run-{run.id}" in {each.id for each in door.models.list()}
    # The emulator never trained it, and says so of the name that the service knows it by.
    with pytest.raises(openai.NotFoundError, match="lab::x1"):
        door.chat.completions.create(model=f"run-{run.id}", messages=HELLO)
    record = calls(session)[0]
    assert (record.run_id, record.provider, record.cost_microdollars) == (run.id, "openai", 0)


def test_a_chat_of_another_shape_comes_as_one_piece(door, session, actor):
    name = "anthropic/claude-haiku-4-5"
    with pytest.raises(openai.RateLimitError, match="Nobody knows"):
        door.chat.completions.create(model=name, messages=HELLO)
    add_budget(session, actor, "run", 0.01)
    add_budget(session, actor, "project", 1.0, allow_unknown=True)
    session.commit()
    for wrong in ({"stop": "x"}, {"top_p": 0.5}, {"n": 2}, {"logprobs": True}, {"reasoning_effort": "low"}):
        with pytest.raises(openai.BadRequestError):
            door.chat.completions.create(model=name, messages=HELLO, **wrong)
    whole = door.chat.completions.create(model=name, messages=HELLO, max_tokens=50)
    assert whole.choices[0].message.content
    chunks = list(door.chat.completions.create(model=name, messages=HELLO, max_tokens=50, stream=True))
    assert [bool(each.choices[0].delta.content) for each in chunks].count(True) == 1
    assert [each.provider for each in calls(session)] == ["anthropic", "anthropic"]
