"""Fireworks before a training and after it: models, prices, weights, answers by batch without a deployment."""

import json
from dataclasses import replace

import fireworks
import pytest

from app import errors
from app.providers._shapes import Decoding, Offer, Phase
from app.providers.fireworks import fields, names, offers
from tests.providers.scenario import COLOURS, KEY, ask, questions, submit_batch

BATCH = "tb-0123456789abcdef"


def questions_file(stage, path, model, count=8, **decoding):
    lines = [stage.provider.batch.line(model, each, Decoding(**decoding)) for each in questions(count)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_tuned_model_answers_a_batch_without_a_deployment(stage, sdk, trained, tmp_path):
    decoding, batch = Decoding(max_tokens=5, top_logprobs=5), stage.provider.batch
    path = questions_file(stage, tmp_path / "q.jsonl", trained.model, max_tokens=5, top_logprobs=5)
    with pytest.raises(errors.Busy, match="still reads"):
        batch.submit(stage.api, path, trained.model, decoding, BATCH)
    made = submit_batch(stage, path, trained.model, decoding, BATCH)
    assert [each.id for each in batch.find(stage.api, BATCH)] == [made.id]
    assert batch.find(stage.api, "tb-other") == []
    with pytest.raises(errors.AlreadyThere):
        submit_batch(stage, path, trained.model, decoding, BATCH)
    stage.world.advance(5)
    done = batch.poll(stage.api, made.id)
    assert (done.phase, done.done, done.total, done.launch_key) == (Phase.DONE, 8, 8, BATCH)
    answers = {each.key: each.reply for each in batch.read(stage.api, done, tmp_path / "batch")}
    assert [answers[f"item-{number}"].text for number in range(8)] == [
        COLOURS[number % 10 % 3] for number in range(8)
    ]
    assert max(dict(answers["item-0"].top_logprobs[0])) == "red"
    assert stage.world.count_made("fireworks", "batch") == 1
    theirs = sdk.batch_inference_jobs.get(BATCH)
    assert (theirs.state, theirs.job_progress.total_processed_requests) == ("JOB_STATE_COMPLETED", 8)
    sent = next(
        each.body
        for each in stage.world.seen
        if each.route.endswith("POST /v1/accounts/lab/batchInferenceJobs")
    )
    assert sent["model"] == trained.model
    assert "model" not in batch.line("x", questions(1)[0], decoding)["body"]


def test_rows_that_failed_and_batches_that_failed_whole(stage, trained, tmp_path):
    path = questions_file(stage, tmp_path / "q.jsonl", trained.model)
    lines = path.read_text().splitlines()
    asked = json.loads(lines[3])
    asked["body"]["top_logprobs"] = 9
    asked["body"]["logprobs"] = True
    path.write_text("\n".join([*lines[:3], json.dumps(asked), *lines[4:], ""]))
    made = submit_batch(stage, path, trained.model, Decoding(), BATCH)
    stage.world.advance(5)
    done = stage.provider.batch.poll(stage.api, made.id)
    answers = {each.key: each for each in stage.provider.batch.read(stage.api, done, tmp_path / "a")}
    assert len(answers) == 8
    assert "at most 5" in answers["item-3"].error
    # A broken row fails the batch as a whole; it has no output then.
    path.write_text("\n".join([*lines, '{"custom_id": "x"}', ""]))
    made = submit_batch(stage, path, trained.model, Decoding(), "tb-fedcba9876543210")
    stage.world.advance(5)
    failed = stage.provider.batch.poll(stage.api, made.id)
    assert (failed.phase, failed.message) == (Phase.FAILED, "syntax error on line 9")
    assert list(stage.provider.batch.read(stage.api, failed, tmp_path / "b")) == []


def test_a_batch_is_stopped_by_removing_it(stage, trained, tmp_path):
    path = questions_file(stage, tmp_path / "q.jsonl", trained.model)
    made = submit_batch(stage, path, trained.model, Decoding(), BATCH)
    stage.provider.batch.cancel(stage.api, made.id)
    with pytest.raises(errors.Gone):
        stage.provider.batch.poll(stage.api, made.id)


def test_a_download_of_answers_that_is_cut_goes_on(stage, trained, tmp_path):
    path = questions_file(stage, tmp_path / "q.jsonl", trained.model)
    made = submit_batch(stage, path, trained.model, Decoding(), BATCH)
    stage.world.advance(5)
    done = stage.provider.batch.poll(stage.api, made.id)
    stage.world.fail("_files GET *", "cut")
    with pytest.raises(errors.Unclear):
        list(stage.provider.batch.read(stage.api, done, tmp_path / "a"))
    assert len(list(stage.provider.batch.read(stage.api, done, tmp_path / "a"))) == 8


def test_weights_come_without_anything_that_could_run(stage, trained, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    stage.world.fail("_files GET *", "cut")
    with pytest.raises(errors.Unclear):
        stage.provider.training.fetch_weights(stage.api, trained, folder)
    paths = stage.provider.training.fetch_weights(stage.api, trained, folder)
    kept = ["adapter_config.json", "adapter_model.safetensors"]
    assert sorted(path.name for path in paths) == sorted(path.name for path in folder.iterdir()) == kept
    assert json.loads((folder / kept[0]).read_text())["r"] == 8
    records = stage.provider.training.fetch_records(stage.api, trained, tmp_path / "records")
    assert [path.name for path in records] == ["metrics.jsonl", "rendered-samples.jsonl"]


def test_a_model_of_the_library_answers_with_log_probabilities(stage, sdk):
    model, question = f"{names.LIBRARY}/models/llama-v3p1-8b-instruct", questions(1)[0]
    reply = stage.provider.chat.ask(stage.api, model, question, Decoding(max_tokens=5, top_logprobs=5))
    assert reply.text
    assert reply.top_logprobs
    with fireworks.Fireworks(
        api_key=KEY,
        account_id="lab",
        base_url=stage.world.url("fireworks", "/inference"),
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        asked = {"model": model, "messages": question.messages, "logprobs": True, "top_logprobs": 5}
        theirs = client.chat.completions.create(**asked)
    assert theirs.choices[0].message.content.startswith(reply.text)
    with pytest.raises(errors.Gone, match="not deployed"):
        stage.provider.chat.ask(stage.api, "accounts/lab/models/mine", question, Decoding())


def test_a_deployment_from_create_to_stop(stage, sdk, trained):
    deploy = stage.provider.deploy
    stage.world.fail("fireworks POST */deployments", "drop", effect=True)
    with pytest.raises(errors.Unclear):
        deploy.create(stage.api, trained, BATCH)
    with pytest.raises(errors.AlreadyThere):
        deploy.create(stage.api, trained, BATCH)
    made = deploy.find(stage.api, BATCH)[0]
    assert (made.phase, made.launch_key, made.dollars_an_hour) == (Phase.WAITING, BATCH, 7.0)
    assert stage.world.count_made("fireworks", "deployment") == 1
    kept = sdk.deployments.get(BATCH)
    assert (kept.min_replica_count, kept.autoscaling_policy.scale_to_zero_window) == (0, "1800s")
    stage.world.advance(3)
    ready = deploy.poll(stage.api, made.id)
    assert ready.phase == Phase.RUNNING
    assert [each.id for each in deploy.list_running(stage.api)] == [made.id]
    assert ask(stage, ready.model) == [COLOURS[number % 10 % 3] for number in range(6)]
    deploy.stop(stage.api, ready)
    assert deploy.poll(stage.api, made.id).phase == Phase.WAITING
    stage.world.advance(1)
    assert deploy.poll(stage.api, made.id).phase == Phase.DONE
    assert deploy.list_running(stage.api) == []
    stage.world.things["fireworks", "main", "deployment"].clear()
    deploy.stop(stage.api, ready)
    assert deploy.find(stage.api, BATCH) == []


def test_offers_know_size_price_and_end(stage):
    found = {names.short(offer.model): offer for offer in stage.provider.list_models(stage.api)}
    assert set(found) == {"llama-v3p1-8b-instruct", "qwen3-8b", "qwen3-235b-a22b"}
    small, large = found["qwen3-8b"], found["qwen3-235b-a22b"]
    assert (small.can_train, small.can_chat, small.size, small.price.train) == (True, False, "8.19B", 0.5)
    assert (large.can_train, large.can_chat, large.ends_on, large.price.train) == (
        False,
        True,
        "2027-03-01",
        6.0,
    )
    assert (small.price.input, small.price.output, small.price.batch_share) == (0.2, 0.2, 0.5)
    assert large.price.input == 0.9
    assert "2026" in small.price.source
    looked = stage.provider.look_at_model(stage.api, stage.provider.offers[0])
    length = {field.name: field for field in fields.hyperparameters(looked)}["max_seq_len"]
    assert (length.minimum, length.maximum) == (32_768, 65_536)


def test_questions_are_priced_by_size_kind_and_name():
    def asked(name, billions, experts=False):
        details = {"parameterCount": str(int(billions * 1e9)), "moe": experts}
        price = offers.offer_of(
            {"name": f"accounts/fireworks/models/{name}", "baseModelDetails": details}
        ).price
        return price.input, price.output

    assert asked("small", 3) == (0.1, 0.1)
    assert asked("mixtral-8x7b", 46.7, experts=True) == (0.5, 0.5)
    assert asked("vast", 671, experts=True) == (None, None)
    assert asked("gpt-oss-20b", 20.9, experts=True) == (0.07, 0.3)


def test_lists_are_read_to_their_end(stage, monkeypatch):
    monkeypatch.setattr(names, "PAGE", 1)
    assert len(stage.provider.list_models(stage.api)) == 3


@pytest.mark.parametrize(
    ("size", "dollars"), [("8B", 0.5), ("70B", 3.0), ("235B", 6.0), ("1000B", 10.0), ("", None)]
)
def test_the_price_goes_by_size(stage, size, dollars):
    offer = Offer("x", size=size)
    assert fields.price_of(offer) == (None if dollars is None else (dollars, 2 * dollars))
    job = replace(stage.job(), offer=offer)
    expected = None if dollars is None else round(24 * 20 * job.hyperparameters["epochs"] * dollars)
    assert stage.provider.training.estimate(job).microdollars == expected


def test_the_service_says_its_price_before_it_trains(stage):
    job = stage.job()
    files = stage.upload(job)
    quoted = stage.provider.training.quote(stage.api, job, files)
    assert quoted.microdollars > 0
    assert "own estimate" in quoted.basis
    edit = {"estimatedCost": {"currencyCode": "USD", "units": "2", "nanos": 500_000_000}}
    stage.world.fail("fireworks POST *:estimateCost", "edit", edit=edit)
    assert stage.provider.training.quote(stage.api, job, files).microdollars == 2_500_000
    stage.world.fail("fireworks POST *:estimateCost", "edit", edit={"estimatedCost": {"currencyCode": "EUR"}})
    assert "gave no price" in stage.provider.training.quote(stage.api, job, files).basis
    assert stage.world.count_made() == 0


def test_a_model_that_could_not_be_tested_is_refused_before_it_is_paid(stage):
    job, route = stage.job(), "fireworks GET */models/*"
    stage.provider.training.check(stage.api, job, {})
    stage.world.fail(route, "edit", edit={"tunable": False})
    with pytest.raises(errors.Refused, match="does not tune"):
        stage.provider.training.check(stage.api, job, {})
    stage.world.fail(route, "edit", edit={"batchInferenceSupported": False})
    with pytest.raises(errors.Refused, match="no batches"):
        stage.provider.training.check(stage.api, job, {})


def test_problems_are_found_before_anything_is_sent(stage):
    assert fields.problems(stage.job()) == []
    assert "at least 3" in fields.problems(stage.job(counts={"train": 2}))[0]
    assert "fewer epochs" in fields.problems(stage.job(counts={"train": 2_000_000}))[0]


def test_a_key_says_whose_it_is(stage):
    assert stage.provider.check_key(stage.api).account == "Emulated lab"
    stage.world.fail("fireworks GET /v1/accounts/lab", "edit", edit={"suspendState": "CREDIT_DEPLETED"})
    assert "CREDIT_DEPLETED" in offers.check_key(stage.api).note
    stage.world.refused_keys.add(KEY)
    with pytest.raises(errors.KeyRefused) as failure:
        stage.provider.check_key(stage.api)
    assert KEY not in failure.value.message
