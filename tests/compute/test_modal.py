"""Modal against a stand-in for its SDK, whose sandboxes really run; a slow test holds the stand-in against the SDK."""

import inspect
import json
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.compute._base import Phase, Site
from app.compute.modal import COMPUTE, results
from app.errors import AlreadyThere, Busy, Gone, KeyRefused, OutOfCredit, Refused, Unavailable, Unclear
from tests.compute import modal_stand_in as stand_in
from tests.compute.modal_errors import GRPCError, exception
from tests.compute.modal_stand_in import Cloud
from tests.compute.rented import check_live, check_results, follow, make_order, wait_for, whole_life

CREATE = "Sandbox.create"


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cloud]:
    found = stand_in.use(monkeypatch, tmp_path / "cloud")
    yield found
    for box in found.boxes:
        box.container.kill()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    fields = {"gpu": "A100-80GB", "hourly_dollars": "2.50", "image": "python:3.12", "memory_gb": "32"}
    return Site("modal", fields, "ak-lab as-lab", tmp_path / "site")


def test_the_check_tells_what_was_entered(cloud: Cloud, site: Site) -> None:
    found = COMPUTE.check(site)
    assert found.facts["hourly_microdollars"] == 2_500_000
    assert "$2.50" in found.note
    for secret in ("", "ak-lab", "ak-lab:as-other"):
        with pytest.raises(KeyRefused):
            COMPUTE.check(Site("modal", site.fields, secret, site.folder))
    with pytest.raises(Refused, match="price"):
        COMPUTE.check(Site("modal", {**site.fields, "hourly_dollars": "two"}, site.secret, site.folder))


def test_without_the_package_it_says_what_to_install(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "modal", None)
    with pytest.raises(Unavailable) as caught:
        COMPUTE.check(site)
    assert "pip install modal" in caught.value.hint


def test_a_runs_whole_life(cloud: Cloud, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path, waits="sleep 1", hub_token="hf_gated", gpus=2)
    whole_life(COMPUTE, site, order)
    assert "HF_TOKEN=hf_gated" in (order.folder / "out" / "environment.txt").read_text()
    (asked,) = cloud.asked
    assert asked["name"] == order.launch_key
    assert asked["timeout"] == 600
    assert asked["gpu"] == "A100-80GB:2"
    assert asked["memory"] == 32 * 1024
    assert "hf_gated" not in str(asked)
    assert not list((cloud.folder / "volumes").iterdir())


def test_a_deadline_beyond_modals_own_is_cut(cloud: Cloud, site: Site, tmp_path: Path) -> None:
    COMPUTE.submit(site, make_order(tmp_path, deadline=200_000.0))
    assert cloud.asked[0]["timeout"] == 86_400


def test_a_lost_answer_is_found_by_its_name(cloud: Cloud, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path, waits="sleep 1")
    cloud.after, cloud.faults = True, {CREATE: [exception.ServiceError("deadline exceeded")]}
    with pytest.raises(Unclear):
        COMPUTE.submit(site, order)
    (found,) = COMPUTE.find(site, order.launch_key)
    # A second create is safe while the first one runs, and once it has ended.
    with pytest.raises(AlreadyThere):
        COMPUTE.submit(site, order)
    follow(COMPUTE, site, found.handle, Phase.ENDED)
    with pytest.raises(AlreadyThere):
        COMPUTE.submit(site, order)
    assert len(cloud.boxes) == 1
    (ended,) = COMPUTE.find(site, order.launch_key)
    assert ended.status.phase == Phase.ENDED
    COMPUTE.fetch(site, found.handle, order.folder)
    check_results(order)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (exception.ServiceError("unavailable"), Unclear),
        (exception.InternalError("oops"), Unclear),
        (exception.ConflictError("already completed"), Unclear),
        (GRPCError("strange"), Unclear),
        (ConnectionResetError("reset"), Unclear),
        (exception.ResourceExhaustedError("rate limit"), Busy),
        (exception.ResourceExhaustedError("workspace billing cycle spend limit reached"), OutOfCredit),
        (exception.InvalidError("no such GPU"), Refused),
        (exception.PermissionDeniedError("no"), KeyRefused),
    ],
)
def test_a_create_is_never_repeated(cloud: Cloud, site: Site, tmp_path: Path, fault, error) -> None:
    order = make_order(tmp_path)
    cloud.faults = {CREATE: [fault]}
    with pytest.raises(error):
        COMPUTE.submit(site, order)
    assert cloud.calls.count(CREATE) == 1
    assert not COMPUTE.find(site, order.launch_key)
    (left,) = COMPUTE.jobs(site)
    assert (left.launch_key, left.status.phase) == (order.launch_key, Phase.GONE)
    COMPUTE.release(site, left.handle)
    assert not COMPUTE.jobs(site)


@pytest.mark.parametrize("call", ["App.lookup", "Volume.batch_upload", "Image.build"])
def test_what_fails_before_the_create_has_started_nothing(
    cloud, site: Site, tmp_path: Path, call: str
) -> None:
    cloud.faults = {call: [exception.ServiceError("unavailable")]}
    with pytest.raises(Busy):
        COMPUTE.submit(site, make_order(tmp_path))
    assert CREATE not in cloud.calls
    cloud.faults = {"Image.build": [exception.ImageBuildError("no such image")]}
    with pytest.raises(Refused, match="no such image"):
        COMPUTE.submit(site, make_order(tmp_path))


def test_live_lines_come_once_also_after_a_gap(
    cloud: Cloud, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "LAST_ENTRIES", 3)
    order = make_order(tmp_path, lines=40, waits="sleep 30")
    handle = COMPUTE.submit(site, order)
    wait_for(lambda: COMPUTE.pull(site, handle, order.folder) or check_live(order) == 40)
    before = (order.folder / "out" / "metrics.jsonl").read_bytes()
    COMPUTE.pull(site, handle, order.folder)
    assert (order.folder / "out" / "metrics.jsonl").read_bytes() == before


def test_modals_own_timeout_leaves_no_exit_code(cloud: Cloud, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path, waits="sleep 100", deadline=60)
    cloud.speed = 100.0
    handle = COMPUTE.submit(site, order)
    assert follow(COMPUTE, site, handle, Phase.GONE).state == "timed out"
    with pytest.raises(Busy):
        COMPUTE.fetch(site, handle, order.folder)
    COMPUTE.release(site, handle)
    with pytest.raises(Gone):
        COMPUTE.fetch(site, handle, order.folder)


def test_cancelled_twice_and_released(cloud: Cloud, site: Site, tmp_path: Path) -> None:
    handle = COMPUTE.submit(site, make_order(tmp_path, waits="sleep 100"))
    follow(COMPUTE, site, handle, Phase.RUNNING)
    COMPUTE.cancel(site, handle)
    COMPUTE.cancel(site, handle)
    assert COMPUTE.status(site, handle).state == "terminated"
    assert COMPUTE.status(site, {**handle, "sandbox": "sb-0"}).state == "missing"
    COMPUTE.release(site, handle)
    assert COMPUTE.status(site, handle).phase == Phase.GONE


def test_a_download_that_was_cut_is_not_taken(cloud: Cloud, site: Site, tmp_path: Path, monkeypatch) -> None:
    order = make_order(tmp_path)
    handle = COMPUTE.submit(site, order)
    follow(COMPUTE, site, handle, Phase.ENDED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stand_in.Volume, "read_file_into_fileobj", lambda self, path, fileobj: 0)
        with pytest.raises(Unclear):
            COMPUTE.fetch(site, handle, order.folder)
    cloud.faults = {"Volume.read_file_into_fileobj": [exception.ServiceError("unavailable")]}
    with pytest.raises(Unclear):
        COMPUTE.fetch(site, handle, order.folder)
    assert not (order.folder / "out" / "exit_code").exists()
    COMPUTE.fetch(site, handle, order.folder)
    check_results(order)


LOOK = """
import inspect, json, sys, modal, modal.exception, grpclib.exceptions, modal.types
asked, found = json.load(sys.stdin), {}
for call in asked:
    thing = modal
    for part in call.split("."):
        thing = getattr(thing, part)
    found[call] = list(inspect.signature(thing).parameters)
errors = [name for name in dir(modal.exception) if isinstance(getattr(modal.exception, name), type)]
tail = inspect.signature(modal._logs_manager.SandboxLogsManager.tail)
volume = modal.Volume.from_name("x", client=None)
more = {
    "errors": errors,
    "tail": list(inspect.signature(modal._logs_manager._SandboxLogsManager.tail).parameters),
    "fetch": list(inspect.signature(modal._logs_manager._SandboxLogsManager.fetch).parameters),
    "file": int(modal.types.FileEntryType.FILE),
    "entry": list(modal.types.FileEntry.__dataclass_fields__),
    "app_id": isinstance(inspect.getattr_static(modal.App, "app_id"), property),
    "logs": hasattr(modal.Sandbox, "logs"),
    "put_file": list(inspect.signature(modal.volume._AbstractVolumeUploadContextManager.put_file).parameters),
    "conflict": issubclass(modal.exception.ConflictError, modal.exception.InvalidError),
}
print(json.dumps([found, more]))
"""


def parameters() -> dict[str, list[str]]:
    """{call: names of its parameters}, for the comparison with the real SDK."""
    of = {
        "Client": (stand_in.Client, ("from_credentials", "hello", "close")),
        "App": (stand_in.App, ("lookup",)),
        "Volume": (
            stand_in.Volume,
            ("from_name", "batch_upload", "listdir", "read_file_into_fileobj", "hydrate"),
        ),
        "Volume.objects": (stand_in.Volume.objects, ("list", "delete")),
        "Image": (stand_in.Image, ("from_registry", "entrypoint", "build")),
        "Secret": (stand_in.Secret, ("from_dict",)),
        "Sandbox": (
            stand_in.Sandbox,
            ("create", "from_id", "from_name", "list", "get_tags", "poll", "terminate"),
        ),
    }
    return {
        f"{name}.{call}": [
            each for each in inspect.signature(getattr(kind, call)).parameters if each != "self"
        ]
        for name, (kind, calls) in of.items()
        for call in calls
    }


@pytest.mark.slow
def test_the_stand_in_is_called_as_the_real_sdk_is(tmp_path: Path) -> None:
    venv.create(tmp_path / "sdk", with_pip=True)
    python = tmp_path / "sdk" / "bin" / "python"
    made = subprocess.run(
        [python, "-m", "pip", "install", "-q", "modal>=1.6,<2"], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"Modal's SDK cannot be installed here: {made.stderr[-200:]}")
    asked = parameters()
    said = subprocess.run(
        [python, "-c", LOOK], input=json.dumps(list(asked)), capture_output=True, text=True, check=True
    )
    found, more = json.loads(said.stdout.splitlines()[-1])
    for call, names in asked.items():
        assert set(names) <= {*found[call], "args"}, call
    names = {name for name in vars(exception) if name[0].isupper()}
    assert names <= set(more["errors"])
    assert {"entries", "source"} <= set(more["tail"])
    assert {"since", "source"} <= set(more["fetch"])
    assert more["file"] == 1
    assert {"path", "type", "size"} <= set(more["entry"])
    assert {"local_file", "remote_path"} <= set(more["put_file"])
    assert more["app_id"]
    assert more["logs"]
    assert more["conflict"]
