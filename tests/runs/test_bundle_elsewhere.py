"""A downloaded bundle repeats its run on another machine: another root, user, home and Python, its own environment, no
Tunebook and, once the environment is there, no network at all."""

import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.runs.other_machine import OtherMachine, lacks
from tests.stack import ROOT, Stack, rule_rows, running_stack, wait_for
from tests.training.base_model import make_base
from tests.training.test_toolkit_runs import environments

pytestmark = [pytest.mark.slow, pytest.mark.train, pytest.mark.laptop]
NEAR = 1e-5
MODELS: dict[str, dict[str, Any]] = {
    "baseline": {"model": "baseline/tfidf-linear"},
    "lora": {
        "model": "hf/small-model",
        "hyperparameters": {"epochs": 3, "batch_size": 4, "learning_rate": 2e-3},
    },
}


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    make_base(tmp_path / "models" / "small-model")
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("TUNEBOOK_MODEL_DIRS", str(tmp_path / "models"))
    yield from running_stack(tmp_path / "data")


@pytest.fixture
def machine(tmp_path: Path) -> OtherMachine:
    if why := lacks():
        pytest.skip(why)
    environments(tmp_path)
    return OtherMachine(tmp_path / "other")


def downloaded(stack: Stack, row: dict[str, Any], folder: Path) -> Path:
    """The unpacked bundle of a run that is done, as its page gives it."""
    body = {"dataset_id": stack.upload(rule_rows(120)), "models": [row], "seeds": [3]}
    run = stack.call("POST", "/experiments", json=body)["runs"][0]["id"]
    wait_for(lambda: stack.call("GET", f"/runs/{run}")["state"] in ("done", "failed"), 120)
    assert stack.call("GET", f"/runs/{run}")["error"] is None
    headers = {"authorization": f"Bearer {stack.token}"}
    answer = httpx.get(f"{stack.base}/api/v1/runs/{run}/bundle.zip", headers=headers).raise_for_status()
    (folder / "bundle.zip").write_bytes(answer.content)
    with zipfile.ZipFile(folder / "bundle.zip") as packed:
        packed.extractall(folder / "bundle")
    return folder / "bundle"


def probabilities(path: Path) -> dict[str, dict[str, float]]:
    """{item: {label: probability}}."""
    rows = map(json.loads, path.read_text().splitlines())
    return {row["item"]: row["p"] for row in rows}


@pytest.mark.parametrize("kind", MODELS)
def test_a_bundle_repeats_its_answers_on_another_machine(
    stack: Stack, machine: OtherMachine, tmp_path: Path, kind: str
) -> None:
    bundle = downloaded(stack, MODELS[kind], tmp_path)
    stack.stop()
    assert not (bundle / "here.json").exists()
    machine.bring(bundle, "bundle")
    machine.bring(tmp_path / "models" / "small-model", "weights")
    seen = machine.sh(
        f"id -u; python3 -c 'import sys; print(sys.executable)'; test ! -e {ROOT}; echo bare", {}
    )
    assert seen.split() == ["65534", "/usr/bin/python3", "bare"]
    model = {"MODEL": "/srv/weights"} if kind == "lora" else {}
    line = "cd /srv/bundle && sh run.sh --check"
    said = machine.sh(line, model, network=True)
    assert "24 of 24 answers agree." in said
    # Once more with what is there now: no network, so that nothing can be asked of anyone.
    machine.sh("rm -r /srv/bundle/again", {})
    said = machine.sh(line, model)
    assert "24 of 24 answers agree." in said
    there = machine.root / "srv" / "bundle"
    before, after = (probabilities(there / part / "predictions.jsonl") for part in ("out", "again/out"))
    apart = max(abs(before[item][label] - value) for item in after for label, value in after[item].items())
    print(f"{kind}: {len(after)} answers, probabilities at most {apart:.1e} apart", file=sys.stderr)
    assert apart < NEAR
    ran = json.loads((there / "again" / "out" / "environment.json").read_text())
    version = machine.sh("python3 -c 'import platform; print(platform.python_version())'", {})
    assert ran["python"] == version.strip()
