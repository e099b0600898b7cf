"""Replicate: a form from the trainer's schema, defaults in the ledger, weights at once; the official SDK goes along."""

import pytest
import replicate

from app import errors
from app.providers._shapes import Decoding, Offer, Phase
from app.providers.replicate.form import prompt_of
from tests.emulator.replicate import PLAIN, TRAINER, VERSION
from tests.providers.scenario import COLOURS, KEY, ask, on_stage, questions


@pytest.fixture
def stage(tmp_path):
    with on_stage("replicate", tmp_path) as found:
        yield found


def test_a_training_from_form_to_answer(stage, tmp_path):
    job = stage.job()
    assert job.model == f"{TRAINER}:{VERSION}"
    assert stage.provider.training.problems(job) == []
    made = stage.submit(job)
    assert (made.phase, made.launch_key) == (Phase.WAITING, job.launch_key)
    done = stage.finish(made.id)
    assert done.resolved == {**job.hyperparameters, "seed": 7}
    assert done.model.startswith("lab/tunebook:")
    points = stage.points(done)
    assert [(point.name, point.step) for point in points] == [("loss", step) for step in range(1, 11)]
    assert points[1].value == 1.0
    assert len(stage.lines(done)) == 10
    assert ask(stage, done.model) == [COLOURS[number % 10 % 3] for number in range(6)]
    written = stage.provider.training.fetch_weights(stage.api, done, tmp_path / "weights")
    assert sorted(path.name for path in written) == ["adapter_config.json", "adapter_model.safetensors"]
    assert sorted(path.name for path in (tmp_path / "weights").iterdir()) == sorted(
        path.name for path in written
    )


def test_the_form_is_the_schema_s(stage):
    (offer,) = stage.provider.list_models(stage.api)
    fields = {field.name: field for field in stage.provider.training.hyperparameters(offer)}
    assert list(fields) == ["epochs", "batch_size", "learning_rate", "lora_r", "packing", "peft_method"]
    assert (fields["epochs"].kind, fields["epochs"].minimum, fields["epochs"].default) == ("int", 1, 1)
    assert (fields["peft_method"].kind, fields["peft_method"].choices) == ("choice", ("lora", "qlora"))
    assert fields["packing"].kind == "bool"
    values = stage.provider.training.suggest(offer, {})
    assert values["learning_rate"] == 1e-4


def test_a_version_is_looked_up_by_its_trainer_s_name(stage):
    found = stage.provider.look_at_model(stage.api, Offer(TRAINER))
    assert found.model == f"{TRAINER}:{VERSION}"
    assert found.can_train
    with pytest.raises(errors.Refused, match="trains nothing"):
        stage.provider.look_at_model(stage.api, Offer(f"{TRAINER}:{PLAIN}"))
    with pytest.raises(errors.Gone):
        stage.provider.look_at_model(stage.api, Offer("nobody/nothing"))
    with pytest.raises(errors.Refused, match="no trainer's name"):
        stage.provider.look_at_model(stage.api, Offer("llama"))


def test_a_trainer_that_is_gone_is_refused_before_the_create(stage):
    job = stage.job(offer=Offer("nobody/nothing:123", limits={"properties": {"train_data": {}}}))
    with pytest.raises(errors.Refused, match="has no trainer"):
        stage.provider.training.check(stage.api, job, {})
    assert not stage.world.made


def test_without_a_files_api_the_data_travels_in_the_call(stage):
    stage.world.fail("replicate POST /v1/files", 404, times=9)
    job = stage.job()
    made = stage.submit(job)
    assert made.launch_key == job.launch_key
    assert len(made.raw["input"]["train_data"]) == 200
    done = stage.finish(made.id)
    assert ask(stage, done.model, 2) == [COLOURS[0], COLOURS[1]]
    (stage.folder / "train.jsonl").write_bytes(b"x" * 300_000)
    with pytest.raises(errors.Refused, match="300,000 bytes are too many"):
        stage.provider.training.upload(stage.api, stage.folder / "train.jsonl", "train", job)


def test_a_training_is_found_on_any_page_of_the_list(stage):
    first = stage.submit(stage.job())
    for number in range(3):
        stage.submit(stage.job(launch_key=f"tb-{number:016x}"))
    (found,) = stage.provider.training.find(stage.api, "tb-0123456789abcdef")
    assert found.id == first.id
    assert len(list(stage.provider.training.list_jobs(stage.api))) == 4
    assert stage.provider.training.find(stage.api, "tb-ffffffffffffffff") == []


def test_the_destination_is_made_once(stage):
    stage.submit(stage.job())
    stage.submit(stage.job(launch_key="tb-ffffffffffffffff"))
    made = [seen for seen in stage.world.seen if seen.route == "replicate POST /v1/models"]
    assert [seen.status for seen in made] == [201]


def test_a_lost_answer_to_the_create_is_unclear_and_the_training_is_found(stage):
    stage.world.fail("replicate POST *trainings", "drop", effect=True)
    with pytest.raises(errors.Unclear):
        stage.submit(stage.job())
    assert len(stage.provider.training.find(stage.api, "tb-0123456789abcdef")) == 1
    assert len([made for made in stage.world.made if made.kind == "job"]) == 1


def test_cancelling(stage):
    made = stage.submit(stage.job())
    stage.provider.training.cancel(stage.api, made.id)
    assert stage.provider.training.poll(stage.api, made.id).phase == Phase.CANCELLED


def test_an_unknown_version_does_not_answer(stage):
    with pytest.raises(errors.Gone):
        stage.provider.chat.ask(stage.api, "lab/tunebook:none", questions(1)[0], Decoding())


def test_the_official_sdk_goes_the_same_way(stage):
    client = replicate.Client(api_token=KEY, base_url=stage.api.access.base_url.removesuffix("/v1"))
    done = stage.finish(stage.submit(stage.job()).id)
    training = client.trainings.get(done.id)
    assert (training.status, training.destination) == ("succeeded", "lab/tunebook")
    assert [each.id for each in client.trainings.list().results] == [done.id]
    assert client.models.get(TRAINER).latest_version.id == VERSION
    prompt = prompt_of(questions(1)[0].messages)
    answered = client.predictions.create(version=done.model.rpartition(":")[2], input={"prompt": prompt})
    answered.wait()
    assert answered.output == [COLOURS[0]]
