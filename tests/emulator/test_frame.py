"""The emulator's own frame: faults, clock, paces, presigned files, control over HTTP. With plain HTTP calls."""

import json
import subprocess
import sys
import time

import httpx
import openai
import pytest

from tests.emulator import emulator
from tests.emulator._answers import pupil_of
from tests.emulator._world import Pace, Timeline, World

KEY = {"authorization": "Bearer sk-test"}
QUESTION = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "is this red or blue"}]}


@pytest.fixture
def world():
    with emulator() as found:
        yield found


def chat(world: World, body=QUESTION, **options) -> httpx.Response:
    return httpx.post(world.url("openai", "/v1/chat/completions"), json=body, headers=KEY, **options)


def test_unknown_fields_keys_and_addresses_are_refused(world):
    assert chat(world).status_code == 200
    assert chat(world, {**QUESTION, "temprature": 1}).status_code == 400
    assert "temprature" in chat(world, {**QUESTION, "temprature": 1}).json()["error"]["message"]
    assert httpx.post(world.url("openai", "/v1/chat/completions"), json=QUESTION).status_code == 401
    assert httpx.get(world.url("openai", "/v1/nothing"), headers=KEY).status_code == 404
    assert httpx.get(world.url("openai", "/v1/files?page=2"), headers=KEY).status_code == 400


def test_faults_come_as_often_as_they_were_asked_for(world):
    world.fail("openai POST *completions", 429, headers={"retry-after": "2"}, times=2, skip=1)
    assert [chat(world).status_code for _ in range(4)] == [200, 429, 429, 200]


def test_a_dropped_answer_may_have_had_its_effect(world):
    upload = {"files": {"file": ("a.jsonl", b"{}\n")}, "data": {"purpose": "batch"}, "headers": KEY}
    for effect, number in ((False, 0), (True, 1)):
        world.fail("openai POST /v1/files", "drop", effect=effect)
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(world.url("openai", "/v1/files"), **upload)
        assert len(world.things["openai", "main", "file"]) == number


@pytest.mark.parametrize(("kind", "seen"), [("garbage", ValueError), ("html", ValueError)])
def test_spoilt_bodies_are_not_json(world, kind, seen):
    world.fail("*", kind)
    with pytest.raises(seen):
        chat(world).json()


def test_a_cut_body_is_noticed_and_an_edited_one_carries_the_edit(world):
    world.fail("*", "cut")
    with pytest.raises(httpx.RemoteProtocolError):
        chat(world)
    world.fail("*", "edit", edit={"model": "another"})
    assert chat(world).json()["model"] == "another"


def test_downloads_go_on_from_a_byte_and_can_be_cut(world):
    url = world.put_blob(bytes(range(200)))
    assert httpx.get(url).content == bytes(range(200))
    part = httpx.get(url, headers={"range": "bytes=150-"})
    assert (part.status_code, part.content) == (206, bytes(range(150, 200)))
    world.fail("_files GET *", "cut")
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(url)
    address, token = world.upload_url()
    httpx.put(address, content=b"weights")
    assert world.blobs[token] == b"weights"


def test_a_pace_refuses_what_is_too_much(world):
    world.paces["openai"] = Pace(per_second=0.5, burst=3)
    answers = [chat(world) for _ in range(5)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 2
    assert 0 < float(refused[0].headers["retry-after-ms"]) <= 2000


def test_a_timeline_moves_by_the_clock():
    world = World(speed=10)
    line = Timeline([("queued", 10), ("running", 100)], "succeeded", world.now())
    assert line.state(world) == "queued"
    world.advance(6)
    assert (line.state(world), line.progress(world, "running")) == ("running", pytest.approx(0.5, abs=0.02))
    world.advance(6)
    assert line.state(world) == "succeeded"
    assert not line.stop(world, "cancelled")


def test_a_tuned_model_answers_like_its_nearest_row():
    rows = [("the sky is blue today", "sky"), ("green grass grows", "land"), ("deep sea", "water")]
    lines = [
        {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": label}]}
        for text, label in rows
    ]
    pupil = pupil_of(["\n".join(json.dumps(line) for line in lines).encode()])
    found = pupil.distribution("grass is green")
    assert next(iter(found)) == "land"
    assert sum(found.values()) == pytest.approx(1)
    assert set(found) == {"sky", "land", "water"}


def test_log_probabilities_fit_the_answer(world):
    shots = [("red rose", "red"), ("blue sea", "blue"), ("grey fog", "grey")]
    messages = []
    for text, label in shots:
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": label}]
    body = {**QUESTION, "messages": [*messages, {"role": "user", "content": "a blue sea again"}]}
    client = openai.OpenAI(api_key="sk-test", base_url=world.url("openai", "/v1"), max_retries=0)
    with client:
        choice = client.chat.completions.create(**body, logprobs=True, top_logprobs=5).choices[0]
    assert choice.message.content == "blue"
    top = choice.logprobs.content[0].top_logprobs
    assert next(each.token for each in top) == "blue"
    assert {each.token for each in top} == {"red", "blue", "grey"}
    assert choice.logprobs.content[0].logprob == max(each.logprob for each in top)


def test_a_process_is_driven_over_http():
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.emulator", "--speed", "7"], stdout=subprocess.PIPE, text=True
    )
    try:
        base = process.stdout.readline().strip()
        control = f"{base}/_emulator"
        assert httpx.get(f"{control}/state").json()["speed"] == 7
        httpx.post(f"{control}/faults", json={"route": "openai *", "kind": 503})
        url = f"{base}/openai/v1/chat/completions"
        codes = [httpx.post(url, json=QUESTION, headers=KEY).status_code for _ in range(2)]
        assert codes == [503, 200]
        assert httpx.get(f"{control}/state").json()["calls"] == 2
        httpx.post(f"{control}/reset")
        assert httpx.get(f"{control}/state").json()["calls"] == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_it_answers_many_at_once_and_quickly(world):
    started = time.monotonic()
    with httpx.Client(headers=KEY) as client:
        for _ in range(100):
            client.post(world.url("openai", "/v1/chat/completions"), json=QUESTION)
    assert time.monotonic() - started < 5
