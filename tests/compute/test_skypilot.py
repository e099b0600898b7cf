"""SkyPilot against a stand-in for its command line, whose machines really run the bundle."""

import json
import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.compute._base import Phase, Site
from app.compute.skypilot import COMPUTE
from app.config import settings
from app.errors import Busy, Gone, Refused, Unavailable, Unclear
from tests.compute import sky_stand_in
from tests.compute.rented import check_results, follow, make_order, whole_life

SSH = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do [ "$1" = -o ] && shift; shift; done
host=$1; shift
cd "$SKY_STATE/$host" && exec sh -c "$*"
"""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    state, programs = tmp_path / "clouds", tmp_path / "bin"
    state.mkdir()
    programs.mkdir()
    (programs / "sky").write_text(
        f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("sky_stand_in.py")} "$@"\n'
    )
    (programs / "ssh").write_text(SSH)
    for path in programs.iterdir():
        path.chmod(0o755)
    monkeypatch.setenv("SKY_STATE", str(state))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    yield state
    for place in state.iterdir():
        if place.is_dir():
            subprocess.run(["sky", "down", "-y", place.name], check=False)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    fields = {"infra": "k8s/lab", "gpu": "L4", "hourly_dollars": "0.80"}
    return Site("sky", fields, "", tmp_path / "site")


def launches(state: Path) -> list[dict]:
    return [json.loads(line) for line in (state / "launches").open()]


def test_the_check(state: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    found = COMPUTE.check(site)
    assert found.facts["hourly_microdollars"] == 800_000
    assert "0.14" in found.note
    monkeypatch.setattr(settings(), "sky", "/nowhere/sky")
    with pytest.raises(Unavailable, match="nowhere"):
        COMPUTE.check(site)


def test_a_runs_whole_life(state: Path, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path, waits="sleep 2", hub_token="hf_gated", gpus=2, deadline=3600)
    whole_life(COMPUTE, site, order)
    (asked,) = launches(state)
    assert (asked["cluster"], asked["infra"], asked["gpus"]) == (order.launch_key, "k8s/lab", "L4:2")
    assert (asked["down"], asked["i"], asked["wait_for"]) == (True, "10", "jobs")
    assert "hf_gated" not in str(asked)
    out = (order.folder / "out" / "environment.txt").read_text()
    assert "HF_TOKEN=hf_gated" in out
    assert "DEADLINE_SECONDS=3000" in out
    assert not list((site.folder / "tasks").iterdir())


def test_a_lost_answer_is_found_by_its_name(state: Path, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path, code=3)
    (state / "fault").write_text("lose")
    with pytest.raises(Unclear):
        COMPUTE.submit(site, order)
    (found,) = COMPUTE.find(site, order.launch_key)
    assert follow(COMPUTE, site, found.handle, Phase.ENDED).state == "FAILED"
    COMPUTE.fetch(site, found.handle, order.folder)
    check_results(order, code=3)
    assert len(launches(state)) == 1


def test_a_launch_is_never_repeated(state: Path, site: Site, tmp_path: Path) -> None:
    (state / "fault").write_text("refuse")
    with pytest.raises(Unclear, match="no L4 anywhere"):
        COMPUTE.submit(site, make_order(tmp_path))
    assert len(launches(state)) == 1
    with pytest.raises(Refused):
        COMPUTE.submit(Site("sky", {**site.fields, "gpu": ""}, "", site.folder), make_order(tmp_path, gpus=1))


def test_the_deadline_is_kept_there(state: Path, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path, waits="sleep 100", deadline=2)
    handle = COMPUTE.submit(site, order)
    follow(COMPUTE, site, handle, Phase.ENDED)
    COMPUTE.fetch(site, handle, order.folder)
    assert (order.folder / "out" / "exit_code").read_text().strip() == "124"


def test_cancel_release_and_what_is_gone(state: Path, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path, waits="sleep 100")
    handle = COMPUTE.submit(site, order)
    COMPUTE.cancel(site, handle)
    COMPUTE.cancel(site, handle)
    assert COMPUTE.status(site, handle).state == "CANCELLED"
    (state / "stays").touch()
    with pytest.raises(Busy):
        COMPUTE.release(site, handle)
    (state / "stays").unlink()
    COMPUTE.release(site, handle)
    with pytest.raises(Gone):
        COMPUTE.fetch(site, handle, order.folder)
    # A launch may be on its way although no list shows it.
    assert COMPUTE.status(site, handle).phase == Phase.WAITING
    assert COMPUTE.status(site, {**handle, "created_at": 0.0}).phase == Phase.GONE


@pytest.mark.slow
def test_the_real_program_has_these_options_and_answers(tmp_path: Path) -> None:
    venv.create(tmp_path / "sky", with_pip=True)
    python = tmp_path / "sky" / "bin" / "python"
    made = subprocess.run(
        [python, "-m", "pip", "install", "-q", "skypilot==0.14.1"], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"SkyPilot cannot be installed here: {made.stderr[-200:]}")
    home = {**os.environ, "HOME": str(tmp_path)}
    commands = sky_stand_in.parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    for name, parser in commands.items():
        said = subprocess.run(
            [python.with_name("sky"), name, "--help"], env=home, capture_output=True, text=True
        )
        for action in parser._actions:
            for option in action.option_strings:
                assert re.search(rf"(^|[\s,/]){re.escape(option)}[\s,]", said.stdout), f"sky {name} {option}"
    shapes = "from sky.schemas.api import responses as r; print(*r.StatusResponse.model_fields, *r.ClusterJobRecord.model_fields)"
    fields = subprocess.run([python, "-c", shapes], env=home, capture_output=True, text=True).stdout.split()
    assert {"name", "launched_at", "status", "init_status_reason", "job_name"} <= set(fields)
