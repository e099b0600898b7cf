"""The run on its machine, over SSH: started when the machine is up, with the watchdog before it. Called through COMPUTE.

The machine's own folder of runs and its watcher are those of any host (_host.py, _there.py).
"""

import json
import re
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.compute import _host as hosts
from app.compute import _host_files as files
from app.compute._base import Order, Phase, Site, Status
from app.compute._ssh import Target
from app.compute.jarvislabs import api as calls
from app.compute.jarvislabs import machine, orders
from app.errors import AlreadyThere, Busy, Gone, KeyRefused, Refused
from app.service_json import text

FOLDER = "~/tunebook"
# Of the deadline, what is left to bring results home before the watchdog comes.
HOME_SECONDS = 600.0
SSH = re.compile(r"ssh\b.*?\s(?P<user>[\w.-]+)@(?P<host>[\w.-]+)")
PORT = re.compile(r"-p\s*(\d{1,5})")

# Sleeps, then lets the machine go; a destroy is asked for until it is heard. Reads its order from standard input.
WATCHDOG = """import http.client, json, subprocess, sys, time, urllib.request
order = json.load(sys.stdin)
time.sleep(max(order["seconds"], 0))
headers = {"authorization": "Bearer " + order["key"], "user-agent": "tunebook"}
for _ in range(100 if order["url"] else 0):
    try:
        urllib.request.urlopen(urllib.request.Request(order["url"], b"", headers), timeout=60)
    except (OSError, http.client.HTTPException):
        time.sleep(30)
    else:
        time.sleep(300)
subprocess.call(order["off"])
"""
OFF = ["poweroff", "-f"]


def status(site: Site, handle: Mapping[str, Any]) -> Status:
    """The machine's state until it is up; then that of the run, which this starts when it has not been started."""
    told, row = machine.look(site, handle)
    if told.phase != Phase.RUNNING:
        return told
    host = _host(site, handle, row)
    if host is None:
        return Status(
            Phase.WAITING, told.state, "The machine does not say yet how it is entered.", told.microdollars
        )
    try:
        found = _outcome(host, handle) or _start(site, handle, host)
    except (Busy, KeyRefused) as error:
        # sshd and its keys come up after the machine does.
        kept = orders.read(site, handle["launch_key"])
        if kept.get("place") or time.time() > kept.get("created_at", 0.0) + machine.NEW_SECONDS:
            raise
        return Status(Phase.WAITING, told.state, error.message, told.microdollars)
    return Status(found.phase, found.state, found.note, told.microdollars)


def _host(site: Site, handle: Mapping[str, Any], row: Mapping[str, Any]) -> hosts.Host | None:
    said = text(row, "ssh_str") or text(row, "ssh_command")
    found, port = SSH.search(said), PORT.search(said)
    if not found:
        return None
    private, _ = orders.key_pair(site)
    kept = orders.read(site, handle["launch_key"])
    target = Target(
        host=found["host"],
        folder=site.folder,
        user=found["user"],
        port=int(port[1]) if port else 22,
        key=private,
        known_hosts=kept.get("known_hosts", ""),
    )
    return hosts.Host(target, FOLDER)


def _outcome(host: hosts.Host, handle: Mapping[str, Any]) -> Status | None:
    """How the run stands there; None where it was not started."""
    if not host.target or not host.target.known_hosts:
        return None
    for row in hosts.ask(host, ("listing", {"root": host.folder}))[0]:
        if row["launch_key"] == handle["launch_key"]:
            return Status(Phase(row["phase"]), row["state"], row["note"])
    return None


def _start(site: Site, handle: Mapping[str, Any], host: hosts.Host) -> Status:
    """Learns the machine's key, sets the watchdog, uploads the bundle, starts the run. Each may be repeated."""
    key = handle["launch_key"]
    kept = orders.read(site, key)
    if "folder" not in kept:
        return Status(Phase.GONE, "no order", "Nobody knows any more what this machine was made for.")
    left = kept["created_at"] + kept["deadline"] - time.time()
    if left <= 0:
        return Status(Phase.GONE, "late", "The machine came up after the run's deadline.")
    if host.target and not host.target.known_hosts:
        _, learned, _ = hosts.look(host)
        orders.keep(site, key, {"known_hosts": learned["host_key"] + "\n"})
        _, row = machine.look(site, handle)
        host = _host(site, handle, row) or host
    if not kept.get("watched"):
        _set_watchdog(site, handle, host, left)
        orders.keep(site, key, {"watched": True})
    try:
        place = _run(site, host, orders.kept_order(key, kept), left)
    except AlreadyThere:
        return _outcome(host, handle) or Status(Phase.WAITING, "starting")
    orders.keep(site, key, {"place": place})
    return _outcome(host, handle) or Status(Phase.WAITING, "starting")


def _set_watchdog(site: Site, handle: Mapping[str, Any], host: hosts.Host, seconds: float) -> None:
    destroys = site.fields.get("watchdog") != "poweroff"
    base = calls.HOSTS.get(handle["region"]) or calls.HOSTS[calls.REGIONS[0]]
    path = "templates/vm/destroy" if site.fields.get("template") == "vm" else "misc/destroy"
    order = {
        "seconds": seconds,
        "url": f"{base}/{path}?machine_id={handle['machine_id']}" if destroys else "",
        "key": site.secret if destroys else "",
        "off": OFF,
    }
    # The order goes in by a pipe and stands in no list of processes; the file is gone once it was read.
    script = (
        f"umask 077; d=$(mktemp -d); cat > $d/order; nohup setsid python3 -c {shlex.quote(WATCHDOG)} {handle['launch_key']} "
        '< $d/order > /dev/null 2>&1 & sleep 1; rm -rf "$d"'
    )
    answer = hosts.ask(host, ("run", {"argv": ["sh", "-c", script], "text": json.dumps(order)}))[0]
    if answer["code"] != 0:
        raise Refused(f"The watchdog cannot be set on the machine: {answer['err'][-300:]}")


def _run(site: Site, host: hosts.Host, order: Order, left: float) -> str:
    staged = files.upload(host, site, order)
    place: str = staged["place"]
    devices = [gpu[0] for gpu in staged["gpus"]]
    texts = {
        "order.json": json.dumps(
            {
                "launch_key": order.launch_key,
                "label": order.label,
                "created_at": time.time(),
                "deadline": max(left - min(HOME_SECONDS, left / 4), 1.0),
                "gpus": bool(devices),
                "devices": devices or ["place-0"],
                # The machine is this run's alone: it takes all that it has.
                "needs": len(devices) or 1,
            }
        ),
        "start.sh": f"cd {shlex.quote(place + '/bundle')} && exec sh run.sh --here\n",
        "watch.py": Path(hosts.__file__).with_name("_there.py").read_text(encoding="utf-8"),
    }
    wish = {
        "staging": staged["staging"],
        "place": place,
        "files": texts,
        "links": staged["links"],
        "environment": {"HF_TOKEN": order.hub_token} if order.hub_token else {},
    }
    hosts.ask(host, ("start", wish))
    return place


def pull(site: Site, handle: Mapping[str, Any], folder: Path) -> None:
    """What is new of the live files, over the connection that is open anyway."""
    host, run = _entered(site, handle)
    if host:
        files.pull(host, run, folder)


def fetch(site: Site, handle: Mapping[str, Any], folder: Path) -> None:
    """All of out/. Raises Gone where the machine is gone."""
    host, run = _entered(site, handle)
    if not host:
        raise Gone("The machine is not there any more, or the run was never started on it.")
    files.fetch(host, run, folder)


def _entered(site: Site, handle: Mapping[str, Any]) -> tuple[hosts.Host | None, dict[str, Any]]:
    told, row = machine.look(site, handle)
    place = orders.read(site, handle["launch_key"]).get("place", "")
    host = _host(site, handle, row) if told.phase == Phase.RUNNING and place else None
    return host, files.handle(handle["launch_key"], place, False)
