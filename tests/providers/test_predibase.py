"""Predibase: upload by address, a repository for each run, the stream of metrics, answers by adapter."""

import pytest

from app import errors
from app.providers._shapes import Decoding, Phase
from tests.providers.scenario import COLOURS, ask, on_stage, questions

RUN = "tb-0123456789abcdef"


@pytest.fixture
def stage(tmp_path):
    with on_stage("predibase", tmp_path, {"tenant": "tenant"}) as found:
        yield found


def test_a_training_from_file_to_answer(stage, tmp_path):
    job = stage.job()
    made = stage.submit(job)
    assert (made.launch_key, made.phase) == (RUN, Phase.WAITING)
    done = stage.finish(made.id)
    assert done.resolved == job.hyperparameters
    assert done.model == f"{job.model}#{RUN}/1"
    assert ask(stage, done.model) == [COLOURS[number % 10 % 3] for number in range(6)]
    written = stage.provider.training.fetch_weights(stage.api, done, tmp_path / "weights")
    assert sorted(path.name for path in written) == ["adapter_config.json", "adapter_model.safetensors"]


def test_the_stream_goes_on_from_its_cursor(stage):
    made = stage.submit(stage.job())
    stage.world.advance(20 / 60 + 130 / 60)
    running = stage.provider.training.poll(stage.api, made.id)
    first = stage.provider.training.metrics(stage.api, running, "")
    assert [(point.name, point.step) for point in first.points] == [
        ("loss", 10), ("loss", 20), ("validation_loss", 10), ("validation_loss", 20),
    ]  # fmt: skip
    done = stage.finish(made.id)
    rest = stage.provider.training.metrics(stage.api, done, first.cursor)
    assert {point.step for point in rest.points} == {30, 40}
    assert stage.provider.training.metrics(stage.api, done, rest.cursor).points == []


def test_a_stream_that_is_not_there_gives_no_points(stage):
    made = stage.submit(stage.job())
    stage.world.fail("predibase GET *stream", 500, times=-1)
    assert stage.provider.training.metrics(stage.api, made, "").points == []


def test_the_service_s_own_estimate(stage):
    job = stage.job()
    files = stage.upload(job)
    assert stage.provider.training.quote(stage.api, job, files).microdollars == 1_250_000


def test_a_job_is_found_by_its_repository(stage):
    stage.world.fail("predibase POST *jobs", "drop", effect=True)
    with pytest.raises(errors.Unclear):
        stage.submit(stage.job())
    (found,) = stage.provider.training.find(stage.api, RUN)
    assert found.launch_key == RUN
    assert [each.id for each in stage.provider.training.list_jobs(stage.api)] == [found.id]
    assert stage.provider.training.find(stage.api, "tb-ffffffffffffffff") == []
    assert len([made for made in stage.world.made if made.kind == "job"]) == 1


def test_cancelling(stage):
    made = stage.submit(stage.job())
    stage.provider.training.cancel(stage.api, made.id)
    assert stage.provider.training.poll(stage.api, made.id).phase == Phase.CANCELLED


def test_it_is_off_until_somebody_turns_it_on(stage):
    assert stage.provider.unverified


def test_a_deployment_answers_without_an_adapter(stage):
    assert stage.provider.chat.ask(stage.api, "solar-1-mini", questions(1)[0], Decoding()).text
