"""Together: our provider and the official SDK go the same way against the emulated service; then the faults."""

from dataclasses import replace

import pytest
import together

from app import errors
from app.providers._shapes import Phase
from tests.providers.scenario import KEY
from tests.providers.together.chosen import OTHER, chosen


def test_a_training_with_every_value_set_and_read_back(stage):
    job = chosen(stage)
    made = stage.submit(job)
    assert (made.phase, made.launch_key, made.model) == (Phase.WAITING, job.launch_key, "")
    # Two values are taken, but never said again.
    silent = {"gradient_accumulation", "early_stopping"}
    said = {name: value for name, value in job.hyperparameters.items() if name not in silent}
    assert made.resolved == {**said, "seed": 7}
    states, left = set(), set()
    done = stage.finish(made.id, lambda look: (states.add(look.state), left.add(look.seconds_left)))
    assert {"pending", "queued", "running", "compressing", "uploading", "completed"} == states
    assert max(each for each in left if each is not None) > 0
    assert (done.phase, done.progress) == (Phase.DONE, 1.0)
    # The job's own address has neither seed nor packing: the list gives them.
    assert done.resolved == made.resolved
    assert job.launch_key in done.model
    assert (done.cost_microdollars, done.trained_tokens) == (4_000_000, done.raw["token_count"])
    assert stage.world.microdollars["together"] == 4_000_000
    sent = next(each.body for each in stage.world.seen if each.route == "together POST /v1/fine-tunes")
    assert (sent["random_seed"], sent["suffix"], sent["early_stopping_enabled"]) == (7, job.launch_key, False)


def test_curves_and_log_go_on_from_their_cursors(stage):
    made = stage.submit(chosen(stage))
    stage.world.advance(2.5)
    running = stage.provider.training.poll(stage.api, made.id)
    assert running.phase == Phase.RUNNING
    first = stage.provider.training.metrics(stage.api, running, "")
    log = stage.provider.training.logs(stage.api, running, "")
    done = stage.finish(made.id)
    second = stage.provider.training.metrics(stage.api, done, first.cursor)
    rest = stage.provider.training.logs(stage.api, done, log.cursor)
    assert first.points
    assert second.points
    points = [*first.points, *second.points]
    assert points == stage.points(done)
    steps = [point.step for point in points if point.name == "loss"]
    assert steps == list(range(1, 3 * 4 + 1))
    assert [point.step for point in points if point.name == "validation_loss"] == [6, 12]
    assert {point.name for point in points} == {"loss", "learning_rate", "validation_loss"}
    assert [*log.lines, *rest.lines] == stage.lines(done)
    assert stage.lines(done)[-1].endswith("info Job is completed")
    assert stage.provider.training.metrics(stage.api, done, second.cursor).points == []


def test_an_address_with_version_1_alone_is_enough_to_train(stage):
    stage.world.fail("together GET /v2/*", 404, times=-1)
    stage.world.fail("together GET /v3/*", 404, times=-1)
    assert all(offer.can_serve_tuned for offer in stage.provider.list_models(stage.api))
    assert "It works" in stage.provider.check_key(stage.api).note
    assert stage.submit(stage.job()).id


def test_content_that_is_there_already_is_used_and_a_bad_file_is_named(stage, tmp_path):
    job = chosen(stage)
    files = stage.upload(job)
    assert stage.upload(replace(job, launch_key=OTHER)) == files
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"messages": [{"role": "user", "content": "a"}]}\n{"question": 1}\n')
    sent = stage.provider.training.upload(stage.api, bad, "train", job)
    assert (sent.ready, sent.error) == (False, "")
    stage.world.advance(1)
    looked = stage.provider.training.look_at_file(stage.api, sent.id)
    assert "Example 1 is in none of the known formats" in looked.error
    bad.write_text("")
    with pytest.raises(errors.Refused, match="at least 1"):
        stage.provider.training.upload(stage.api, bad, "train", job)


def test_the_same_with_the_official_sdk(stage, sdk, tmp_path):
    ours = chosen(stage)
    stage.upload(ours)
    file = sdk.files.upload(tmp_path / "train.jsonl", purpose="fine-tune")
    assert file.id in stage.world.things["together", "main", "file"]
    fresh = tmp_path / "more.jsonl"
    fresh.write_text((tmp_path / "train.jsonl").read_text() * 2)
    fresh_id = sdk.files.upload(fresh, purpose="fine-tune").id
    stage.world.advance(1)
    assert sdk.files.retrieve(fresh_id).validation_report.nlines == 48
    limits = sdk.fine_tuning.model_limits(model_name=ours.model)
    assert limits.lora_training.max_rank == 64
    made = sdk.fine_tuning.create(
        training_file=fresh_id,
        model=ours.model,
        n_epochs=2,
        batch_size=16,
        learning_rate=1e-4,
        lora=True,
        suffix=OTHER,
        random_seed=11,
        train_on_inputs=False,
    )
    stage.world.advance(10)
    done = sdk.fine_tuning.retrieve(made.id)
    assert (done.status, done.n_epochs, done.training_type.lora_r) == ("completed", 2, 64)
    found = stage.provider.training.find(stage.api, OTHER)
    assert [(job.id, job.resolved["seed"], job.resolved["lora_alpha"]) for job in found] == [
        (made.id, 11, 128)
    ]
    assert [each.random_seed for each in sdk.fine_tuning.list().data] == [11]
    assert sdk.fine_tuning.list_events(made.id).data[-1].type == "job_complete"
    assert len(sdk.fine_tuning.list_metrics(made.id).metrics) == 6
    assert {each.checkpoint for each in sdk.fine_tuning.list_checkpoints(made.id).data} == {
        "adapter",
        "model",
    }
    with sdk.fine_tuning.with_streaming_response.content(ft_id=made.id, checkpoint="merged") as answer:
        assert answer.read()[:4] == b"\x28\xb5\x2f\xfd"
    assert sdk.whoami().project.slug == "emulated-lab"
    assert len(list(sdk.models.list_supported(product="PRODUCT_DEDICATED"))) == 2
    with pytest.raises(together.BadRequestError):
        sdk.fine_tuning.cancel(made.id)


def test_cancel_is_true_only_when_the_service_says_so(stage):
    made = stage.submit(chosen(stage))
    stage.provider.training.cancel(stage.api, made.id)
    asked = stage.provider.training.poll(stage.api, made.id)
    assert (asked.state, asked.phase) == ("cancel_requested", Phase.RUNNING)
    stage.world.advance(1)
    assert stage.provider.training.poll(stage.api, made.id).phase == Phase.CANCELLED
    with pytest.raises(errors.Refused, match="cannot be cancelled"):
        stage.provider.training.cancel(stage.api, made.id)


def test_a_failed_training_says_why(stage):
    made = stage.submit(chosen(stage))
    stage.world.things["together", "main", "job"][made.id]["_flaw"] = "Loss is not a number"
    job = stage.provider.training.poll(stage.api, made.id)
    assert (job.phase, job.message) == (Phase.FAILED, "Loss is not a number")


def test_a_lost_answer_leaves_one_job_that_is_found_by_its_key(stage):
    job = chosen(stage)
    files = stage.upload(job)
    for kind, options in (("drop", {"effect": True}), (500, {"effect": True}), ("garbage", {}), ("cut", {})):
        stage.world.fail("together POST /v1/fine-tunes", kind, **options)
        before = stage.world.count_made("together", "job")
        with pytest.raises(errors.Unclear):
            stage.provider.training.submit(stage.api, job, files)
        assert stage.world.count_made("together", "job") == before + 1
        assert len(stage.provider.training.find(stage.api, job.launch_key)) == before + 1
    assert stage.provider.training.find(stage.api, OTHER) == []


@pytest.mark.parametrize("kind", ["empty", "html", 503])
def test_a_look_without_a_list_counts_as_none(stage, kind):
    made = stage.submit(chosen(stage))
    stage.world.fail("together GET /v1/fine-tunes", kind)
    with pytest.raises(errors.ProviderError) as failure:
        stage.provider.training.find(stage.api, made.launch_key)
    assert failure.value.retryable
    assert len(stage.provider.training.find(stage.api, made.launch_key)) == 1


def test_a_late_list_shows_the_job_later(stage):
    stage.world.late_list = 90
    made = stage.submit(chosen(stage))
    assert stage.provider.training.find(stage.api, made.launch_key) == []
    stage.world.advance(91)
    assert [each.id for each in stage.provider.training.find(stage.api, made.launch_key)] == [made.id]


@pytest.mark.parametrize(
    ("kind", "options", "error"),
    [
        (500, {}, errors.Unclear),
        (429, {"headers": {"retry-after": "20"}}, errors.Busy),
        (402, {"message": "insufficient_balance: 4.00 USD are needed"}, errors.OutOfCredit),
        (401, {}, errors.KeyRefused),
        (400, {}, errors.Refused),
        (404, {}, errors.Gone),
        ("drop", {}, errors.Unclear),
        ("html", {}, errors.Unclear),
        ("empty", {}, errors.Unclear),
        ("edit", {"edit": {"id": "ft-of-somebody-else"}}, errors.Unclear),
    ],
)
def test_each_failure_of_a_poll_is_told_apart(stage, kind, options, error):
    made = stage.submit(chosen(stage))
    stage.world.fail("together GET */fine-tunes/*", kind, **options)
    with pytest.raises(errors.ProviderError) as failure:
        stage.provider.training.poll(stage.api, made.id)
    assert type(failure.value) is error
    assert KEY not in str(failure.value)
    assert stage.provider.training.poll(stage.api, made.id).id == made.id


def test_an_unknown_state_is_kept_and_strange_fields_are_survived(stage):
    made = stage.submit(chosen(stage))
    edit = {"status": "teleporting", "token_count": -5, "events": 3, "progress": [1], "lr_scheduler": "no"}
    stage.world.fail("together GET */fine-tunes/*", "edit", edit={**edit, "total_price": "much"})
    job = stage.provider.training.poll(stage.api, made.id)
    assert (job.state, job.phase, job.trained_tokens) == ("teleporting", Phase.STRANGE, None)
    assert (job.cost_microdollars, job.progress) == (None, None)
