"""Together: our provider and the official SDK go the same way against the emulated service; then the faults."""

import json
from dataclasses import replace

import pytest
import together

from app import errors
from app.providers._shapes import Decoding, Example, Offer, Phase
from app.providers.together import hosts, jobs, offers, serving, weights
from tests.emulator import _together_jobs
from tests.providers.scenario import COLOURS, KEY, ask, on_stage, questions

OTHER = "tb-fedcba9876543210"


@pytest.fixture
def stage(tmp_path):
    with on_stage("together", tmp_path) as found:
        yield found


@pytest.fixture
def sdk(stage):
    with together.Together(
        api_key=KEY,
        base_url=stage.world.url("together"),
        project_id="proj_emulated",
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client


def chosen(stage, **values):
    """A job on the first model, with its bounds read and three evaluations."""
    offer = stage.provider.look_at_model(stage.api, stage.provider.offers[0])
    suggested = offers.suggest(offer, {"train_items": 24, "validation_items": 6, "max_tokens": 40})
    return stage.job(offer, hyperparameters={**suggested, "epochs": 4, "evals": 2, **values})


@pytest.fixture
def trained(stage):
    return stage.finish(stage.submit(chosen(stage)).id)


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


def test_the_limits_drive_the_form(stage):
    bare = {field.name: field for field in offers.hyperparameters(Offer("somebody/model"))}
    offer = stage.provider.look_at_model(stage.api, stage.provider.offers[0])
    full = {field.name: field for field in offers.hyperparameters(offer)}
    assert (bare["lora_r"].maximum, full["lora_r"].maximum, full["lora_r"].default) == (None, 64, 64)
    assert (full["batch_size"].minimum, full["batch_size"].maximum) == (8, 32)
    assert "gradient_accumulation" not in bare
    assert full["gradient_accumulation"].default == 1
    with pytest.raises(ValueError, match="from 1 to 20"):
        full["epochs"].parse("21")
    found = offers.suggest(offer, {"train_items": 100_000, "max_tokens": 200_000, "validation_items": 500})
    assert (found["max_seq_len"], found["epochs"], found["evals"]) == (32768, 1, 1)
    for field in full.values():
        assert field.parse(found[field.name]) == found[field.name]


def test_offers_know_what_is_trained_asked_and_served(stage):
    found = {offer.model: offer for offer in stage.provider.list_models(stage.api)}
    assert set(found) == set(_together_jobs.MODELS)
    best, unserved = found["Qwen/Qwen3.5-9B"], found[_together_jobs.UNSERVED]
    assert (best.price.train, best.price.input, best.price.output, best.context_tokens) == (
        0.34,
        0.1,
        0.15,
        32768,
    )
    assert (unserved.can_train, unserved.can_serve_tuned, unserved.price.input) == (True, False, None)
    assert "2026" in best.price.source


def test_a_model_that_nothing_serves_is_refused_before_it_is_paid(stage):
    job = replace(stage.job(), model=_together_jobs.UNSERVED)
    with pytest.raises(errors.Refused, match="no way to serve"):
        stage.provider.training.check(stage.api, job, {})
    served = replace(job, offer=replace(job.offer, can_serve_tuned=False))
    assert any("no way to serve" in each for each in stage.provider.training.problems(served))
    assert stage.world.count_made() == 0


def test_an_address_with_version_1_alone_is_enough_to_train(stage):
    stage.world.fail("together GET /v2/*", 404, times=-1)
    stage.world.fail("together GET /v3/*", 404, times=-1)
    assert all(offer.can_serve_tuned for offer in stage.provider.list_models(stage.api))
    assert "It works" in stage.provider.check_key(stage.api).note
    assert stage.submit(stage.job()).id


def test_problems_are_found_before_anything_is_sent(stage):
    job = chosen(stage, evals=2, batch_size=64)
    assert [each.split(";")[0] for each in offers.problems(job)] == ["The batch size is 64"]
    found = offers.problems(replace(chosen(stage, early_stopping=True), counts={"train": 24}))
    assert len(found) == 2
    assert "validation part" in found[0]
    assert "at least 4 evaluations" in found[1]
    enough = chosen(stage, early_stopping=True, evals=4)
    assert offers.problems(enough) == []
    body = jobs.job_body(enough, {"train": "a", "validation": "b"})
    assert (body["early_stopping_patience"], body["early_stopping_enabled"]) == (2, True)
    assert stage.world.count("together POST *") == 0


def test_the_price_comes_from_the_service_and_is_at_least_four_dollars(stage):
    job = chosen(stage)
    files = stage.upload(job)
    quoted = stage.provider.training.quote(stage.api, job, files)
    assert quoted.microdollars == 4_000_000
    assert "own estimate" in quoted.basis
    edit = {"estimated_total_price": 12.5}
    stage.world.fail("together POST *estimate-price", "edit", edit=edit)
    assert stage.provider.training.quote(stage.api, job, files).microdollars == 12_500_000
    stage.world.fail("together POST *estimate-price", "edit", edit={**edit, "allowed_to_proceed": False})
    with pytest.raises(errors.OutOfCredit, match=r"\$12\.50.*limit is \$100"):
        stage.provider.training.quote(stage.api, job, files)
    edit = {"estimation_available": False, "unavailable_reason": "train_file_not_validated"}
    stage.world.fail("together POST *estimate-price", "edit", edit=edit)
    guessed = stage.provider.training.quote(stage.api, job, files)
    assert guessed.microdollars == offers.estimate(job).microdollars
    assert "train_file_not_validated" in guessed.basis


def test_the_estimate_counts_epochs_evaluations_and_packing(stage):
    job = replace(chosen(stage), tokens={"train": 10_000_000, "validation": 1_000_000})
    assert offers.estimate(job).microdollars == round((4 * 10_000_000 + 2 * 1_000_000) * 0.34)
    assert offers.estimate(replace(job, method="dpo")).microdollars == round(42_000_000 * 0.84)
    values = {**job.hyperparameters, "packing": False, "evals": 0, "max_seq_len": 1_000_000}
    assert offers.estimate(replace(job, hyperparameters=values)).microdollars == round(
        4 * 24 * 1_000_000 * 0.34
    )
    assert offers.estimate(replace(job, model="unknown/model")).microdollars is None
    assert offers.estimate(replace(job, tokens={"train": 10})).microdollars == 4_000_000


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


def test_the_sdk_deploys_what_we_find_and_stop(stage, sdk, trained):
    endpoint = sdk.endpoints.create(name=OTHER)
    made = sdk.endpoints.deployments.create(
        endpoint.id,
        name="theirs",
        model=f"projects/proj_emulated/models/{trained.raw['model_object_id']}",
        config="projects/proj_together/configs/cr_small",
        autoscaling={"min_replicas": 1, "max_replicas": 1},
    )
    sdk.endpoints.update(endpoint.id, traffic_split=[{"deployment_id": made.id, "weight": 1}])
    stage.world.advance(3)
    ours = stage.provider.deploy.find(stage.api, OTHER)
    assert [(each.phase, each.model) for each in ours] == [(Phase.RUNNING, f"emulated-lab/{OTHER}")]
    reply = sdk.chat.completions.create(model=ours[0].model, messages=questions(1)[0].messages)
    assert reply.choices[0].message.content == "red"
    assert sdk.endpoints.deployments.retrieve(made.id, endpoint_id=endpoint.id).status.state.endswith("READY")
    stage.provider.deploy.stop(stage.api, ours[0])
    stage.world.advance(1)
    assert sdk.endpoints.deployments.retrieve(made.id, endpoint_id=endpoint.id).status.state.endswith(
        "STOPPED"
    )


def test_a_deployment_from_create_to_stop(stage, trained):
    deploy, key = stage.provider.deploy, "tb-0123456789abcdef"
    made = deploy.create(stage.api, trained, key)
    assert (made.phase, made.launch_key, made.dollars_an_hour) == (Phase.WAITING, key, 5.49)
    again = deploy.create(stage.api, trained, key)
    assert (again.id, stage.world.count_made("together", "deployment")) == (made.id, 1)
    config = next(each for each in stage.world.things["together", "main", "deployment"].values())
    assert (config["config"], config["inactiveTimeout"]) == ("projects/proj_together/configs/cr_small", 30)
    stage.world.advance(3)
    # It is ready, but has no traffic yet.
    assert deploy.poll(stage.api, made.id).phase == Phase.WAITING
    ready = deploy.advance(stage.api, made)
    assert ready.phase == Phase.RUNNING
    assert deploy.advance(stage.api, ready) == ready
    assert [each.id for each in deploy.list_running(stage.api)] == [made.id]
    assert ask(stage, ready.model) == [COLOURS[number % 10 % 3] for number in range(6)]
    deploy.stop(stage.api, ready)
    assert deploy.poll(stage.api, made.id).phase == Phase.WAITING
    stage.world.advance(1)
    assert deploy.poll(stage.api, made.id).phase == Phase.DONE
    assert deploy.list_running(stage.api) == []
    deploy.stop(stage.api, ready)
    with pytest.raises(errors.Gone):
        deploy.poll(stage.api, made.id)
    deploy.stop(stage.api, ready)
    assert stage.world.things["together", "main", "endpoint"] == {}


def test_an_idle_deployment_stops_by_itself(stage, trained):
    made = stage.provider.deploy.create(stage.api, trained, OTHER)
    stage.world.advance(3)
    stage.provider.deploy.advance(stage.api, made)
    stage.world.advance(40)
    stage.provider.deploy.poll(stage.api, made.id)
    stage.world.advance(1)
    assert stage.provider.deploy.poll(stage.api, made.id).phase == Phase.DONE


@pytest.mark.parametrize("kind", ["drop", 500, "garbage"])
def test_a_lost_answer_of_a_deployment_leaves_one_that_is_found(stage, trained, kind):
    stage.world.fail("together POST */deployments", kind, effect=True)
    with pytest.raises(errors.Unclear):
        stage.provider.deploy.create(stage.api, trained, OTHER)
    found = stage.provider.deploy.find(stage.api, OTHER)
    assert len(found) == 1
    assert stage.provider.deploy.create(stage.api, trained, OTHER).id == found[0].id
    assert stage.world.count_made("together", "deployment") == 1


def test_a_base_without_configuration_cannot_be_deployed(stage, trained):
    stage.world.fail("together GET */configs", "edit", edit={"data": []})
    with pytest.raises(errors.Refused, match="no configuration"):
        stage.provider.deploy.create(stage.api, trained, OTHER)
    with pytest.raises(errors.Refused, match="which object"):
        stage.provider.deploy.create(stage.api, replace(trained, raw={}), OTHER)
    assert stage.world.count_made("together", "deployment") == 0


def test_weights_are_unpacked_without_anything_that_could_run(stage, trained, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    paths = stage.provider.training.fetch_weights(stage.api, trained, folder)
    kept = ["adapter_config.json", "adapter_model.safetensors", "tokenizer.json"]
    assert sorted(path.name for path in paths) == kept
    assert sorted(path.name for path in folder.rglob("*")) == kept
    assert not (tmp_path / "outside.txt").exists()


def test_the_merged_model_comes_where_there_is_no_adapter(stage, trained, tmp_path):
    stage.world.things["together", "main", "job"][trained.id]["_lacks"] = ("adapter",)
    paths = weights.fetch_weights(stage.api, trained, tmp_path)
    assert {path.name for path in paths} == {"config.json", "model.safetensors", "tokenizer.json"}


def test_a_download_that_is_cut_goes_on_and_a_broken_archive_is_fetched_anew(stage, trained, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    stage.world.fail("_files GET *", "cut")
    with pytest.raises(errors.Unclear, match="broke the download off"):
        weights.fetch_weights(stage.api, trained, folder)
    assert len(weights.fetch_weights(stage.api, trained, folder)) == 3
    stage.world.fail("_files GET *", "html")
    with pytest.raises(errors.Unclear, match="cannot be unpacked"):
        weights.fetch_weights(stage.api, trained, tmp_path)
    assert len(weights.fetch_weights(stage.api, trained, tmp_path)) == 3
    records = stage.provider.training.fetch_records(stage.api, trained, tmp_path / "records")
    assert [each["checkpoint"] for each in json.loads(records[0].read_text())] == ["adapter", "model"]


def test_log_probabilities_come_from_lists_side_by_side(stage):
    decoding = Decoding(max_tokens=5, top_logprobs=5)
    reply = stage.provider.chat.ask(stage.api, "Qwen/Qwen3.5-9B", questions(1)[0], decoding)
    top = dict(reply.top_logprobs[0])
    assert reply.logprob <= 0
    assert max(top, key=top.get) in reply.text
    sent = next(each.body for each in stage.world.seen if each.route.endswith("chat/completions"))
    assert sent["logprobs"] == 5
    assert "top_logprobs" not in sent


def test_batches_by_us_and_by_the_sdk(stage, sdk, tmp_path):
    batch, path = stage.provider.batch, tmp_path / "questions.jsonl"
    model, decoding = "Qwen/Qwen3.5-9B", Decoding(max_tokens=5)
    asked = [batch.line(model, question, decoding) for question in questions(8)]
    asked[3]["body"]["model"] = "gone/model"
    path.write_text("".join(json.dumps(line) + "\n" for line in asked))
    made = batch.submit(stage.api, path, model, decoding, OTHER)
    assert [each.id for each in batch.find(stage.api, OTHER)] == [made.id]
    assert batch.find(stage.api, "tb-other") == []
    stage.world.advance(5)
    done = batch.poll(stage.api, made.id)
    assert done.phase == Phase.DONE
    answers = {each.key: each for each in batch.read(stage.api, done, tmp_path / "batch")}
    assert len(answers) == 8
    assert "Unable to access" in answers["item-3"].error
    assert answers["item-0"].reply.text
    assert sdk.batches.retrieve(made.id).status == "COMPLETED"
    other = batch.submit(stage.api, path, model, decoding, OTHER)
    batch.cancel(stage.api, other.id)
    assert batch.poll(stage.api, other.id).phase == Phase.CANCELLED


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


def test_preference_data_goes_out_in_its_own_shape(stage):
    job = replace(chosen(stage), method="dpo")
    prompt, good = [{"role": "user", "content": "a"}], {"role": "assistant", "content": "b"}
    line = jobs.render(Example(prompt, good, rejected={"role": "assistant", "content": "c"}), job)
    assert set(line) == {"input", "preferred_output", "non_preferred_output"}
    with pytest.raises(errors.Invalid, match="rejected reply"):
        jobs.render(Example(prompt, good), job)
    made = jobs.submit(stage.api, job, stage.upload(chosen(stage)))
    assert made.resolved["dpo_beta"] == 0.1
    assert made.raw["training_method"]["method"] == "dpo"


def test_inference_has_a_host_of_its_own_unless_the_address_was_changed(stage):
    assert hosts.inference(stage.api) is stage.api
    published = type(stage.api)(replace(stage.api.access, base_url=hosts.BASE_URL), stage.api.client)
    there = hosts.inference(published)
    assert there.url("chat/completions") == "https://api-inference.together.ai/v1/chat/completions"
    # The key goes there and to no third host.
    assert "authorization" in there.own_headers(there.url("chat/completions"))
    assert "authorization" not in there.own_headers("https://elsewhere.example/file")
    assert hosts.beside(published, "v2/supported-models") == "https://api.together.ai/v2/supported-models"


def test_a_key_says_whose_it_is(stage):
    found = stage.provider.check_key(stage.api)
    assert (found.account, found.note) == ("Emulated organisation", "Project Emulated lab.")
    stage.world.refused_keys.add(KEY)
    with pytest.raises(errors.KeyRefused) as failure:
        stage.provider.check_key(stage.api)
    assert KEY not in failure.value.message


def test_hardware_of_unknown_price_has_none():
    assert serving._dollars("2xnvidia-b200-180gb") == 2 * 8.99
    assert serving._dollars("1xamd-mi300") is None
    assert serving._dollars("") is None
