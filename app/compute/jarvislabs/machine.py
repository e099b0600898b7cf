"""A machine's life: made once with the launch key as its name, found by that name, destroyed and seen to be gone.
Called through COMPUTE.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from app.compute._base import Found, Order, Phase, Site, Status
from app.compute._calls import nothing_started
from app.compute._container import KEY, text_of
from app.compute.jarvislabs import api as calls
from app.compute.jarvislabs import orders
from app.errors import Busy, Gone, ProviderError
from app.service_http import Api
from app.service_json import number, text, whole

PHASES = {
    "Running": Phase.RUNNING,
    "Failed": Phase.GONE,
    "Paused": Phase.GONE,
    "Destroying": Phase.GONE,
    "Destroyed": Phase.GONE,
}
# A new machine may be missing from the account's list for so long.
NEW_SECONDS = 900.0
# How long a machine that was told to go is looked after, and how often.
GOING_SECONDS, LOOK_SECONDS = 30.0, 1.0


def submit(site: Site, order: Order) -> dict[str, Any]:
    """Makes the machine, by one call that is never repeated. The run starts there once it is up (runs.status)."""
    gpus = max(order.gpus, 1)
    with nothing_started(), calls.connected(site) as api:
        region, dollars = calls.region_with(site, api, gpus), calls.pays_dollars(api)
        _, public = orders.key_pair(site)
        calls.register_key(api, public)
    orders.keep_order(site, order, created_at=time.time(), dollars=dollars)
    template = text_of(site.fields, "template") or "pytorch"
    with calls.connected(site, region) as api:
        made = api.post(
            f"templates/{template}/create", json=_machine(site, order, gpus, region), seconds=120.0
        )
        id = whole(made, "machine_id") if isinstance(made, Mapping) else None
        if not id:
            calls.succeeded(made, "to make a machine")
            raise api.unclear("answered without the machine's number")
    return _handle(order.launch_key, id, region)


def _machine(site: Site, order: Order, gpus: int, region: str) -> dict[str, Any]:
    return {
        "gpu_type": text_of(site.fields, "gpu"),
        "num_gpus": gpus,
        "hdd": int(text_of(site.fields, "storage_gb") or 100),
        "region": region,
        "name": order.launch_key,
        "is_spot": False,
        "duration": "hour",
        "disk_type": "ssd",
        "http_ports": "",
        "script_id": None,
        "script_args": "",
        "fs_id": None,
        "arguments": "",
    }


def _handle(launch_key: str, id: int, region: str) -> dict[str, Any]:
    return {"launch_key": launch_key, "machine_id": id, "region": region}


def find(site: Site, launch_key: str) -> list[Found]:
    """Machines with the key as their name."""
    return [each for each in jobs(site) if each.launch_key == launch_key]


def jobs(site: Site) -> list[Found]:
    """All machines with a launch key as their name, the oldest first; those that are just going are left out."""
    with calls.connected(site) as api:
        found = [
            Found(
                text(row, "name") or text(row, "instance_name"),
                _handle(
                    text(row, "name") or text(row, "instance_name"),
                    whole(row, "machine_id") or 0,
                    text(row, "region"),
                ),
                told(row),
            )
            for row in calls.machines(api)
        ]
    ours = [each for each in found if KEY.fullmatch(each.launch_key) and each.handle["machine_id"]]
    return sorted(
        (each for each in ours if not going(each.status.state)), key=lambda each: each.handle["machine_id"]
    )


def told(row: Mapping[str, Any], dollars: bool = False) -> Status:
    """What JarvisLabs itself says of a machine. A word that is not known counts as one that is still being made;
    what it costs is only known in dollars."""
    state = text(row, "status")
    cost = number(row, "cost")
    note = "The machine was paused: its disk still costs money." if state == "Paused" else text(row, "error")
    spent = None if cost is None or not dollars else round(cost * 1_000_000)
    return Status(PHASES.get(state, Phase.WAITING), state, note, spent)


def going(state: str) -> bool:
    """Whether the machine is gone or on its way."""
    return state.lower() in ("destroying", "destroyed")


def look(site: Site, handle: Mapping[str, Any]) -> tuple[Status, Mapping[str, Any]]:
    """(how the machine stands, what JarvisLabs tells of it)."""
    kept = orders.read(site, handle["launch_key"])
    with calls.connected(site) as api:
        row = calls.machine(api, handle["machine_id"])
    if row is not None:
        return told(row, bool(kept.get("dollars"))), row
    with calls.connected(site, handle["region"]) as api:
        if time.time() > kept.get("created_at", 0.0) + NEW_SECONDS:
            return Status(Phase.GONE, "missing", "The machine is not there any more."), {}
        try:
            answer = api.get("misc/status", params={"machine_id": handle["machine_id"]})
        except Gone:
            # They know a machine by number before they know its state.
            return Status(Phase.WAITING, "Creating"), {}
    failed = text(answer, "status") == "Failed"
    return Status(Phase.GONE if failed else Phase.WAITING, text(answer, "status"), text(answer, "error")), {}


def cancel(site: Site, handle: Mapping[str, Any]) -> None:
    """Destroys the machine, with all that runs on it: a machine that waits costs as much as one that works."""
    destroy(site, handle)


def release(site: Site, handle: Mapping[str, Any]) -> None:
    """Destroys the machine, sees that it is gone, and forgets the order."""
    destroy(site, handle)
    orders.forget(site, handle["launch_key"])


def destroy(site: Site, handle: Mapping[str, Any]) -> None:
    """Destroys a machine and looks until it is gone. Raises what their call failed with, or Busy, when it stays or
    when nobody can know: a new machine is missing from their list too."""
    id, key = handle["machine_id"], handle["launch_key"]
    kept = orders.read(site, key)
    with calls.connected(site) as api:
        row = calls.machine(api, id)
    old = time.time() > kept.get("created_at", 0.0) + NEW_SECONDS
    if (row is None and (old or kept.get("destroyed"))) or going(text(row or {}, "status")):
        return
    failed = _ask_to_destroy(site, handle, row or {})
    if failed is None and kept:
        orders.keep(site, key, {"destroyed": True})
    if failed is not None and row is None:
        raise failed
    with calls.connected(site) as api:
        _see_it_gone(api, id, failed)


def _ask_to_destroy(site: Site, handle: Mapping[str, Any], row: Mapping[str, Any]) -> ProviderError | None:
    """None where they say that they do it, else why not: their call may fail although it worked."""
    template = text(row, "template") or text(row, "framework") or text_of(site.fields, "template")
    path = "templates/vm/destroy" if template == "vm" else "misc/destroy"
    region = text(row, "region") if text(row, "region") in calls.HOSTS else handle["region"]
    try:
        with calls.connected(site, region) as api:
            answer = api.post(path, params={"machine_id": handle["machine_id"]})
            calls.succeeded(answer, "to destroy a machine")
    except Gone as error:
        return Busy(error.message, "It may be too new; Tunebook destroys it again.", wait=30.0)
    except ProviderError as error:
        return error
    return None


def _see_it_gone(api: Api, id: int, failed: ProviderError | None) -> None:
    end = time.monotonic() + GOING_SECONDS
    while True:
        with suppress(Busy):
            row = calls.machine(api, id)
            if row is None or going(text(row, "status")):
                return
        if time.monotonic() > end:
            break
        time.sleep(LOOK_SECONDS)
    raise failed or Busy(
        f"The JarvisLabs machine {id} is still there.", "Tunebook destroys it again.", wait=30.0
    )
