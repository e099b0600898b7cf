"""POST /v1/chat/completions with OpenAI's own client, for models that answer here."""

import json
import time

import httpx
import openai
import pytest

from app.tables import Project, Token
from tests.door.conftest import add_run, calls, make_bearer, served

HELLO = [{"role": "user", "content": "one two three"}]


def test_whole_and_streamed_answers_parse_with_the_official_client(door, inference, session, actor):
    name = f"run-{add_run(session, actor).id}"
    whole = door.chat.completions.create(
        model=name, messages=HELLO, logprobs=True, top_logprobs=2, seed=3, stop="x", max_completion_tokens=9
    )
    type(whole).model_validate(whole.model_dump(), strict=False)
    choice = whole.choices[0]
    assert (whole.model, whole.object, choice.finish_reason) == (name, "chat.completion", "stop")
    assert choice.message.content == "one two three"
    assert [each.token for each in choice.logprobs.content] == ["one", " two", " three"]
    assert [(top.token, top.logprob) for top in choice.logprobs.content[0].top_logprobs] == [
        ("one", -0.1),
        ("other", -2.5),
    ]
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens) == (7, 3, 10)
    sent = inference.asked[0]
    assert (sent["seed"], sent["stop"], sent["max_tokens"], sent["temperature"]) == (3, ["x"], 9, 0.0)
    assert (sent["labels"], sent["choose"], sent["model"]["id"]) == (None, None, name)

    stream = list(
        door.chat.completions.create(
            model=name, messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(each.choices[0].delta.content or "" for each in stream if each.choices) == "one two three"
    assert stream[0].choices[0].delta.role == "assistant"
    assert [each.choices[0].finish_reason for each in stream if each.choices][-1] == "stop"
    assert (stream[-1].choices, stream[-1].usage.total_tokens) == ([], 10)
    assert len({each.id for each in stream}) == 1
    records = calls(session)
    assert [each.public_id for each in records] == [whole.id, stream[0].id]
    assert {(each.status, each.input_tokens, each.output_tokens, each.request) for each in records} == {
        (200, 7, 3, None)
    }


@pytest.mark.laptop
def test_several_choices_have_seeds_of_their_own(door, inference, session, actor):
    name = f"run-{add_run(session, actor).id}"
    found = door.chat.completions.create(model=name, messages=HELLO, n=3, seed=5, temperature=0.7)
    assert [each.index for each in found.choices] == [0, 1, 2]
    assert sorted(each["seed"] for each in inference.asked) == [5, 6, 7]
    assert found.usage.completion_tokens == 9
    stream = door.chat.completions.create(model=name, messages=HELLO, n=2, stream=True)
    texts = {0: "", 1: ""}
    for chunk in stream:
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts == {0: "one two three", 1: "one two three"}


@pytest.mark.laptop
def test_labels_tools_and_json(door, inference, session, actor):
    name = f"run-{add_run(session, actor).id}"
    inference.p = {"a": 0.75, "b": 0.25}
    assert door.chat.completions.create(model=name, messages=HELLO).label_probabilities == {
        "a": 0.75,
        "b": 0.25,
    }
    inference.p = None
    inference.says = ['[{"name":"weigh","arguments":{"what":"gold"}}]']
    tool = {"type": "function", "function": {"name": "weigh", "parameters": {"type": "object"}}}
    called = door.chat.completions.create(model=name, messages=HELLO, tools=[tool]).choices[0]
    assert called.finish_reason == "tool_calls"
    assert called.message.tool_calls[0].function.name == "weigh"
    assert json.loads(called.message.tool_calls[0].function.arguments) == {"what": "gold"}
    inference.says = []
    plain = door.chat.completions.create(model=name, messages=HELLO, tools=[tool]).choices[0]
    assert (plain.message.content, plain.message.tool_calls) == ("one two three", None)
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    door.chat.completions.create(model=name, messages=HELLO, response_format=shape)
    assert inference.asked[-1]["schema"] == {"type": "object"}


@pytest.mark.laptop
def test_what_cannot_be_heeded_is_refused_by_its_name(door, inference, session, actor):
    name = f"run-{add_run(session, actor).id}"
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]
    baseline = f"run-{add_run(session, actor, 'baseline/majority').id}"
    for wrong, param in (
        ({"temperature": 3}, "temperature"),
        ({"n": 99}, "n"),
        ({"frequency_penalty": 1}, "frequency_penalty"),
        ({"logit_bias": {"1": 5}}, "logit_bias"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"messages": image}, "messages[0].content"),
        ({"messages": []}, "messages"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"extra_body": {"top_k": 5}}, "top_k"),
        ({"model": baseline, "response_format": {"type": "json_object"}}, "response_format"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            door.chat.completions.create(**{"model": name, "messages": HELLO, **wrong})
        assert refused.value.param == param, (wrong, refused.value.body)
        assert refused.value.type == "invalid_request_error"
    assert not inference.asked
    door.chat.completions.create(
        model=name,
        messages=[
            {
                "role": "developer",
                "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": " brief"}],
            }
        ],
        user="me",
        store=True,
        metadata={"study": "7"},
        frequency_penalty=0,
        logit_bias={},
        parallel_tool_calls=True,
        service_tier="auto",
        modalities=["text"],
    )
    assert inference.asked[-1]["messages"] == [{"role": "developer", "content": "Be brief"}]
    assert calls(session)[-1].labels == {"study": "7"}


@pytest.mark.laptop
def test_errors_of_the_inference_process(door, inference, session, actor):
    name = f"run-{add_run(session, actor).id}"

    def ask():
        door.chat.completions.create(model=name, messages=HELLO)

    inference.error = (503, {"kind": "busy", "message": "A training runs.", "hint": "", "retryable": True})
    with pytest.raises(openai.InternalServerError) as busy:
        ask()
    assert busy.value.status_code == 503
    assert busy.value.response.headers["x-should-retry"] == "true"
    assert int(busy.value.response.headers["retry-after"]) >= 1
    inference.error = (413, {"kind": "too_long", "message": "Too long.", "hint": "", "retryable": False})
    with pytest.raises(openai.BadRequestError) as long:
        ask()
    assert long.value.code == "context_length_exceeded"
    inference.error, inference.cut_after = None, 1
    with pytest.raises(openai.InternalServerError):
        ask()
    with pytest.raises(openai.APIError, match="ended while"):
        list(door.chat.completions.create(model=name, messages=HELLO, stream=True))
    assert [each.status for each in calls(session)] == [503, 400, 503, 503]


@pytest.mark.laptop
def test_hanging_up_ends_the_generation(door, inference, session, actor):
    name = f"run-{add_run(session, actor).id}"
    inference.pause, inference.says = 0.05, ["word"] * 200
    stream = door.chat.completions.create(model=name, messages=HELLO, stream=True)
    next(stream)
    stream.close()
    with pytest.raises(openai.APITimeoutError):
        door.with_options(timeout=0.2).chat.completions.create(model=name, messages=HELLO)
    deadline = time.monotonic() + 5
    while inference.ended < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert inference.ended == 2
    assert [each.status for each in calls(session)] == [499, 499]


@pytest.mark.laptop
def test_what_a_project_records(door, inference, session, actor):
    name = f"run-{add_run(session, actor).id}"
    project = session.get_one(Project, actor.project_id)
    project.records_answers = True
    session.commit()
    door.chat.completions.create(model=name, messages=HELLO, temperature=0, seed=1)
    record = calls(session)[0]
    assert record.request == {"model": name, "messages": HELLO, "temperature": 0.0, "seed": 1}
    assert record.response["content"] == "one two three"
    assert record.latency_ms > 0


def test_a_token_that_ends_opens_nothing_from_that_moment(inference, session, actor):
    name = f"run-{add_run(session, actor).id}"
    secret = make_bearer(session, actor)
    with served() as address:
        bearer = {"authorization": f"Bearer {secret}"}

        def ask():
            body = {"model": name, "messages": HELLO}
            return httpx.post(f"{address}/v1/chat/completions", headers=bearer, json=body).status_code

        assert ask() == 200
        token = session.get_one(Token, calls(session)[0].token_id)
        token.ended_at = token.created_at
        session.commit()
        assert ask() == 401
        assert httpx.post(f"{address}/v1/chat/completions", content=b"nonsense").status_code == 401
