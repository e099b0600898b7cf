"""OpenPipe: the split is always written, a partial upload is told, the slug is the launch key."""

import pytest

from app import errors
from app.providers._base import Repeat
from app.providers._shapes import Phase
from tests.providers.scenario import COLOURS, ask, on_stage

RUN = "tb-0123456789abcdef"


@pytest.fixture
def stage(tmp_path):
    with on_stage("openpipe", tmp_path) as found:
        yield found


def test_a_training_from_entries_to_answer(stage):
    job = stage.job(count=230)
    made = stage.submit(job)
    assert (made.id, made.launch_key, made.phase) == (RUN, RUN, Phase.WAITING)
    done = stage.finish(made.id)
    assert done.resolved == job.hyperparameters
    assert done.model == f"openpipe:{RUN}"
    assert ask(stage, done.model) == [COLOURS[number % 10 % 3] for number in range(6)]
    (dataset,) = stage.world.things["openpipe", "main", "dataset"].values()
    assert {entry["split"] for entry in dataset["_entries"]} == {"TRAIN"}
    assert len(dataset["_entries"]) == 230
    assert [each.model for each in stage.provider.training.list_tuned(stage.api)] == [done.model]


def test_entries_that_were_not_taken_are_told_with_their_line(stage):
    path = stage.folder / "train.jsonl"
    good = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "split": "TRAIN"}\n'
    bad = b'{"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}], "split": "TRAIN"}\n'
    path.write_bytes(good * 104 + bad + good)
    sent = stage.provider.training.upload(stage.api, path, "train", stage.job())
    assert (
        sent.error == "1 of 6 entries were not taken; line 105: messages must end with an assistant message"
    )


def test_an_upload_that_was_cut_is_done_again_without_doubles(stage):
    job = stage.job(count=150)
    stage.world.fail("openpipe POST *entries", 500, skip=1)
    with pytest.raises(errors.Unclear):
        stage.upload(job)
    stage.upload(job)
    (dataset,) = stage.world.things["openpipe", "main", "dataset"].values()
    assert len(dataset["_entries"]) == 150


def test_a_second_create_is_refused_by_our_own_id(stage):
    training, job = stage.provider.training, stage.job(count=30)
    files = stage.upload(job)
    assert training.repeat == Repeat.OWN_ID
    stage.world.fail("openpipe POST *models", "drop", effect=True)
    with pytest.raises(errors.Unclear):
        training.submit(stage.api, job, files)
    with pytest.raises(errors.AlreadyThere):
        training.submit(stage.api, job, files)
    assert [each.id for each in training.find(stage.api, RUN)] == [RUN]
    assert training.find(stage.api, "tb-ffffffffffffffff") == []
    assert len([made for made in stage.world.made if made.kind == "job"]) == 1


def test_the_end_of_the_service_is_told(stage):
    assert stage.provider.ends_on == "2026-07-30"
    assert "W&B Serverless SFT" in stage.provider.notice
