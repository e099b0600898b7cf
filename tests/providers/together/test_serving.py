"""Together after a training: weights, deployments, questions one by one and in batches."""

import json
from dataclasses import replace

import pytest

from app import errors
from app.providers._shapes import Decoding, Phase
from app.providers.together import hosts, serving, weights
from tests.providers.scenario import COLOURS, ask, questions
from tests.providers.together.chosen import OTHER


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
    # It has stopped, and is still there: it is asked to go until it is gone.
    stopped = deploy.poll(stage.api, made.id)
    assert (stopped.state, stopped.phase) == ("DEPLOYMENT_STATE_STOPPED", Phase.WAITING)
    deploy.stop(stage.api, ready)
    assert deploy.list_running(stage.api) == []
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


def test_a_full_disk_is_not_taken_for_a_broken_archive(stage, trained, tmp_path):
    full = tmp_path / ".adapter_model.safetensors.part"
    full.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        weights.fetch_weights(stage.api, trained, tmp_path)
    assert (tmp_path / ".adapter.tar.zst").exists()
    full.unlink()
    assert len(weights.fetch_weights(stage.api, trained, tmp_path)) == 3
    assert stage.world.count("_files GET *") == 2


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
    # The same questions once more, under another key: equal files would be kept once, under the first name.
    other = batch.submit(stage.api, path, model, decoding, "tb-0123456789abcdef")
    assert [each.id for each in batch.find(stage.api, OTHER)] == [made.id]
    assert [each.id for each in batch.find(stage.api, "tb-0123456789abcdef")] == [other.id]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["batch", "questions.jsonl"]
    batch.cancel(stage.api, other.id)
    assert batch.poll(stage.api, other.id).phase == Phase.CANCELLED


def test_inference_has_a_host_of_its_own_unless_the_address_was_changed(stage):
    assert hosts.inference(stage.api) is stage.api
    published = type(stage.api)(replace(stage.api.access, base_url=hosts.BASE_URL), stage.api.client)
    there = hosts.inference(published)
    assert there.url("chat/completions") == "https://api-inference.together.ai/v1/chat/completions"
    # The key goes there and to no third host.
    assert "authorization" in there.own_headers(there.url("chat/completions"))
    assert "authorization" not in there.own_headers("https://elsewhere.example/file")
    assert hosts.beside(published, "v2/supported-models") == "https://api.together.ai/v2/supported-models"


def test_hardware_of_unknown_price_has_none():
    assert serving._dollars("2xnvidia-b200-180gb") == 2 * 8.99
    assert serving._dollars("1xamd-mi300") is None
    assert serving._dollars("") is None
