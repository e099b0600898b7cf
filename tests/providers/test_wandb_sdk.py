"""The official packages (wandb for artifacts, openpipe-art for trainings) against the emulated service: that it takes
what they send, and that they read what Tunebook sent. They are installed into an environment of their own."""

import os
import subprocess
import sys
import venv

import pytest

from tests.providers.scenario import on_stage

pytestmark = pytest.mark.slow
# openpipe-art without what it needs for training at home; its client of the service needs openai alone.
PACKAGES = (("wandb==0.31.0", "openai>=2"), ("--no-deps", "openpipe-art==0.5.18"))
KEY = "0123456789" * 4
FIELDS = {"entity": "lab", "project": "colours"}
LOG = """
import sys, wandb
base, key, path = sys.argv[1:]
settings = wandb.Settings(api_key=key, base_url=base, console="off", x_disable_stats=True, x_disable_meta=True)
run = wandb.init(name="sdk", id="sdk", entity="lab", project="colours", resume="allow", settings=settings)
artifact = wandb.Artifact("sdk-data", type="dataset", metadata={"format": "jsonl"})
artifact.add_file(path, name="train.jsonl")
artifact = run.log_artifact(artifact).wait(timeout=60)
run.finish()
print(artifact.qualified_name)
"""
FETCH = """
import sys, wandb
base, key, name, type, root = sys.argv[1:]
artifact = wandb.Api(api_key=key, overrides={"base_url": base}).artifact(name, type=type)
artifact.download(root=root)
artifact.verify(root=root)
print(artifact.digest)
"""
ART = """
import asyncio, sys, types
from importlib.metadata import distribution
root = distribution("openpipe-art").locate_file("art")
for name, folder in (("art", root), ("art.serverless", root / "serverless")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [str(folder)]
sys.modules["art.trajectories"] = types.ModuleType("art.trajectories")
sys.modules["art.trajectories"].TrajectoryGroup = object
from art.serverless.client import Client
client = Client(api_key=sys.argv[2], base_url=sys.argv[1] + "/v1")
"""
TRAIN = """
async def train(base_model, name, address):
    names = {"entity": "lab", "project": "colours", "name": name, "base_model": base_model}
    model = await client.models.create(**names, return_existing=True)
    config = {"batch_size": 2, "learning_rate": 5e-5}
    job = await client.sft_training_jobs.create(model_id=model.id, training_data_url=address, config=config)
    print(model.run_id, job.id)
asyncio.run(train(*sys.argv[3:]))
"""
EVENTS = """
async def count(job):
    found = [event.type async for event in client.sft_training_jobs.events.list(training_job_id=job)]
    print(len(found), found[0], found[-1])
asyncio.run(count(sys.argv[3]))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment with the packages."""
    folder = tmp_path_factory.mktemp("wandb")
    venv.create(folder, with_pip=True)
    found = folder / "bin" / "python"
    for some in PACKAGES:
        made = subprocess.run([found, "-m", "pip", "install", "-q", *some], capture_output=True, text=True)
        if made.returncode:
            pytest.skip(f"{some} cannot be installed here: {made.stderr[-300:]}")
    return found


@pytest.fixture
def stage(tmp_path):
    with on_stage("wandb", tmp_path, FIELDS) as found:
        yield found


@pytest.fixture
def speak(python, stage, tmp_path):
    """Runs a script with the packages in a home of its own; gives the words that it printed."""

    def run(script: str, *given: str) -> list[str]:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        quiet = {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
        places = {"HOME": str(home), "WANDB_DIR": str(home), "WANDB_CACHE_DIR": str(home / "cache")}
        done = subprocess.run(
            [python, "-c", script, stage.world.url("wandb"), KEY, *given],
            env={"PATH": os.environ["PATH"], **quiet, **places},
            cwd=home,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.split()

    return run


def test_the_environment_is_its_own(python):
    assert str(python) != sys.executable


def test_the_package_reads_the_training_data_that_tunebook_sent(stage, speak, tmp_path):
    address = stage.upload(stage.job())["train"]
    name, root = address.removeprefix("wandb-artifact:///"), tmp_path / "fetched"
    (digest,) = speak(FETCH, name, "dataset", str(root))
    assert (root / "train.jsonl").read_bytes() == (tmp_path / "train.epochs.jsonl").read_bytes()
    (artifact,) = stage.world.things["wandb", "main", "artifact"].values()
    assert digest == artifact["digest"]


def test_a_training_takes_the_data_that_the_package_sent(stage, speak, tmp_path):
    job = stage.job()
    files = stage.upload(job)
    (name,) = speak(LOG, str(tmp_path / "train.epochs.jsonl"))
    assert name == "lab/colours/sdk-data:v0"
    # The same bytes: the package's digest of the whole is ours.
    ours, theirs = stage.world.things["wandb", "main", "artifact"].values()
    assert ours["digest"] == theirs["digest"]
    sdk = {**files, "train": f"wandb-artifact:///{name}"}
    assert stage.finish(stage.provider.training.submit(stage.api, job, sdk).id).model


def test_the_package_and_tunebook_fetch_the_same_adapter(stage, speak, tmp_path):
    done = stage.finish(stage.submit(stage.job()).id)
    name, root = done.model.removeprefix("wandb-artifact:///"), tmp_path / "fetched"
    speak(FETCH, name, "lora", str(root))
    written = stage.provider.training.fetch_weights(stage.api, done, tmp_path / "weights")
    assert len(written) == 2
    for path in written:
        assert path.read_bytes() == (root / path.name).read_bytes()


def test_a_training_that_the_package_began_is_followed(stage, speak):
    job = stage.job()
    address = stage.upload(job)["train"]
    run, id = speak(ART + TRAIN, job.model, job.launch_key, address)
    assert [each["run_id"] for each in stage.world.things["wandb", "main", "model"].values()] == [run]
    done = stage.finish(f"{job.launch_key}:{id}")
    assert done.model.endswith(f"/{job.launch_key}:step36")
    lines = stage.provider.training.logs(stage.api, done, "").lines
    assert speak(ART + EVENTS, id) == [str(len(lines)), "training_started", "training_ended"]
