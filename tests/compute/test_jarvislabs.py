"""JarvisLabs against its emulated API, with a real sshd as the machine that is rented."""

import getpass
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from app.compute._base import Phase, Site
from app.compute.jarvislabs import COMPUTE, api, machine, orders, runs
from app.config import settings
from app.errors import Busy, Gone, KeyRefused, OutOfCredit, Refused, Unclear
from tests.compute.rented import check_live, check_results, follow, make_order, wait_for
from tests.compute.ssh_server import Sshd, carriers
from tests.emulator import emulator
from tests.emulator._world import World

CREATE = "jarvislabs POST */create"
DESTROY = "jarvislabs POST */misc/destroy"
KEY = "jl_the_labs_key"


@pytest.fixture
def world(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("TUNEBOOK_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    with emulator(speed=600.0) as found:
        hosts = {region: found.url("jarvislabs", f"/{region}") for region in api.REGIONS}
        monkeypatch.setattr(api, "HOSTS", hosts)
        monkeypatch.setattr(runs, "FOLDER", str(tmp_path / "machine"))
        monkeypatch.setattr(runs, "OFF", ["touch", str(tmp_path / "off")])
        monkeypatch.setattr(machine, "GOING_SECONDS", 0.3)
        monkeypatch.setattr(machine, "LOOK_SECONDS", 0.05)
        found.things["jarvislabs", "main", "server"]["sshd"] = {
            "port": sshd.port,
            "user": getpass.getuser(),
            "authorized_keys": str(sshd.folder / "authorized_keys"),
        }
        yield found
    for key in {made.launch_key for made in found.made}:
        for pid in [*carriers(key), *watchdogs(key)]:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()
    settings.cache_clear()


def watchdogs(key: str) -> list[int]:
    """The watchdog of a machine: the key is its last word."""
    return [
        each.pid for each in psutil.process_iter(["cmdline"]) if (each.info["cmdline"] or [""])[-1] == key
    ]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    fields = {"gpu": "L4", "region": "", "storage_gb": "50", "template": "pytorch", "watchdog": "destroy"}
    return Site("jarvis", fields, KEY, tmp_path / "site", allow_private=True)


def server(world: World) -> dict:
    return world.things["jarvislabs", "main", "server"]["sshd"]


def up(world: World) -> None:
    """Lets all machines come up at once."""
    world.advance(1.0)


def test_the_check_tells_wallet_and_price(world: World, site: Site) -> None:
    found = COMPUTE.check(site)
    assert found.facts["balance_microdollars"] == 20_500_000
    assert found.facts["hourly_microdollars"] == 440_000
    assert found.facts["gpus"] == [{"name": "L4", "memory_bytes": 24 * 2**30}]
    assert {"name": "A100 india-noida-01", "hourly_microdollars": 1_290_000} in found.facts["prices"]
    assert found.note == "L4: 2 free, $0.44 an hour each; $20.50 in the wallet"
    world.fail("* GET */misc/", "edit", edit={"success": True})
    assert "balance_microdollars" not in COMPUTE.check(site).facts
    with pytest.raises(Refused, match="T4000"):
        COMPUTE.check(Site("jarvis", {**site.fields, "gpu": "T4000"}, KEY, site.folder, True))
    world.refused_keys.add(KEY)
    with pytest.raises(KeyRefused):
        COMPUTE.check(site)


def test_a_runs_whole_life(world: World, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path, waits="until [ -e go ]; do sleep 0.05; done", hub_token="hf_gated")
    assert not COMPUTE.find(site, order.launch_key)
    handle = COMPUTE.submit(site, order)
    assert json.loads(json.dumps(handle)) == handle
    # The GPU is free in the second region alone, and everything of the machine's life goes to that host.
    assert handle["region"] == "india-chennai-01"
    assert world.count("jarvislabs POST /india-chennai-01/templates/pytorch/create") == 1
    assert COMPUTE.status(site, handle).phase == Phase.WAITING
    (found,) = wait_for(lambda: COMPUTE.find(site, order.launch_key))
    assert found.handle == handle
    up(world)
    status = follow(COMPUTE, site, found.handle, Phase.RUNNING)
    assert status.microdollars is not None
    assert status.microdollars > 0
    wait_for(lambda: COMPUTE.pull(site, handle, order.folder) or check_live(order) == 5)
    bundle = tmp_path / "machine" / "runs" / order.launch_key / "bundle"
    (bundle / "go").touch()
    follow(COMPUTE, site, handle, Phase.ENDED)
    COMPUTE.fetch(site, handle, order.folder)
    check_results(order)
    assert "HF_TOKEN=hf_gated" in (order.folder / "out" / "environment.txt").read_text()
    assert [each.launch_key for each in COMPUTE.jobs(site)] == [order.launch_key]
    kept = "".join(path.read_text() for path in site.folder.rglob("*.json"))
    assert "hf_gated" not in kept
    assert "PRIVATE" not in kept
    COMPUTE.release(site, handle)
    COMPUTE.release(site, handle)
    assert not COMPUTE.jobs(site)
    assert not list((site.folder / "orders").iterdir())
    assert world.count(CREATE) == 1
    assert world.count("jarvislabs POST */ssh/") == 1


def test_a_lost_answer_is_found_by_its_name(world: World, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path)
    world.fail(CREATE, "cut")
    with pytest.raises(Unclear):
        COMPUTE.submit(site, order)
    (found,) = COMPUTE.find(site, order.launch_key)
    assert found.handle["region"] == "india-chennai-01"
    assert COMPUTE.status(site, found.handle).phase == Phase.WAITING
    assert not world.duplicates()
    COMPUTE.release(site, found.handle)
    assert not COMPUTE.jobs(site)


@pytest.mark.parametrize(("fault", "error"), [(500, Unclear), ("drop", Unclear), (429, Busy), (422, Refused)])
def test_a_create_is_never_repeated(world: World, site: Site, tmp_path: Path, fault, error) -> None:
    order = make_order(tmp_path)
    world.fail(CREATE, fault, times=-1)
    with pytest.raises(error):
        COMPUTE.submit(site, order)
    assert world.count(CREATE) == 1
    assert not COMPUTE.find(site, order.launch_key)


def test_an_empty_wallet_and_no_stock_are_told_apart(world: World, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path)
    with pytest.raises(Busy, match="3 × L4"):
        COMPUTE.submit(site, make_order(tmp_path, gpus=3))
    world.fail(
        CREATE, "edit", edit={"success": "false", "message": "no such disk", "machine_id": None}, effect=True
    )
    with pytest.raises(Refused, match="no such disk"):
        COMPUTE.submit(site, make_order(tmp_path))
    server(world)["no_money"] = True
    with pytest.raises(OutOfCredit, match="balance"):
        COMPUTE.submit(site, order)
    world.fail("* GET */misc/server_meta", 500)
    with pytest.raises(Busy):
        COMPUTE.submit(site, order)


def test_a_machine_that_cannot_be_made(world: World, site: Site, tmp_path: Path) -> None:
    handle = COMPUTE.submit(site, make_order(tmp_path))
    server(world)["fails"] = True
    up(world)
    found = COMPUTE.status(site, handle)
    assert (found.phase, found.state) == (Phase.GONE, "Failed")


def test_a_machine_that_takes_long_is_waited_for(world: World, site: Site, tmp_path: Path) -> None:
    world.speed = 1.0
    order = make_order(tmp_path)
    handle = COMPUTE.submit(site, order)
    assert COMPUTE.status(site, handle).state == "Creating"
    world.advance(30)
    assert COMPUTE.status(site, handle).state == "Creating"
    assert not (tmp_path / "machine").exists()
    server(world)["port"] = 1
    world.advance(60)
    assert "cannot be reached" in COMPUTE.status(site, handle).note
    COMPUTE.release(site, handle)


def test_the_watchdog_destroys_the_machine_with_nobody_there(
    world: World, site: Site, tmp_path: Path
) -> None:
    order = make_order(tmp_path, waits="sleep 100", deadline=4)
    handle = COMPUTE.submit(site, order)
    up(world)
    follow(COMPUTE, site, handle, Phase.RUNNING)
    assert len(watchdogs(order.launch_key)) == 1
    # The API key came by a pipe: no list of processes shows it.
    assert not [
        each for each in psutil.process_iter(["cmdline"]) if KEY in " ".join(each.info["cmdline"] or ())
    ]
    (seen,) = wait_for(lambda: [each for each in world.seen if each.path.endswith("destroy")], 8)
    assert seen.query == f"machine_id={handle['machine_id']}"
    assert COMPUTE.status(site, handle).phase in (Phase.GONE, Phase.WAITING)
    assert not COMPUTE.jobs(site)
    with pytest.raises(Gone):
        COMPUTE.fetch(site, handle, order.folder)


@pytest.mark.slow
def test_a_watchdog_without_the_key_switches_off(world: World, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path, waits="sleep 100", deadline=3)
    quiet = Site("jarvis", {**site.fields, "watchdog": "poweroff"}, KEY, site.folder, True)
    handle = COMPUTE.submit(quiet, order)
    up(world)
    follow(COMPUTE, quiet, handle, Phase.RUNNING)
    wait_for(lambda: (tmp_path / "off").exists(), 8)
    assert not world.count(DESTROY)
    COMPUTE.release(quiet, handle)


def test_cancel_destroys_and_looks_until_it_is_gone(world: World, site: Site, tmp_path: Path) -> None:
    handle = COMPUTE.submit(site, make_order(tmp_path))
    up(world)
    server(world)["stays"] = True
    with pytest.raises(Refused, match="try later"):
        COMPUTE.cancel(site, handle)
    assert COMPUTE.jobs(site)
    server(world)["stays"] = False
    # The call fails although it worked: what counts is that the machine is gone.
    world.fail(DESTROY, 500, effect=True)
    COMPUTE.cancel(site, handle)
    assert not COMPUTE.jobs(site)
    COMPUTE.cancel(site, handle)


@pytest.mark.parametrize(("fault", "error"), [("stays", Refused), (500, Unclear), (404, Busy)])
def test_a_machine_that_they_do_not_know_yet_is_not_taken_for_gone(
    world: World, site: Site, tmp_path: Path, fault, error
) -> None:
    world.speed = 1.0
    handle = COMPUTE.submit(site, make_order(tmp_path))
    if fault == "stays":
        server(world)["stays"] = True
    else:
        world.fail(DESTROY, fault)
    with pytest.raises(error):
        COMPUTE.release(site, handle)
    server(world)["stays"] = False
    assert COMPUTE.jobs(site)
    COMPUTE.release(site, handle)
    COMPUTE.release(site, handle)
    assert not COMPUTE.jobs(site)


def test_a_machine_without_an_order_is_an_orphan(world: World, site: Site, tmp_path: Path) -> None:
    order = make_order(tmp_path)
    handle = COMPUTE.submit(site, order)
    orders.forget(site, order.launch_key)
    up(world)
    time.sleep(0.2)
    assert COMPUTE.status(site, handle).state == "no order"
    (job,) = COMPUTE.jobs(site)
    COMPUTE.release(site, job.handle)
    assert not COMPUTE.jobs(site)
