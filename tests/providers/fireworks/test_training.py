"""Fireworks: our provider and the official SDK go the same way against the emulated service; then the faults."""

from dataclasses import replace

import fireworks
import pytest

from app import errors
from app.providers import _rows
from app.providers._base import Repeat
from app.providers._shapes import Example, Phase
from app.providers.fireworks import datasets, jobs
from tests.providers.scenario import KEY

KEY_OF_RUN, OTHER = "tb-0123456789abcdef", "tb-fedcba9876543210"
NAME = f"accounts/lab/supervisedFineTuningJobs/{KEY_OF_RUN}"


def test_a_training_with_its_id_from_us_and_its_values_read_back(stage):
    job = stage.job()
    made = stage.submit(job)
    assert (made.id, made.launch_key, made.phase, made.model) == (NAME, KEY_OF_RUN, Phase.WAITING, "")
    assert made.resolved == job.hyperparameters
    states = set()
    done = stage.finish(made.id, lambda look: states.add(look.state))
    assert {"CREATING", "VALIDATING", "PENDING", "RUNNING", "WRITING_RESULTS", "COMPLETED"} == states
    assert (done.phase, done.progress) == (Phase.DONE, 1.0)
    assert done.model == f"accounts/lab/models/{KEY_OF_RUN}"
    # The job never says which layers were adapted: its model does.
    assert done.resolved == {**job.hyperparameters, "lora_targets": "q_proj,k_proj,v_proj,o_proj"}
    assert done.cost_microdollars == stage.world.microdollars["fireworks"] > 0
    sent = next(each.body for each in stage.world.seen if each.route.endswith("supervisedFineTuningJobs"))
    assert sent["evalAutoCarveout"] is False
    assert sent["evaluationDataset"].startswith("accounts/lab/datasets/tb-")
    assert sent["maxContextLength"] == 32768


def test_curves_and_log_go_on_from_their_cursors(stage):
    made = stage.submit(stage.job())
    # Before the training runs, nothing lies at the signed address.
    assert stage.points(made) == []
    stage.world.advance(2.5)
    running = stage.provider.training.poll(stage.api, made.id)
    first = stage.provider.training.metrics(stage.api, running, "")
    log = stage.provider.training.logs(stage.api, running, "")
    assert log.lines == ["started"]
    done = stage.finish(made.id)
    second = stage.provider.training.metrics(stage.api, done, first.cursor)
    assert first.points
    assert second.points
    assert [*first.points, *second.points] == stage.points(done)
    assert [point.step for point in stage.points(done) if point.name == "loss"] == list(range(1, 13))
    assert [point.step for point in stage.points(done) if point.name == "validation_loss"] == [12]
    assert stage.provider.training.metrics(stage.api, done, second.cursor).points == []
    assert stage.provider.training.logs(stage.api, done, log.cursor).lines == []


def test_the_same_with_the_official_sdk(stage, sdk, tmp_path):
    rows = tmp_path / "rows.jsonl"
    stage.upload(stage.job())
    rows.write_bytes((tmp_path / "train.jsonl").read_bytes())
    sdk.datasets.create(dataset_id="theirs", dataset={"example_count": "24", "user_uploaded": {}})
    sdk.datasets.upload("theirs", file=rows)
    stage.world.advance(1)
    assert sdk.datasets.get("theirs").state == "READY"
    made = sdk.supervised_fine_tuning_jobs.create(
        dataset="accounts/lab/datasets/theirs",
        supervised_fine_tuning_job_id=OTHER,
        base_model=stage.provider.offers[0].model,
        epochs=3,
        lora_rank=16,
        learning_rate=2e-4,
    )
    assert made.state == "JOB_STATE_CREATING"
    ours = stage.provider.training.find(stage.api, OTHER)
    assert [(job.id, job.resolved) for job in ours] == [
        (made.name, {"epochs": 3, "lora_r": 16, "learning_rate": 2e-4, "objective": "sft"})
    ]
    stage.world.advance(10)
    done = sdk.supervised_fine_tuning_jobs.get(OTHER)
    assert (done.state, done.job_progress.percent) == ("JOB_STATE_COMPLETED", 100)
    assert [each.name for each in sdk.supervised_fine_tuning_jobs.list()] == [made.name]
    model = sdk.models.get(done.output_model.rpartition("/")[2])
    assert model.peft_details.r == 16
    assert len(list(sdk.models.list(account_id="fireworks"))) == 4
    with pytest.raises(fireworks.ConflictError):
        sdk.supervised_fine_tuning_jobs.create(
            dataset="accounts/lab/datasets/theirs",
            supervised_fine_tuning_job_id=OTHER,
            base_model=stage.provider.offers[0].model,
        )
    with pytest.raises(fireworks.BadRequestError):
        sdk.supervised_fine_tuning_jobs.cancel(OTHER, body={})


def test_a_second_create_with_the_same_key_makes_no_second_job(stage):
    job = stage.job()
    files = stage.upload(job)
    assert stage.provider.training.repeat is Repeat.OWN_ID
    for kind in ("drop", 500):
        stage.world.fail("fireworks POST */supervisedFineTuningJobs", kind, effect=True)
        with pytest.raises(errors.ProviderError):
            stage.provider.training.submit(stage.api, job, files)
        with pytest.raises(errors.AlreadyThere):
            stage.provider.training.submit(stage.api, job, files)
        assert [each.id for each in stage.provider.training.find(stage.api, KEY_OF_RUN)] == [NAME]
    assert stage.world.count_made("fireworks", "job") == 1
    assert stage.provider.training.find(stage.api, OTHER) == []


def test_a_late_list_hides_no_job(stage):
    stage.world.late_list = 90
    made = stage.submit(stage.job())
    assert list(stage.provider.training.list_jobs(stage.api)) == []
    assert [each.id for each in stage.provider.training.find(stage.api, KEY_OF_RUN)] == [made.id]


def test_a_dataset_is_named_by_its_content_and_sent_once(stage):
    job = stage.job()
    files = stage.upload(job)
    assert stage.upload(replace(job, launch_key=OTHER)) == files
    assert stage.world.count("_files PUT *") == 2
    assert stage.world.count("fireworks POST *:upload") == 0


@pytest.mark.parametrize(
    "route", ["_files PUT *", "fireworks POST *:validateUpload", "fireworks POST *Endpoint"]
)
def test_an_upload_that_was_cut_short_is_taken_up_again(stage, route):
    job = stage.job()
    for effect in (False, True):
        stage.world.fail(route, "drop", effect=effect)
        with pytest.raises(errors.Unclear):
            stage.upload(job)
    assert len(stage.upload(job)) == 2
    assert len(stage.world.things["fireworks", "main", "dataset"]) == 2


def test_where_signed_addresses_are_closed_a_small_file_goes_through_the_api(stage, monkeypatch):
    stage.world.fail("fireworks POST *:getUploadEndpoint", 404, times=2)
    made = stage.submit(stage.job())
    assert stage.world.count("fireworks POST *:upload") == 2
    assert stage.finish(made.id).phase == Phase.DONE
    monkeypatch.setattr(datasets, "DIRECT_BYTES", 100)
    stage.world.fail("fireworks POST *:getUploadEndpoint", 404)
    with pytest.raises(errors.Gone):
        stage.upload(stage.job(count=30))


def test_a_bad_file_is_named(stage, tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"messages": []}\n{"messages": []}\n{"question": 1}\n')
    sent = stage.provider.training.upload(stage.api, bad, "train", stage.job())
    assert (sent.ready, sent.error) == (False, "")
    stage.world.advance(1)
    looked = stage.provider.training.look_at_file(stage.api, sent.id)
    assert "bad.jsonl:3: no messages" in looked.error
    bad.write_text('{"messages": []}\n')
    with pytest.raises(errors.Refused, match="at least 3"):
        stage.provider.training.upload(stage.api, bad, "train", stage.job())


def test_preference_training_goes_to_its_own_jobs(stage, tmp_path):
    job = stage.job(method="dpo")
    prompt, good = [{"role": "user", "content": "a"}], {"role": "assistant", "content": "b"}
    with pytest.raises(errors.Invalid, match="rejected reply"):
        _rows.render(Example(prompt, good), job)
    files = stage.upload(job)
    assert files["validation"] == "not sent"
    supervised = stage.upload(stage.job(counts={"train": 24}))
    with pytest.raises(errors.Refused, match="the method needs preference rows"):
        stage.provider.training.submit(stage.api, job, supervised)
    made = stage.provider.training.submit(stage.api, job, files)
    assert made.id == f"accounts/lab/dpoJobs/{KEY_OF_RUN}"
    assert made.resolved == job.hyperparameters
    assert [each.id for each in stage.provider.training.find(stage.api, KEY_OF_RUN)] == [made.id]
    done = stage.finish(made.id)
    assert done.model == f"accounts/lab/models/{KEY_OF_RUN}"
    assert stage.points(done)
    ours = stage.provider.training.quote(stage.api, job, files)
    assert ours == stage.provider.training.estimate(job)
    other = stage.provider.training.submit(stage.api, replace(job, launch_key=OTHER), files)
    stage.provider.training.cancel(stage.api, other.id)
    assert stage.provider.training.poll(stage.api, other.id).state == "CANCELLING"
    assert {each.id for each in stage.provider.training.list_jobs(stage.api)} == {made.id, other.id}


def test_cancel_is_true_only_when_the_service_says_so(stage):
    made = stage.submit(stage.job())
    stage.provider.training.cancel(stage.api, made.id)
    asked = stage.provider.training.poll(stage.api, made.id)
    assert (asked.state, asked.phase) == ("CANCELLING", Phase.RUNNING)
    stage.world.advance(1)
    assert stage.provider.training.poll(stage.api, made.id).phase == Phase.CANCELLED
    with pytest.raises(errors.Refused, match="ended already"):
        stage.provider.training.cancel(stage.api, made.id)


def test_a_failed_training_says_why(stage):
    made = stage.submit(stage.job())
    stage.world.things["fireworks", "main", jobs.SFT][made.id]["_flaw"] = "Out of memory"
    job = stage.provider.training.poll(stage.api, made.id)
    assert (job.phase, job.message, job.cost_microdollars) == (Phase.FAILED, "Out of memory", None)


@pytest.mark.parametrize(
    ("kind", "options", "error"),
    [
        (500, {}, errors.Unclear),
        (429, {"headers": {"retry-after": "20"}}, errors.Busy),
        (
            412,
            {"message": "Account is suspended, possibly due to reaching the spending limit"},
            errors.OutOfCredit,
        ),
        (401, {}, errors.KeyRefused),
        (403, {}, errors.KeyRefused),
        (404, {}, errors.Gone),
        ("drop", {}, errors.Unclear),
        ("html", {}, errors.Unclear),
        ("empty", {}, errors.Unclear),
        ("edit", {"edit": {"name": f"accounts/lab/{jobs.SFT}/{OTHER}"}}, errors.Unclear),
    ],
)
def test_each_failure_of_a_poll_is_told_apart(stage, kind, options, error):
    made = stage.submit(stage.job())
    stage.world.fail("fireworks GET */supervisedFineTuningJobs/*", kind, **options)
    with pytest.raises(errors.ProviderError) as failure:
        stage.provider.training.poll(stage.api, made.id)
    assert type(failure.value) is error
    assert KEY not in str(failure.value)
    assert stage.provider.training.poll(stage.api, made.id).id == made.id


def test_an_unknown_state_is_kept_and_strange_fields_are_survived(stage):
    made = stage.submit(stage.job())
    edit = {
        "state": "JOB_STATE_TELEPORTING",
        "jobProgress": 3,
        "status": "odd",
        "createTime": [],
        "epochs": None,
    }
    stage.world.fail("fireworks GET */supervisedFineTuningJobs/*", "edit", edit=edit)
    job = stage.provider.training.poll(stage.api, made.id)
    assert (job.state, job.phase, job.progress) == ("TELEPORTING", Phase.STRANGE, None)
    assert "epochs" not in job.resolved


def test_a_signed_address_that_has_run_out_pauses_no_run(stage):
    made = stage.submit(stage.job())
    stage.world.advance(3)
    running = stage.provider.training.poll(stage.api, made.id)
    stage.world.fail("_files GET *", 403, times=2)
    assert stage.provider.training.metrics(stage.api, running, "").points == []
    assert stage.provider.training.logs(stage.api, running, "").lines == []
    assert stage.provider.training.metrics(stage.api, running, "").points
