"""OpenAI: our provider and the official SDK go the same way against the emulated service; then the faults."""

import json
import time

import openai
import pytest

from app import errors
from app.providers import openai as ours
from app.providers._shapes import Decoding, Phase
from tests.providers.scenario import COLOURS, KEY, ask, on_stage, questions


@pytest.fixture
def stage(tmp_path):
    with on_stage("openai", tmp_path) as found:
        yield found


@pytest.fixture
def sdk(stage):
    with openai.OpenAI(
        api_key=KEY, base_url=stage.api.access.base_url, max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


def test_a_training_from_file_to_answer(stage):
    job = stage.job()
    made = stage.submit(job)
    assert (made.phase, made.launch_key) == (Phase.WAITING, job.launch_key)
    assert made.resolved == {"seed": 7, "objective": "sft"}
    seen = set()
    done = stage.finish(made.id, lambda look: seen.add((look.state, look.seconds_left is not None)))
    assert {("validating_files", False), ("queued", False), ("running", True)} <= seen
    assert done.phase == Phase.DONE
    assert done.resolved == {**job.hyperparameters, "seed": 7}
    assert done.model.startswith(f"ft:{job.model}:")
    assert job.launch_key in done.model
    assert done.trained_tokens > 0
    points = stage.points(done)
    steps = 24 * job.hyperparameters["epochs"]
    assert [point.step for point in points if point.name == "loss"] == list(range(1, steps + 1))
    assert len([point for point in points if point.name == "validation_loss"]) == steps
    assert stage.lines(done)[-1].endswith("The job has successfully completed")
    assert not any("training loss" in line for line in stage.lines(done))
    assert ask(stage, done.model) == [COLOURS[number % 10 % 3] for number in range(6)]
    assert stage.world.microdollars["openai"] >= done.trained_tokens * 5


def test_curves_and_log_go_on_from_their_cursors(stage):
    made = stage.submit(stage.job())
    stage.world.advance(3)
    running = stage.provider.training.poll(stage.api, made.id)
    first = stage.provider.training.metrics(stage.api, running, "")
    log = stage.provider.training.logs(stage.api, running, "")
    done = stage.finish(made.id)
    second = stage.provider.training.metrics(stage.api, done, first.cursor)
    rest = stage.provider.training.logs(stage.api, done, log.cursor)
    assert first.points
    assert second.points
    assert [*first.points, *second.points] == stage.points(done)
    assert [*log.lines, *rest.lines] == stage.lines(done)
    assert stage.provider.training.metrics(stage.api, done, second.cursor).points == []


def test_records_are_kept(stage, tmp_path):
    done = stage.finish(stage.submit(stage.job()).id)
    paths = stage.provider.training.fetch_records(stage.api, done, tmp_path / "records")
    assert [path.name for path in paths] == ["checkpoints.json", "result-1.csv"]
    kept = json.loads(paths[0].read_text())
    assert len(kept) == 3
    assert kept[0]["fine_tuned_model_checkpoint"] == done.model
    assert paths[1].read_text().startswith("step,train_loss")


def test_the_same_with_the_official_sdk(stage, sdk):
    job = stage.job()
    files = stage.upload(job)
    made = sdk.fine_tuning.jobs.create(
        model=job.model,
        training_file=files["train"],
        validation_file=files["validation"],
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
        metadata={"tunebook": job.launch_key},
        suffix="mine",
        seed=3,
    )
    assert made.status == "validating_files"
    stage.world.advance(10)
    done = sdk.fine_tuning.jobs.retrieve(made.id)
    assert (done.status, done.method.supervised.hyperparameters.n_epochs) == ("succeeded", 2)
    assert [each.id for each in stage.provider.training.find(stage.api, job.launch_key)] == [made.id]
    assert len(list(sdk.fine_tuning.jobs.list_events(made.id))) == 2 * 24 + 5
    assert len(list(sdk.fine_tuning.jobs.checkpoints.list(made.id))) == 2
    listed = sdk.fine_tuning.jobs.list(extra_query={"metadata[tunebook]": job.launch_key})
    assert [each.id for each in listed] == [made.id]
    csv = sdk.files.content(done.result_files[0]).read()
    assert ours.shape.plain_csv(csv).startswith(b"step,")
    assert {each.id: each.shutdown_date for each in sdk.models.list()}[done.fine_tuned_model] == "2027-01-14"
    reply = sdk.chat.completions.create(
        model=done.fine_tuned_model, messages=questions(1)[0].messages, logprobs=True, top_logprobs=3
    )
    assert reply.choices[0].message.content == "red"
    with pytest.raises(openai.BadRequestError):
        sdk.fine_tuning.jobs.cancel(made.id)


def test_batches_by_us_and_by_the_sdk(stage, sdk, tmp_path):
    batch, path = stage.provider.batch, tmp_path / "questions.jsonl"
    decoding = Decoding(max_tokens=5, top_logprobs=5)
    asked = [batch.line("gpt-4.1-mini", question, decoding) for question in questions(8)]
    asked[3]["body"]["model"] = "ft:gone"
    path.write_text("".join(json.dumps(line) + "\n" for line in asked))
    made = batch.submit(stage.api, path, "gpt-4.1-mini", decoding, "tb-b")
    assert [each.id for each in batch.find(stage.api, "tb-b")] == [made.id]
    assert batch.find(stage.api, "tb-other") == []
    stage.world.advance(5)
    done = batch.poll(stage.api, made.id)
    assert (done.phase, done.done, done.total) == (Phase.DONE, 8, 8)
    answers = {each.key: each for each in batch.read(stage.api, done, tmp_path / "batch")}
    assert len(answers) == 8
    bad = answers["item-3"]
    assert (bad.reply, bad.retryable) == (None, False)
    assert "does not exist" in bad.error
    assert answers["item-0"].reply.top_logprobs
    theirs = sdk.batches.retrieve(made.id)
    assert (theirs.status, theirs.request_counts.failed) == ("completed", 1)


def test_log_probabilities_come_with_every_token(stage):
    done = stage.finish(stage.submit(stage.job()).id)
    decoding = Decoding(max_tokens=5, top_logprobs=5)
    reply = stage.provider.chat.ask(stage.api, done.model, questions(1)[0], decoding)
    assert reply.text == "red"
    assert reply.finish == "stop"
    first = dict(reply.top_logprobs[0])
    assert max(first, key=first.get) == "red"
    assert reply.logprob == pytest.approx(first["red"])
    assert reply.input_tokens > 0
    assert reply.latency_ms > 0


def test_cancel_is_true_only_when_the_service_says_so(stage):
    made = stage.submit(stage.job())
    stage.provider.training.cancel(stage.api, made.id)
    assert stage.provider.training.poll(stage.api, made.id).phase == Phase.CANCELLED
    with pytest.raises(errors.Refused, match="already completed"):
        stage.provider.training.cancel(stage.api, made.id)


def test_tuned_models_and_offers_carry_their_end(stage):
    done = stage.finish(stage.submit(stage.job()).id)
    tuned = stage.provider.training.list_tuned(stage.api)
    mine = next(each for each in tuned if each.model == done.model)
    assert (mine.base, mine.ends_on) == ("gpt-4.1-mini-2025-04-14", "2027-01-14")
    offers = {offer.model: offer for offer in stage.provider.list_models(stage.api)}
    assert offers["gpt-4o-2024-08-06"].ends_on == "2027-01-14"
    assert not offers["gpt-5.4"].can_train
    assert "text-embedding-3-small" not in offers
    assert "1 of them fine-tuned" not in stage.provider.check_key(stage.api).note  # its checkpoints count too


def test_a_lost_answer_leaves_one_job_that_is_found_by_its_key(stage):
    job = stage.job()
    files = stage.upload(job)
    route = "openai POST /v1/fine_tuning/jobs"
    for kind, options in (("drop", {"effect": True}), (500, {"effect": True}), ("garbage", {}), ("cut", {})):
        stage.world.fail(route, kind, **options)
        before = stage.world.count_made("openai", "job")
        with pytest.raises(errors.Unclear):
            stage.provider.training.submit(stage.api, job, files)
        assert stage.world.count_made("openai", "job") == before + 1
        assert len(stage.provider.training.find(stage.api, job.launch_key)) == before + 1
    assert stage.world.duplicates() == {"openai job tb-0123456789abcdef": 4}


def test_a_late_list_shows_the_job_later(stage):
    stage.world.late_list = 90
    made = stage.submit(stage.job())
    assert stage.provider.training.find(stage.api, "tb-0123456789abcdef") == []
    assert stage.provider.training.poll(stage.api, made.id).id == made.id
    stage.world.advance(91)
    assert [each.id for each in stage.provider.training.find(stage.api, "tb-0123456789abcdef")] == [made.id]


@pytest.mark.parametrize(
    ("kind", "options", "error"),
    [
        (500, {}, errors.Unclear),
        (429, {}, errors.Busy),
        (429, {"headers": {"retry-after": "20"}}, errors.Busy),
        (429, {"message": "You exceeded your current quota, insufficient_quota"}, errors.OutOfCredit),
        (401, {}, errors.KeyRefused),
        (403, {"message": "Your organization is not allowed to create fine-tuning jobs"}, errors.KeyRefused),
        (400, {}, errors.Refused),
        ("drop", {}, errors.Unclear),
        ("garbage", {}, errors.Unclear),
        ("html", {}, errors.Unclear),
        ("empty", {}, errors.Unclear),
        ("edit", {"edit": {"id": "ftjob-of-somebody-else"}}, errors.Unclear),
    ],
)
def test_each_failure_of_a_poll_is_told_apart(stage, kind, options, error):
    made = stage.submit(stage.job())
    stage.world.fail("openai GET */fine_tuning/jobs/*", kind, **options)
    with pytest.raises(errors.ProviderError) as failure:
        stage.provider.training.poll(stage.api, made.id)
    assert type(failure.value) is error
    assert KEY not in str(failure.value)
    assert failure.value.wait == (20 if "headers" in options else None)
    assert stage.provider.training.poll(stage.api, made.id).id == made.id


def test_an_unknown_state_is_kept_and_strange_fields_are_survived(stage):
    made = stage.submit(stage.job())
    edit = {"status": "teleporting", "trained_tokens": -5, "metadata": [1], "error": "no", "seed": "x"}
    stage.world.fail("openai GET */fine_tuning/jobs/*", "edit", edit=edit)
    job = stage.provider.training.poll(stage.api, made.id)
    assert (job.state, job.phase, job.trained_tokens) == ("teleporting", Phase.STRANGE, None)


def test_a_refused_key_is_told_and_not_repeated(stage):
    stage.world.refused_keys.add(KEY)
    with pytest.raises(errors.KeyRefused) as failure:
        stage.provider.check_key(stage.api)
    assert KEY not in failure.value.message
    assert "[key]" in failure.value.message


def test_files_are_looked_at_before_they_are_sent(stage, tmp_path):
    job = stage.job()
    small = tmp_path / "small.jsonl"
    small.write_text('{"messages": []}\n' * 9)
    with pytest.raises(errors.Refused, match="9 rows"):
        stage.provider.training.upload(stage.api, small, "train", job)
    large = tmp_path / "large.jsonl"
    with large.open("wb") as file:
        file.truncate(512 * 10**6 + 1)
    with pytest.raises(errors.Refused, match="at most 488 MB"):
        stage.provider.training.upload(stage.api, large, "train", job)
    assert stage.world.count("openai POST *") == 0
    assert stage.provider.training.problems(stage.job(counts={"train": 9, "validation": 0}))


def test_a_model_that_is_gone_is_refused_before_anything_is_paid(stage):
    stage.world.fail("openai GET /v1/models/*", 404)
    with pytest.raises(errors.Refused, match="does not offer"):
        stage.provider.training.check(stage.api, stage.job(), {})
    stage.world.fail("openai GET /v1/models/*", "edit", edit={"shutdown_date": "2020-01-01"})
    with pytest.raises(errors.Refused, match="shut"):
        stage.provider.training.check(stage.api, stage.job(), {})


def test_the_estimate_is_tokens_times_epochs_times_price(stage):
    job = stage.job()
    found = stage.provider.training.estimate(job)
    assert found.microdollars == 24 * 20 * job.hyperparameters["epochs"] * 5
    assert "2026" in found.basis


@pytest.mark.parametrize(
    ("items", "epochs", "batch"), [(10, 10, 1), (40, 3, 1), (1000, 3, 2), (10_000, 2, 20), (200_000, 1, 256)]
)
def test_suggestions_follow_the_published_rules_of_thumb(items, epochs, batch):
    found = ours.rules.suggest(ours.OFFERS[0], {"train_items": items})
    assert (found["epochs"], found["batch_size"]) == (epochs, batch)


def test_creation_ends_on_its_day(stage, monkeypatch):
    monkeypatch.setattr(ours, "CREATION_ENDS", time.strftime("%Y-%m-%d", time.gmtime()))
    assert any("no fine-tuning jobs" in each for each in stage.provider.training.problems(stage.job()))


def test_a_slow_answer_ends_at_its_deadline(stage):
    stage.world.fail("openai GET /v1/models", "slow", seconds=30)
    started = time.monotonic()
    with pytest.raises(errors.Unclear):
        stage.api.get("models", seconds=0.3)
    assert time.monotonic() - started < 5


def test_an_endless_answer_is_cut_off(stage):
    stage.world.fail("openai GET /v1/models", "huge")
    with pytest.raises(errors.Unclear, match="more than 64 MB"):
        stage.provider.check_key(stage.api)
