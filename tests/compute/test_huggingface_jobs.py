"""Hugging Face Jobs against the emulated Hub, whose jobs really run the bundle's script."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.compute._base import Phase, Site
from app.compute.huggingface_jobs import COMPUTE, results
from app.config import settings
from app.errors import Busy, Gone, KeyRefused, OutOfCredit, Refused, Unclear
from tests.compute.rented import check_live, check_results, follow, make_order, new_key, wait_for, whole_life
from tests.emulator import emulator
from tests.emulator._world import World
from tests.emulator._xet import use_world_for_contents

CREATE = "huggingface_jobs POST /api/jobs/lab"
TOKEN = "hf_the_labs_token"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with emulator(speed=1000.0) as found:
        monkeypatch.setenv("TUNEBOOK_HF_ENDPOINT", found.url("huggingface_jobs"))
        monkeypatch.setattr(results, "SILENCE_SECONDS", 0.3)
        use_world_for_contents(monkeypatch, found)
        settings.cache_clear()
        yield found
        for job in found.things["huggingface_jobs", "main", "job"].values():
            if job["_box"]:
                job["_box"].kill()
    settings.cache_clear()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    fields = {"namespace": "lab", "flavor": "a10g-small", "image": "python:3.12"}
    return Site("hub", fields, TOKEN, tmp_path / "site")


def test_the_check_tells_the_price(world: World, site: Site) -> None:
    found = COMPUTE.check(site)
    assert found.facts["hourly_microdollars"] == 16_667 * 60
    assert found.facts["gpus"] == [{"name": "Nvidia A10G", "memory_bytes": 24 * 2**30}]
    assert {row["name"] for row in found.facts["prices"]} >= {"cpu-basic", "a10g-small"}
    assert "A10G" in found.note
    assert "$1.00 an hour" in found.note
    wrong = Site("hub", {**site.fields, "flavor": "h9000"}, TOKEN, site.folder)
    with pytest.raises(Refused, match="h9000") as caught:
        COMPUTE.check(wrong)
    assert "a10g-small" in caught.value.hint
    world.refused_keys.add(TOKEN)
    with pytest.raises(KeyRefused):
        COMPUTE.check(site)
    with pytest.raises(KeyRefused):
        COMPUTE.check(Site("hub", site.fields, "", site.folder))


def test_a_runs_whole_life(world: World, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path, waits="sleep 1", hub_token="hf_gated", deadline=600)
    last = whole_life(COMPUTE, site, order)
    assert last.state == "COMPLETED"
    assert world.count_made("huggingface_jobs") == 1
    (job,) = world.things["huggingface_jobs", "main", "job"].values()
    assert job["timeoutSeconds"] == 600
    assert job["secrets"] == {"HF_TOKEN": "hf_gated"}
    assert "hf_" not in str({**job, "secrets": ""})
    assert job["labels"]["launch_key"] == order.launch_key
    assert not world.things["huggingface_jobs", "main", "bucket"]


def test_cost_is_the_told_price_for_told_time(world: World, site: Site, tmp_path: Path) -> None:
    handle = COMPUTE.submit(site, make_order(tmp_path, waits="sleep 30"))
    world.advance(61)
    assert COMPUTE.status(site, handle).microdollars == 2 * 16_667


def test_a_lost_answer_is_found_by_its_label(world: World, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path)
    world.fail(CREATE, "cut")
    with pytest.raises(Unclear):
        COMPUTE.submit(site, order)
    assert world.count(CREATE) == 1
    (found,) = COMPUTE.find(site, order.launch_key)
    follow(COMPUTE, site, found.handle, Phase.ENDED)
    COMPUTE.fetch(site, found.handle, order.folder)
    check_results(order)
    assert not world.duplicates()


@pytest.mark.parametrize(
    ("fault", "error"), [(500, Unclear), ("drop", Unclear), (429, Busy), (402, OutOfCredit), (400, Refused)]
)
def test_a_create_is_never_repeated(world: World, site: Site, tmp_path: Path, fault, error) -> None:
    order = make_order(tmp_path)
    world.fail(CREATE, fault, times=-1)
    with pytest.raises(error):
        COMPUTE.submit(site, order)
    assert world.count(CREATE) == 1
    assert not COMPUTE.find(site, order.launch_key)
    # The uploaded bundle is left there: it stands in the list and one release removes it.
    (left,) = COMPUTE.jobs(site)
    assert left.launch_key == order.launch_key
    assert COMPUTE.status(site, left.handle).phase == Phase.GONE
    COMPUTE.release(site, left.handle)
    assert not COMPUTE.jobs(site)


@pytest.mark.parametrize("route", ["* GET /api/jobs/hardware", "* POST /api/buckets/lab/*", "* POST */batch"])
def test_what_fails_before_the_create_has_started_nothing(
    world: World, site: Site, tmp_path: Path, route: str
) -> None:
    order = make_order(tmp_path)
    world.fail(route, 403 if "batch" in route else 500)
    with pytest.raises(KeyRefused if "batch" in route else Busy):
        COMPUTE.submit(site, order)
    assert not world.count(CREATE)
    assert COMPUTE.submit(site, order)["id"]


def test_a_public_bucket_is_never_filled(world: World, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path)
    world.things["huggingface_jobs", "main", "bucket"][f"lab/tunebook-{order.launch_key}"] = {
        "id": f"lab/tunebook-{order.launch_key}",
        "private": False,
        "_at": 0.0,
    }
    with pytest.raises(Busy, match="public"):
        COMPUTE.submit(site, order)
    assert not world.count("* POST */batch")
    assert not world.count(CREATE)


def test_more_gpus_than_the_flavor_has_are_refused(world: World, site: Site, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="2 GPUs"):
        COMPUTE.submit(site, make_order(tmp_path, gpus=2))


def test_live_lines_come_once_also_after_a_gap(
    world: World, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "LAST_LINES", 3)
    order = make_order(tmp_path, lines=40, waits="sleep 30")
    handle = COMPUTE.submit(site, order)
    assert COMPUTE.status(site, handle).phase == Phase.WAITING
    COMPUTE.pull(site, handle, order.folder)
    follow(COMPUTE, site, handle, Phase.RUNNING)
    wait_for(lambda: COMPUTE.pull(site, handle, order.folder) or check_live(order) == 40)
    before = (order.folder / "out" / "metrics.jsonl").read_bytes()
    with (order.folder / "out" / "metrics.jsonl").open("ab") as file:
        file.write(b'{"torn')
    world.fail("* GET */logs", "drop")
    COMPUTE.pull(site, handle, order.folder)
    COMPUTE.pull(site, handle, order.folder)
    assert (order.folder / "out" / "metrics.jsonl").read_bytes() == before


def test_a_run_that_fails_brings_its_log_home(world: World, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path, code=3)
    handle = COMPUTE.submit(site, order)
    assert follow(COMPUTE, site, handle, Phase.ENDED).state == "ERROR"
    COMPUTE.fetch(site, handle, order.folder)
    check_results(order, code=3)


def test_a_run_that_cannot_begin_says_why(world: World, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path)
    (order.folder / "run.sh").write_text("echo no Python here >&2; exit 7")
    handle = COMPUTE.submit(site, order)
    follow(COMPUTE, site, handle, Phase.ENDED)
    COMPUTE.fetch(site, handle, order.folder)
    assert (order.folder / "out" / "exit_code").read_text().strip() == "7"
    assert "no Python here" in (order.folder / "out" / "log.txt").read_text()


def test_at_its_deadline_a_run_ends_and_its_log_comes_home(world: World, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path, waits="trap '' TERM; sleep 100", deadline=60)
    environment = {"DEADLINE_SECONDS": "-8"}
    from app.compute import _container

    real = _container.environment
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_container, "environment", lambda order: {**real(order), **environment})
        patch.setattr(_container, "SCRIPT", _container.SCRIPT.replace("sleep 15", "sleep 1"))
        handle = COMPUTE.submit(site, order)
    started = time.monotonic()
    follow(COMPUTE, site, handle, Phase.ENDED)
    assert time.monotonic() - started < 15
    COMPUTE.fetch(site, handle, order.folder)
    assert (order.folder / "out" / "exit_code").read_text().strip() == "124"
    assert "deadline" in (order.folder / "out" / "console.txt").read_text()


def test_the_places_own_timeout_leaves_no_exit_code(world: World, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path, waits="sleep 100", deadline=60)
    world.speed = 6000.0
    handle = COMPUTE.submit(site, order)
    found = follow(COMPUTE, site, handle, Phase.GONE)
    assert "timeout" in found.note
    with pytest.raises(Busy):
        COMPUTE.fetch(site, handle, order.folder)


def test_cancelled_twice_and_released(world: World, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path, waits="sleep 100")
    handle = COMPUTE.submit(site, order)
    follow(COMPUTE, site, handle, Phase.RUNNING)
    COMPUTE.cancel(site, handle)
    COMPUTE.cancel(site, handle)
    assert COMPUTE.status(site, handle).state == "CANCELED"
    assert world.count("* POST */cancel") == 1
    COMPUTE.release(site, handle)
    with pytest.raises(Gone):
        COMPUTE.fetch(site, handle, order.folder)


def test_results_that_are_not_written_yet_are_asked_for_again(
    world: World, site: Site, tmp_path: Path
) -> None:
    order = make_order(tmp_path)
    handle = COMPUTE.submit(site, order)
    follow(COMPUTE, site, handle, Phase.ENDED)
    world.fail("* GET */tree/out", "edit", edit={}, times=0)
    folder = Path(
        world.things["huggingface_jobs", "main", "bucket"][f"lab/tunebook-{order.launch_key}"]["_folder"]
    )
    (folder / "out" / "exit_code").rename(folder / "late")
    with pytest.raises(Busy):
        COMPUTE.fetch(site, handle, order.folder)
    (folder / "late").rename(folder / "out" / "exit_code")
    world.fail("_files GET *", "cut")
    with pytest.raises(Unclear):
        COMPUTE.fetch(site, handle, order.folder)
    COMPUTE.fetch(site, handle, order.folder)
    check_results(order)


def test_a_word_that_nobody_knows_is_shown_and_followed(world: World, site: Site, tmp_path: Path) -> None:
    handle = COMPUTE.submit(site, make_order(tmp_path))
    world.fail("* GET /api/jobs/lab/*", "edit", edit={"status": {"stage": "DREAMING"}})
    found = COMPUTE.status(site, handle)
    assert (found.phase, found.state) == (Phase.RUNNING, "DREAMING")


def test_another_ones_key_finds_nothing(world: World, site: Site, tmp_path: Path) -> None:
    COMPUTE.submit(site, make_order(tmp_path))
    assert not COMPUTE.find(site, new_key())


def test_the_hubs_own_client_sends_the_same_and_reads_the_answers(
    world: World, site: Site, tmp_path: Path
) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub._jobs_api import _create_job_spec
    from huggingface_hub._space_api import Volume

    from app.compute.huggingface_jobs import jobs

    order = make_order(tmp_path, hub_token="hf_gated", waits="sleep 30")
    sent = jobs._job(site, order, "lab/somewhere")
    theirs = _create_job_spec(
        image="python:3.12",
        command=sent["command"],
        env=sent["environment"],
        secrets={"HF_TOKEN": "hf_gated"},
        flavor="a10g-small",
        timeout=600,
        name=order.launch_key,
        labels={"app": "tunebook", "launch_key": order.launch_key},
        volumes=[Volume(type="bucket", source="lab/somewhere", mount_path="/tunebook", read_only=False)],
        attempts=1,
    )
    assert sent == theirs
    handle = COMPUTE.submit(site, order)
    hub = HfApi(endpoint=world.url("huggingface_jobs"), token=TOKEN)
    assert hub.inspect_job(job_id=handle["id"], namespace="lab").labels["launch_key"] == order.launch_key
    assert [each.id for each in hub.list_jobs(namespace="lab", labels={"app": "tunebook"})] == [handle["id"]]
    assert [row.name for row in hub.list_jobs_hardware()][1] == "a10g-small"
    follow(COMPUTE, site, handle, Phase.RUNNING)
    names = {file.path for file in hub.list_bucket_tree(f"lab/tunebook-{order.launch_key}", "base")}
    assert names == {"base/weights.txt"}
