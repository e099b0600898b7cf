"""Mistral: a job that is created, then started; the limits of its files; batches; the official SDK for chat."""

import json

import pytest
from mistralai.client import Mistral

from app import errors
from app.providers._base import Repeat
from app.providers._shapes import Decoding, Phase
from tests.providers.scenario import COLOURS, KEY, ask, on_stage, questions

KEY_OF_RUN = "tb-0123456789abcdef"


@pytest.fixture
def stage(tmp_path):
    with on_stage("mistral", tmp_path) as found:
        yield found


def test_a_training_from_file_to_answer(stage):
    job = stage.job(count=60)
    made = stage.submit(job)
    done = stage.finish(made.id)
    assert (done.phase, done.launch_key) == (Phase.DONE, KEY_OF_RUN)
    assert done.resolved == job.hyperparameters
    assert done.model.startswith(f"ft:{job.model}:0123456789abcdef:")
    assert done.cost_microdollars == 4_000_000
    assert {point.name for point in stage.points(done)} == {"loss", "validation_loss"}
    assert [point.step for point in stage.points(done) if point.name == "loss"] == [5, 10, 15, 20]
    assert ask(stage, done.model) == [COLOURS[number % 10 % 3] for number in range(6)]
    assert [each.model for each in stage.provider.training.list_tuned(stage.api)] == [done.model]


def test_creating_costs_nothing_and_starting_is_a_call_of_its_own(stage):
    training, job = stage.provider.training, stage.job(count=60)
    assert training.repeat == Repeat.FREE_CREATE
    made = training.submit(stage.api, job, stage.upload(job))
    with pytest.raises(errors.Busy):
        training.start(stage.api, made.id)
    stage.world.advance(100)
    waiting = training.poll(stage.api, made.id)
    assert (waiting.state, waiting.phase) == ("VALIDATED", Phase.WAITING)
    assert stage.world.microdollars["mistral"] == 0
    assert [each.id for each in training.find(stage.api, KEY_OF_RUN)] == [made.id]
    assert training.find(stage.api, "tb-ffffffffffffffff") == []
    training.start(stage.api, made.id)
    stage.world.advance(1)
    assert training.start(stage.api, made.id).state == "RUNNING"  # started already: nothing is sent
    assert len([made for made in stage.world.made if made.kind == "start"]) == 1
    assert stage.finish(made.id).phase == Phase.DONE


def test_a_second_like_job_is_refused_by_the_service(stage):
    training, job = stage.provider.training, stage.job(count=60)
    files = stage.upload(job)
    training.submit(stage.api, job, files)
    with pytest.raises(errors.AlreadyThere):
        training.submit(stage.api, job, files)
    assert len([made for made in stage.world.made if made.kind == "job"]) == 1


def test_the_same_file_is_sent_twice_and_kept_once(stage):
    job = stage.job(count=60)
    assert stage.upload(job) == stage.upload(job)


def test_of_the_validation_part_go_the_rows_that_fit(stage):
    train, validation = stage.folder / "train.jsonl", stage.folder / "validation.jsonl"
    train.write_bytes(b"x" * 10_000)
    validation.write_bytes(b"1" * 199 + b"\n" + b"2" * 199 + b"\n" + b"3" * 199 + b"\n")
    sent = stage.provider.training.upload(stage.api, validation, "validation", stage.job())
    assert (sent.raw["rows_sent"], sent.raw["bytes"]) == (2, 400)


def test_a_file_that_cannot_be_taken_is_refused_before_it_is_sent(stage):
    train, validation = stage.folder / "train.jsonl", stage.folder / "validation.jsonl"
    train.write_bytes(b"x" * 100)
    validation.write_bytes(b"x" * 6)
    with pytest.raises(errors.Refused, match="Not one validation item fits"):
        stage.provider.training.upload(stage.api, validation, "validation", stage.job())
    with train.open("wb") as file:
        file.truncate(512 * 10**6 + 1)
    with pytest.raises(errors.Refused, match="takes at most 512 MB"):
        stage.provider.training.upload(stage.api, train, "train", stage.job())
    assert not stage.world.seen


def test_cancelling(stage):
    made = stage.submit(stage.job(count=60))
    stage.provider.training.cancel(stage.api, made.id)
    assert stage.provider.training.poll(stage.api, made.id).phase == Phase.CANCELLED


def test_a_batch_from_file_to_answers(stage, tmp_path):
    done = stage.finish(stage.submit(stage.job(count=60)).id)
    batch, decoding = stage.provider.batch, Decoding(max_tokens=20)
    path = tmp_path / "questions.jsonl"
    lines = [json.dumps(batch.line(done.model, question, decoding)) for question in questions(5)]
    path.write_text("\n".join([*lines, ""]))
    made = batch.submit(stage.api, path, done.model, decoding, "tb-batch")
    assert [each.id for each in batch.find(stage.api, "tb-batch")] == [made.id]
    stage.world.advance(1000)
    ended = batch.poll(stage.api, made.id)
    assert (ended.phase, ended.done, ended.total) == (Phase.DONE, 5, 5)
    found = {answer.key: answer.reply.text for answer in batch.read(stage.api, ended, tmp_path)}
    assert found == {f"item-{number}": COLOURS[number % 10 % 3] for number in range(5)}


def test_the_list_tells_models_that_train(stage):
    offers = stage.provider.list_models(stage.api)
    assert all(offer.can_train and offer.context_tokens == 32_768 for offer in offers)
    assert "fine-tuned" in stage.provider.check_key(stage.api).note


def test_the_official_sdk_chats_with_the_tuned_model(stage):
    done = stage.finish(stage.submit(stage.job(count=60)).id)
    base = stage.api.access.base_url.removesuffix("/v1")
    with Mistral(api_key=KEY, server_url=base) as client:
        found = client.chat.complete(model=done.model, messages=questions(1)[0].messages, temperature=0)
        assert found.choices[0].message.content == COLOURS[0]
        assert done.model in [each.id for each in client.models.list().data]


def test_the_base_url_may_be_written_with_or_without_its_version(stage):
    from app.providers.mistral import connect
    from app.service_http import Access

    for written in ("https://api.mistral.ai", "https://api.mistral.ai/v1"):
        assert connect(Access("Mistral", written), None).url("files") == "https://api.mistral.ai/v1/files"
