"""Azure OpenAI: its own address, header, byte order mark and deployments; with the official SDK beside."""

import openai
import pytest

from app import errors
from app.providers import azure as ours
from app.providers._shapes import Decoding, Phase
from app.service_http import Access
from tests.emulator.azure import deploy
from tests.providers.scenario import COLOURS, KEY, ask, on_stage, questions


@pytest.fixture
def stage(tmp_path):
    with on_stage("azure", tmp_path) as found:
        yield found


@pytest.fixture
def sdk(stage):
    address = stage.api.access.base_url
    headers = {"api-key": KEY}
    with openai.OpenAI(
        api_key="unused",
        base_url=address,
        default_headers=headers,
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client


def test_a_training_ends_with_a_model_that_must_be_deployed(stage):
    job = stage.job()
    done = stage.finish(stage.submit(job).id)
    assert done.phase == Phase.DONE
    assert ".ft-" in done.model
    assert len(done.model) <= 64  # the longest name of a deployment
    assert done.resolved == {**job.hyperparameters, "seed": 7}
    with pytest.raises(errors.KeyRefused) as failure:
        ask(stage, done.model, 1)
    assert done.model in failure.value.hint
    deploy(stage.world, done.model, done.model)
    assert ask(stage, done.model) == [COLOURS[number % 10 % 3] for number in range(6)]


def test_files_begin_with_a_byte_order_mark_and_are_waited_for(stage):
    job = stage.job()
    files = stage.upload(job)
    assert stage.world.count("azure GET /openai/v1/files/*") > 0
    kept = stage.world.things["azure", "main", "file"][files["train"]]["_content"]
    assert kept.startswith(b"\xef\xbb\xbf{")


def test_a_file_without_the_mark_fails_with_the_services_words(stage, tmp_path):
    job = stage.job()
    path = tmp_path / "bare.jsonl"
    path.write_bytes(
        kept := stage.folder.joinpath("train.jsonl").read_bytes()[3:] if stage.upload(job) else b""
    )
    assert kept.startswith(b"{")
    bare = stage.provider.training.upload(stage.api, path, "train", job)
    stage.world.advance(1)
    made = stage.provider.training.submit(stage.api, job, {"train": bare.id})
    failed = stage.finish(made.id)
    assert failed.phase == Phase.FAILED
    assert "byte order mark" in failed.message


def test_the_address_may_be_written_short(stage):
    resource = stage.api.access.base_url.removesuffix("/openai/v1")
    # The emulated service has a prefix; a real resource has none, so only the bare host gets the path.
    api = ours.connect(Access("Azure", "https://mine.openai.azure.com", "k"), stage.api.client)
    assert api.url("models") == "https://mine.openai.azure.com/openai/v1/models"
    given = ours.connect(Access("Azure", f"{resource}/openai/v1", KEY), stage.api.client)
    assert given.url("models") == f"{resource}/openai/v1/models"
    assert given.headers == {"user-agent": "tunebook", "api-key": KEY}


def test_a_bearer_key_is_not_what_azure_takes(stage):
    with pytest.raises(errors.KeyRefused):
        stage.api.get("models", headers={"api-key": "", "authorization": f"Bearer {KEY}"})


def test_the_same_with_the_official_sdk(stage, sdk):
    job = stage.job()
    files = stage.upload(job)
    assert sdk.files.retrieve(files["train"]).status == "processed"
    made = sdk.fine_tuning.jobs.create(
        model=job.model, training_file=files["train"], metadata={"tunebook": job.launch_key}
    )
    assert [each.id for each in stage.provider.training.find(stage.api, job.launch_key)] == [made.id]
    stage.world.advance(10)
    done = sdk.fine_tuning.jobs.retrieve(made.id)
    assert done.status == "succeeded"
    deploy(stage.world, "mine", done.fine_tuned_model)
    asked = questions(1)[0].messages
    reply = sdk.chat.completions.create(model="mine", messages=asked, logprobs=True, top_logprobs=2)
    assert reply.choices[0].message.content == "red"
    ours_reply = stage.provider.chat.ask(stage.api, "mine", questions(1)[0], Decoding(top_logprobs=2))
    assert ours_reply.text == "red"
    with pytest.raises(openai.NotFoundError):
        sdk.chat.completions.create(model=job.model, messages=asked)


def test_offers_say_until_when_they_can_be_tuned(stage):
    offers = {offer.model: offer for offer in stage.provider.list_models(stage.api)}
    assert offers["gpt-4.1-2025-04-14"].ends_on == "2027-04-01"
    assert "gpt-5.4" not in offers
    done = stage.finish(stage.submit(stage.job()).id)
    tuned = stage.provider.training.list_tuned(stage.api)
    assert done.model in [each.model for each in tuned]
    assert {each.base for each in tuned} == {"gpt-4.1-mini-2025-04-14"}


def test_an_unknown_price_is_not_guessed(stage):
    assert stage.provider.training.estimate(stage.job()).microdollars is None
