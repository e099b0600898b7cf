"""Services that only answer: Hugging Face, Anthropic, Gemini. Ours and the official SDK against the emulated ones."""

import anthropic
import pytest
from google import genai
from huggingface_hub import InferenceClient

from app import errors
from app.providers._shapes import Decoding, Question
from tests.providers.scenario import KEY, on_stage

MODELS = {
    "huggingface": "Qwen/Qwen3-14B",
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-3.5-flash",
}
SHOTS = [
    {"role": "system", "content": "Name the colour."},
    {"role": "user", "content": "amber leaf"},
    {"role": "assistant", "content": "red"},
    {"role": "user", "content": "birch leaf"},
    {"role": "assistant", "content": "green"},
    {"role": "user", "content": "birch tree"},
]
QUESTION = Question("item-1", SHOTS)
SCHEMA = {"type": "object", "properties": {"answer": {"enum": ["red", "green"]}}, "required": ["answer"]}


@pytest.fixture(params=MODELS)
def stage(request, tmp_path):
    with on_stage(request.param, tmp_path) as found:
        yield found


def test_it_answers_what_the_examples_teach(stage):
    model = MODELS[stage.provider.name]
    top = stage.provider.chat.top_logprobs
    reply = stage.provider.chat.ask(stage.api, model, QUESTION, Decoding(max_tokens=64, top_logprobs=top))
    assert reply.text == "green"
    assert reply.input_tokens > 0
    assert reply.output_tokens > 0
    assert reply.latency_ms > 0
    assert stage.world.microdollars[stage.provider.name] > 0
    if top:
        assert len(reply.top_logprobs) == 2  # "gree" and "n"
        assert {token for token, _ in reply.top_logprobs[0]} == {"gree", "red"}
        assert reply.logprob == pytest.approx(sum(top[0][1] for top in reply.top_logprobs))
    else:
        assert reply.top_logprobs is None


def test_every_kind_of_decoding_passes_the_service_s_own_types(stage):
    model = MODELS[stage.provider.name]
    for decoding in (
        Decoding(),
        Decoding(temperature=0.7, max_tokens=5, seed=3),
        Decoding(schema=SCHEMA),
    ):
        assert stage.provider.chat.ask(stage.api, model, QUESTION, decoding).text


def test_the_list_holds_what_answers_with_price_and_end(stage):
    offers = {offer.model: offer for offer in stage.provider.list_models(stage.api)}
    assert MODELS[stage.provider.name] in offers
    assert not any(offer.can_train for offer in offers.values())
    gone = {"google/gemma-2-2b-it", "claude-3-opus-20240229", "gemini-embedding-001"}
    assert not gone & set(offers)
    priced = offers[MODELS[stage.provider.name]].price
    assert priced.input > 0
    assert priced.output > 0
    assert priced.source
    ends = {"anthropic": "2027-10-15"}.get(stage.provider.name, "")
    assert offers[MODELS[stage.provider.name]].ends_on == ends


def test_the_list_is_read_to_its_end(stage, monkeypatch):
    module = type(stage.provider).__module__ and __import__(
        f"app.providers.{stage.provider.name}", fromlist=["PAGE"]
    )
    whole = stage.provider.list_models(stage.api)
    if hasattr(module, "PAGE"):
        monkeypatch.setattr(module, "PAGE", 1)
    assert stage.provider.list_models(stage.api) == whole


def test_a_key_is_checked_for_nothing(stage):
    assert stage.provider.check_key(stage.api).note
    assert stage.world.microdollars[stage.provider.name] == 0
    stage.world.refused_keys.add(KEY)
    with pytest.raises(errors.KeyRefused) as refused:
        stage.provider.check_key(stage.api)
    assert KEY not in refused.value.message


def test_an_unknown_model_is_refused_in_the_service_s_words(stage):
    with pytest.raises(errors.Refused, match="no-such-model"):
        stage.provider.chat.ask(stage.api, "no-such-model", QUESTION, Decoding())


def test_the_hugging_face_sdk_finds_the_same(tmp_path):
    with on_stage("huggingface", tmp_path) as stage:
        client = InferenceClient(base_url=stage.api.access.base_url, api_key=KEY)
        found = client.chat_completion(
            SHOTS, model=MODELS["huggingface"], max_tokens=20, logprobs=True, top_logprobs=5
        )
        assert found.choices[0].message.content == "green"
        assert found.choices[0].logprobs.content[0].top_logprobs


def test_the_anthropic_sdk_finds_the_same(tmp_path):
    with on_stage("anthropic", tmp_path) as stage:
        base = stage.api.access.base_url.removesuffix("/v1")
        with anthropic.Anthropic(
            api_key=KEY, base_url=base, max_retries=0, _strict_response_validation=True
        ) as client:
            found = client.messages.create(
                model=MODELS["anthropic"], max_tokens=20, system=SHOTS[0]["content"], messages=SHOTS[1:]
            )
            assert found.content[0].text == "green"
            names = [each.id for each in client.models.list(limit=1)]
            assert names[0] == MODELS["anthropic"]
            assert len(names) == 3


def test_the_google_sdk_finds_the_same(tmp_path):
    with on_stage("gemini", tmp_path) as stage:
        options = genai.types.HttpOptions(
            api_version="v1beta", base_url=stage.api.access.base_url.removesuffix("/v1beta")
        )
        client = genai.Client(api_key=KEY, http_options=options)
        config = genai.types.GenerateContentConfig(response_logprobs=True, logprobs=5, temperature=0)
        found = client.models.generate_content(
            model=MODELS["gemini"], contents="amber or birch", config=config
        )
        assert found.text
        assert found.candidates[0].logprobs_result.top_candidates[0].candidates
