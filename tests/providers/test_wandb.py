"""W&B Serverless SFT: data in an artifact, a job known by its events alone, adapters by step, three hosts."""

from collections import Counter

import httpx
import pytest

from app import errors
from app.providers._shapes import Phase
from app.providers.wandb import hosts, jobs
from app.service_http import Access, Api
from tests.providers.scenario import COLOURS, ask, on_stage

RUN = "tb-0123456789abcdef"
FIELDS = {"entity": "lab", "project": "colours"}


@pytest.fixture
def stage(tmp_path):
    with on_stage("wandb", tmp_path, FIELDS) as found:
        yield found


def artifacts(stage, type):
    found = stage.world.things["wandb", "main", "artifact"].values()
    return [each for each in found if each["place"] == ("lab", "colours", type)]


def sent_lines(stage):
    (artifact,) = artifacts(stage, "dataset")
    return stage.world.blobs[artifact["files"]["train.jsonl"]].splitlines()


def test_a_training_from_file_to_answer(stage, tmp_path):
    made = stage.submit(stage.job())
    assert (made.launch_key, made.phase) == (RUN, Phase.WAITING)
    done = stage.finish(made.id)
    # 24 items, three times, two a step.
    assert (done.model, done.progress) == (f"wandb-artifact:///lab/colours/{RUN}:step36", 1.0)
    assert ask(stage, done.model) == [COLOURS[number % 10 % 3] for number in range(6)]
    written = stage.provider.training.fetch_weights(stage.api, done, tmp_path / "weights")
    assert sorted(path.name for path in written) == ["adapter_config.json", "adapter_model.safetensors"]
    assert written[0].read_bytes()


def test_every_value_is_sent(stage):
    job = stage.job()
    stage.submit(job)
    (sent,) = [seen.body for seen in stage.world.seen if seen.path.endswith("sft-training-jobs")]
    assert sent["config"] == {"batch_size": 2, "learning_rate": 5e-5}
    assert sent["training_data_url"] == f"wandb-artifact:///lab/colours/{RUN}-data:v0"
    (run,) = stage.world.things["wandb", "main", "run"].values()
    assert (run["displayName"], run["state"]) == (RUN, "finished")


def test_the_data_stands_once_for_each_epoch_in_an_order_that_the_seed_decides(stage, tmp_path):
    stage.upload(stage.job())
    lines = sent_lines(stage)
    given = (tmp_path / "train.jsonl").read_bytes().splitlines()
    epochs = [lines[start : start + 24] for start in (0, 24, 48)]
    assert len(lines) == 72
    assert all(Counter(epoch) == Counter(given) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    again = jobs.repeated(tmp_path / "train.jsonl", 3, 7)
    assert again.read_bytes().splitlines() == lines
    assert jobs.repeated(tmp_path / "train.jsonl", 3, 8).read_bytes().splitlines() != lines


# Model, run, artifact, manifest, file's address, manifest, commit, end of the run, version; then the two uploads.
CUTS = [("wandb POST *", number) for number in range(9)] + [("_files PUT *", number) for number in range(2)]


def test_an_upload_that_was_cut_anywhere_is_done_again(stage):
    cases = [(route, number, effect) for route, number in CUTS for effect in (True, False)]
    for case, (route, number, effect) in enumerate(cases):
        job = stage.job(launch_key=f"tb-{case:016x}", seed=case)
        stage.world.fail(route, "drop", skip=number, effect=effect)
        with pytest.raises(errors.Unclear):
            stage.upload(job)
        files = stage.upload(job)
        assert files["train"] == f"wandb-artifact:///lab/colours/{job.launch_key}-data:v0"
    assert stage.world.count("wandb POST /v1/preview/models", answered=True) >= len(cases)
    done = [each for each in artifacts(stage, "dataset") if each["state"] == "COMMITTED"]
    assert len(done) == len(cases)


def test_a_job_without_an_answer_is_found_by_the_adapter_that_it_leaves(stage):
    training = stage.provider.training
    stage.world.fail("wandb POST *sft-training-jobs", "drop", effect=True)
    with pytest.raises(errors.Unclear):
        stage.submit(stage.job())
    assert training.find(stage.api, RUN) == []
    with pytest.raises(errors.Gone, match="no adapter"):
        training.poll(stage.api, RUN)
    stage.world.advance(300)
    (found,) = training.find(stage.api, RUN)
    assert (found.id, found.phase, found.launch_key) == (RUN, Phase.DONE, RUN)
    assert training.poll(stage.api, found.id) == found
    assert training.metrics(stage.api, found, "").points == []
    assert ask(stage, found.model, 1) == [COLOURS[0]]
    assert training.find(stage.api, "tb-ffffffffffffffff") == []
    assert stage.world.count_made("wandb", "job") == 1


def test_a_person_names_a_job_with_its_key(stage):
    made = stage.submit(stage.job())
    with pytest.raises(errors.Refused, match="does not name a job"):
        stage.provider.training.poll(stage.api, made.id.partition(":")[2])
    with pytest.raises(errors.Gone):
        stage.provider.training.poll(stage.api, f"{RUN}:no-such-job")
    assert stage.provider.training.poll(stage.api, made.id).launch_key == RUN


def test_a_model_create_without_an_answer_starts_nothing(stage):
    job = stage.job()
    files = stage.upload(job)
    stage.world.fail("wandb POST /v1/preview/models", "drop", effect=True)
    with pytest.raises(errors.Busy):
        stage.provider.training.submit(stage.api, job, files)
    assert stage.world.count_made("wandb", "job") == 0


def test_a_failure_is_told_in_the_service_s_words(stage):
    made = stage.submit(stage.job())
    (job,) = stage.world.things["wandb", "main", "job"].values()
    job["_fails"] = "CUDA out of memory"
    failed = stage.finish(made.id)
    assert (failed.phase, failed.message, failed.model) == (Phase.FAILED, "CUDA out of memory", "")


def test_curves_and_log_go_on_from_their_cursors(stage):
    training = stage.provider.training
    made = stage.submit(stage.job())
    stage.world.advance((20 + 120) / 60)
    running = training.poll(stage.api, made.id)
    assert running.phase == Phase.RUNNING
    assert running.progress == pytest.approx(0.5, abs=0.05)
    first, told = (read(stage.api, running, "") for read in (training.metrics, training.logs))
    done = stage.finish(made.id)
    rest, more = training.metrics(stage.api, done, first.cursor), training.logs(stage.api, done, told.cursor)
    steps = [point.step for point in [*first.points, *rest.points] if point.name == "loss"]
    assert steps == list(range(1, 37))
    assert {point.name for point in rest.points} == {"loss", "learning_rate"}
    assert told.lines[0] == 'training_started {"num_sequences": 36}'
    assert more.lines[-1] == "training_ended {}"
    assert len(told.lines) + len(more.lines) == 38
    last = training.metrics(stage.api, done, rest.cursor)
    assert (last.points, last.cursor) == ([], rest.cursor)


def test_an_event_that_nobody_knows_is_shown_as_it_stands(stage):
    made = stage.submit(stage.job())
    event = {"id": "e1", "type": "training_paused", "data": {}}
    stage.world.fail("wandb GET *events", "edit", edit={"data": [event], "has_more": False})
    job = stage.provider.training.poll(stage.api, made.id)
    assert (job.state, job.phase) == ("training_paused", Phase.STRANGE)


def test_the_highest_step_counts_not_the_newest_version(stage):
    done = stage.finish(stage.submit(stage.job()).id)
    (newest,) = artifacts(stage, "lora")
    older = {**newest, "id": "other", "aliases": ["latest", "step4"], "version": 1}
    stage.world.things["wandb", "main", "artifact"]["other"] = older
    assert stage.provider.training.poll(stage.api, done.id).model.endswith(":step36")


def test_errors_of_graphql_are_told(stage):
    wrong = {"data": None, "errors": [{"message": "permission denied"}]}
    stage.world.fail("wandb POST /graphql", "edit", edit=wrong)
    with pytest.raises(errors.Refused, match="W&B Serverless SFT refused Viewer: permission denied"):
        stage.provider.check_key(stage.api)


def test_what_the_emulated_service_would_not_commit(stage, monkeypatch):
    monkeypatch.setattr("app.providers.wandb.artifacts._md5", lambda path: "AAAAAAAAAAAAAAAAAAAAAA==")
    with pytest.raises(errors.Refused, match="is not what the manifest says"):
        stage.upload(stage.job())


def test_models_of_an_older_server_are_those_of_the_file(stage):
    stage.world.fail("wandb GET *base-models", 404)
    found = stage.provider.list_models(stage.api)
    trained = [each.model for each in found if each.can_train]
    assert trained == [each.model for each in stage.provider.offers]
    assert [each.model for each in found if not each.can_train] == ["deepseek-ai/DeepSeek-V3.1"]


def test_a_base_model_is_asked_in_the_name_of_the_project(stage):
    assert ask(stage, stage.provider.offers[0].model, 1)
    assert hosts.inference_api(stage.api).headers["openai-project"] == "lab/colours"


@pytest.mark.parametrize(
    ("base", "graphql", "inference"),
    [
        (hosts.PUBLISHED[0], "https://api.wandb.ai/graphql", "https://api.inference.wandb.ai/v1/models"),
        (hosts.PUBLISHED[1], "https://api.wandb.ai/graphql", "https://api.inference.wandb.ai/v1/models"),
        ("https://gate.example/w/v1", "https://gate.example/w/graphql", "https://gate.example/w/v1/models"),
    ],
)
def test_all_hosts_stand_below_a_changed_base_url(base, graphql, inference):
    with httpx.Client() as client:
        api = Api(Access("W&B", base, "key", FIELDS), client)
        assert hosts.graphql_api(api).url("graphql") == graphql
        assert hosts.inference_api(api).url("models") == inference
        assert hosts.graphql_api(api).own_headers(graphql)["authorization"] == "Basic YXBpOmtleQ=="


def test_entity_and_project_must_be_entered(tmp_path):
    with on_stage("wandb", tmp_path) as stage, pytest.raises(errors.Refused, match="entity and a project"):
        stage.upload(stage.job())
