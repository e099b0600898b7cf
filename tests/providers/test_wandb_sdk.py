"""The official wandb package against the emulated service: that it takes what the package sends, and that the package
reads what Tunebook sent. The package is installed into an environment of its own."""

import os
import subprocess
import sys
import venv

import pytest

from tests.providers.scenario import on_stage

pytestmark = pytest.mark.slow
PACKAGE = "wandb==0.31.0"
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


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment with the package."""
    folder = tmp_path_factory.mktemp("wandb")
    venv.create(folder, with_pip=True)
    found = folder / "bin" / "python"
    made = subprocess.run([found, "-m", "pip", "install", "-q", PACKAGE], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"{PACKAGE} cannot be installed here: {made.stderr[-300:]}")
    return found


@pytest.fixture
def stage(tmp_path):
    with on_stage("wandb", tmp_path, FIELDS) as found:
        yield found


@pytest.fixture
def speak(python, stage, tmp_path):
    """Runs a script of the package in a home of its own; gives what it printed last."""

    def run(script: str, *given: str) -> str:
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
        return done.stdout.split()[-1]

    return run


def test_the_environment_is_its_own(python):
    assert str(python) != sys.executable


def test_the_package_reads_the_training_data_that_tunebook_sent(stage, speak, tmp_path):
    address = stage.upload(stage.job())["train"]
    name, root = address.removeprefix("wandb-artifact:///"), tmp_path / "fetched"
    digest = speak(FETCH, name, "dataset", str(root))
    assert (root / "train.jsonl").read_bytes() == (tmp_path / "train.epochs.jsonl").read_bytes()
    (artifact,) = stage.world.things["wandb", "main", "artifact"].values()
    assert digest == artifact["digest"]


def test_a_training_takes_the_data_that_the_package_sent(stage, speak, tmp_path):
    job = stage.job()
    files = stage.upload(job)
    name = speak(LOG, str(tmp_path / "train.epochs.jsonl"))
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
