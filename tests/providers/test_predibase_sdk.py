"""Predibase's official package against the emulated service: that it takes what the package sends, and that the package
reads what Tunebook made there. It is installed into an environment of its own."""

import os
import subprocess
import venv

import pytest

from tests.providers.scenario import on_stage

pytestmark = pytest.mark.slow
PACKAGE = "predibase==2025.10.3"
TRAIN = """
import sys, time
from predibase import FinetuningConfig, Predibase
client = Predibase(api_token="pb_sdk")
path, base_model = sys.argv[1:]
repo = client.repos.create(name="sdk", exists_ok=True)
data = client.datasets.from_file(path, name="sdk-data")
config = FinetuningConfig(base_model=base_model, epochs=2, rank=8)
job = client.finetuning.jobs.create(config=config, dataset=data, repo=repo, watch=False)
while client.finetuning.jobs.get(job).status != "completed":
    time.sleep(0.2)
print("JOB", job.uuid)
"""
FETCH = """
import sys
from predibase import Predibase
client = Predibase(api_token="pb_sdk")
name, id, target = sys.argv[1:]
job, adapter = client.finetuning.jobs.get(id), client.adapters.get(name)
client.adapters.download(name, dest=target)
print("JOB", job.status, job.target_repo, job.target_version_tag, job.params.rank, adapter.base_model)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment with the package."""
    folder = tmp_path_factory.mktemp("predibase")
    venv.create(folder, with_pip=True)
    found = folder / "bin" / "python"
    made = subprocess.run([found, "-m", "pip", "install", "-q", PACKAGE], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"{PACKAGE} cannot be installed here: {made.stderr[-300:]}")
    return found


@pytest.fixture
def stage(tmp_path):
    with on_stage("predibase", tmp_path) as found:
        yield found


@pytest.fixture
def speak(python, stage, tmp_path):
    """Runs a script with the package in a home of its own; gives the words of its last line after JOB."""

    def run(script: str, *given: str) -> list[str]:
        gateway = {"PREDIBASE_GATEWAY": stage.world.url("predibase"), "HOME": str(tmp_path)}
        done = subprocess.run(
            [python, "-c", script, *given],
            env={"PATH": os.environ["PATH"], **gateway},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.rpartition("JOB ")[2].split()

    return run


def test_a_training_that_the_package_began_is_followed(stage, speak, tmp_path):
    job = stage.job()
    stage.upload(job)
    (id,) = speak(TRAIN, str(tmp_path / "train.jsonl"), job.model)
    done = stage.finish(id)
    assert done.model == f"{job.model}#sdk/1"
    assert done.resolved["lora_r"] == 8
    assert stage.provider.training.fetch_weights(stage.api, done, tmp_path / "weights")


def test_the_package_reads_what_tunebook_trained(stage, speak, tmp_path):
    job = stage.job()
    done = stage.finish(stage.submit(job).id)
    name, target = f"{job.launch_key}/1", tmp_path / "adapter.zip"
    said = speak(FETCH, name, done.id, str(target))
    rank = str(job.hyperparameters["lora_r"])
    assert said == ["completed", job.launch_key, "1", rank, job.model]
    assert target.stat().st_size > 200
