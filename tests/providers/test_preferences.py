"""DPO at every service that trains by it: the file in its own shape, the values read back, an answer at the end."""

import json

import openai
import pytest

from app import errors
from app.providers import providers
from app.providers._shapes import Example, Phase
from tests.providers.scenario import COLOURS, KEY, on_stage

SERVICES = [
    provider.name
    for provider in providers().values()
    if provider.training and "dpo" in provider.training.methods
]
FIELDS = {"fireworks": {"account_id": "lab"}}
# What is sent, but never said again.
SILENT = {"azure": {"training_type"}}


@pytest.fixture(params=SERVICES)
def stage(request, tmp_path):
    with on_stage(request.param, tmp_path, FIELDS.get(request.param, {})) as found:
        yield found


def test_the_services_are_those_that_publish_it():
    assert set(SERVICES) == {"together", "fireworks", "openai", "azure", "openpipe"}


def test_a_training_on_preferences_from_file_to_model(stage):
    job = stage.job(count=40, method="dpo")
    assert (job.hyperparameters["objective"], job.hyperparameters["dpo_beta"]) == ("dpo", 0.1)
    assert stage.provider.training.problems(job) == []
    made = stage.submit(job)
    done = stage.finish(made.id)
    assert done.phase == Phase.DONE
    said = {
        name: value
        for name, value in job.hyperparameters.items()
        if name not in SILENT.get(stage.provider.name, ())
    }
    assert {name: done.resolved.get(name) for name in said} == said
    row = json.loads((stage.folder / "train.jsonl").read_text("utf-8-sig").splitlines()[0])
    sides = (row["messages"][-1], row["rejected_message"]) if "messages" in row else (
        row["preferred_output"][0], row["non_preferred_output"][0]
    )  # fmt: skip
    assert [side["content"] for side in sides] == list(COLOURS[:2])


def test_an_item_without_a_rejected_answer_is_never_sent(stage):
    prompt, reply = [{"role": "user", "content": "a"}], {"role": "assistant", "content": "b"}
    with pytest.raises(errors.Invalid, match="needs a rejected reply"):
        stage.provider.training.render(Example(prompt, reply), stage.job(method="dpo"))


def test_openais_own_client_reads_the_job_and_what_it_makes_is_read_by_us(tmp_path):
    with (
        on_stage("openai", tmp_path) as stage,
        openai.OpenAI(
            api_key=KEY, base_url=stage.api.access.base_url, max_retries=0, _strict_response_validation=True
        ) as sdk,
    ):
        job = stage.job(method="dpo")
        files = stage.upload(job)
        made = stage.provider.training.submit(stage.api, job, files)
        theirs = sdk.fine_tuning.jobs.retrieve(made.id)
        assert (theirs.method.type, theirs.method.dpo.hyperparameters.beta) == ("dpo", "auto")
        other = sdk.fine_tuning.jobs.create(
            model=job.model,
            training_file=files["train"],
            method={"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.3, "n_epochs": 2}}},
        )
        stage.world.advance(10)
        found = stage.provider.training.poll(stage.api, other.id)
        assert {name: found.resolved[name] for name in ("objective", "dpo_beta", "epochs")} == {
            "objective": "dpo",
            "dpo_beta": 0.3,
            "epochs": 2,
        }
        with pytest.raises(openai.BadRequestError, match="beta must be above 0"):
            sdk.fine_tuning.jobs.create(
                model=job.model,
                training_file=files["train"],
                method={"type": "dpo", "dpo": {"hyperparameters": {"beta": 3.0}}},
            )
