"""A machine of the lab over SSH: a run is a folder there and a process of its own, which outlives every connection."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.compute import _host as hosts
from app.compute import _host_files as files
from app.compute._base import Checked, Compute, Field, Found, Order, Phase, Site, Status
from app.errors import AlreadyThere, Busy, Refused

OLDEST_PYTHON = (3, 10)


def check(site: Site) -> Checked:
    """Looks at the host and learns its key. Raises Refused without Python or a folder that can be written."""
    host = hosts.host_of(site)
    seen, learned, prints = hosts.look(host)
    if seen["lacks"]:
        raise Refused(f"{host.name} has no {' and no '.join(seen['lacks'])}.", "Install it there.")
    gpus = _wanted(site, seen["gpus"])
    facts = {
        "gpus": [{"name": gpu[1], "memory_bytes": int(float(gpu[2]) * 2**20)} for gpu in gpus],
        "python": seen["python"],
        "free_bytes": seen["free_bytes"],
    }
    names = [gpu[1] for gpu in gpus]
    kinds = [f"{names.count(name)} × {name}" for name in dict.fromkeys(names)]
    said = [*(kinds or [f"no GPU, {seen['cores']} cores"]), f"Python {seen['python']}"]
    said += [f"{seen['free_bytes'] / 1e9:.0f} GB free"]
    said += [] if seen["rsync"] else ["no rsync, so that files go as a tar stream"]
    if tuple(int(part) for part in seen["python"].split(".")[:2]) < OLDEST_PYTHON:
        said.append("too old for most runs: name a newer Python")
    return Checked(", ".join([*said, prints]), facts, learned)


def _wanted(site: Site, gpus: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """The GPUs of the host that runs may use."""
    chosen = [part for part in site.fields.get("gpus", "").replace(",", " ").split() if part]
    return [gpu for gpu in gpus if not chosen or gpu[0] in chosen]


def submit(site: Site, order: Order) -> dict[str, Any]:
    """Uploads the bundle and starts it, or puts it behind others that wait for a device. Raises AlreadyThere when the
    launch key is taken: one start alone can win."""
    host = hosts.host_of(site)
    staged = files.upload(host, site, order)
    with files.dropped_after_refusal(host, staged):
        lines = [*files.start_lines(site.fields, staged["place"]), "exec sh run.sh --here"]
        texts = {
            "order.json": json.dumps(_order(site, order, staged)),
            "start.sh": "\n".join(lines) + "\n",
            "watch.py": (Path(__file__).parent / "_there.py").read_text(encoding="utf-8"),
        }
        wish = {
            "staging": staged["staging"],
            "place": staged["place"],
            "files": texts,
            "links": staged["links"],
            "environment": {"HF_TOKEN": order.hub_token} if order.hub_token else {},
        }
        answer = hosts.ask(host, ("start", wish))[0]
    if answer["there"]:
        raise AlreadyThere(f"{order.launch_key} runs on {host.name} already.", "It is found by its key.")
    return files.handle(order.launch_key, staged["place"], staged["rsync"])


def _order(site: Site, order: Order, staged: Mapping[str, Any]) -> dict[str, Any]:
    """What the watcher reads: how long, and on which devices. Runs without a GPU take turns by places."""
    devices = [gpu[0] for gpu in _wanted(site, staged["gpus"])]
    # Without any GPU a run that asks for several trains in as many processes.
    if devices and order.gpus > len(devices):
        raise Refused(
            f"The run asks for {order.gpus} GPUs, and the host has {len(devices)}.",
            "Ask for fewer, or go elsewhere.",
        )
    at_once = max(1, int(site.fields.get("at_once") or 1))
    return {
        "launch_key": order.launch_key,
        "label": order.label,
        "created_at": time.time(),
        "deadline": order.deadline_seconds,
        "gpus": bool(devices),
        "devices": devices or [f"place-{number}" for number in range(at_once)],
        "needs": max(1, order.gpus) if devices else 1,
    }


def _status(row: Mapping[str, Any]) -> Status:
    return Status(Phase(row["phase"]), row["state"], row["note"])


def status(site: Site, handle: Mapping[str, Any]) -> Status:
    """By the identity of its processes and out/exit_code, also after a restart of the host."""
    return _status(hosts.ask(hosts.host_of(site), ("outcome", {"place": handle["folder"]}))[0])


def jobs(site: Site) -> list[Found]:
    """All runs that lie there, the oldest first."""
    host = hosts.host_of(site)
    return [
        Found(
            row["launch_key"],
            files.handle(row["launch_key"], row["place"], row["rsync"]),
            _status(row),
            row["created_at"],
        )
        for row in hosts.ask(host, ("listing", {"root": host.folder}))[0]
    ]


def find(site: Site, launch_key: str) -> list[Found]:
    """The run with this key; the folder's name is the key, so there is one at most."""
    return [job for job in jobs(site) if job.launch_key == launch_key]


def pull(site: Site, handle: Mapping[str, Any], folder: Path) -> None:
    """What is new of the live files, by one call over the shared connection."""
    files.pull(hosts.host_of(site), handle, folder)


def fetch(site: Site, handle: Mapping[str, Any], folder: Path) -> None:
    """All of out/."""
    files.fetch(hosts.host_of(site), handle, folder)


def cancel(site: Site, handle: Mapping[str, Any]) -> None:
    """TERM, after 10 s KILL, to every process of the run."""
    host = hosts.host_of(site)
    _must_have_ended(host, hosts.ask(host, ("cancel", {"place": handle["folder"]}))[0])


def release(site: Site, handle: Mapping[str, Any]) -> None:
    """Ends what still runs and removes the run's folder. Base weights stay for the next run."""
    host = hosts.host_of(site)
    _must_have_ended(host, hosts.ask(host, ("remove", {"place": handle["folder"]}))[0])


def _must_have_ended(host: hosts.Host, answer: Mapping[str, Any]) -> None:
    if not answer["ended"]:
        raise Busy(f"A process of the run on {host.name} does not end, not even when killed.", wait=60.0)


COMPUTE = Compute(
    name="ssh",
    label="SSH host",
    description="A machine that you can log into. Runs wait there for a free GPU and go on without Tunebook.",
    fields=(
        *hosts.HOST_FIELDS,
        *hosts.RUN_FIELDS,
        Field("gpus", "GPUs to use", "Their numbers, such as 0,1. Empty: all.", required=False),
        Field(
            "at_once",
            "Runs at once without a GPU",
            "With GPUs each run has its own.",
            required=False,
            kind="int",
            default="1",
        ),
    ),
    secret_label=hosts.SECRET_LABEL,
    secret_help=hosts.SECRET_HELP,
    help_url="https://man.openbsd.org/ssh",
    repeatable=True,
    deadline_kept_by="timeout and a watcher on the host, from the moment the run starts, installing included",
    unverified="A Mac as the host was not tried.",
    check=check,
    submit=submit,
    find=find,
    status=status,
    pull=pull,
    fetch=fetch,
    cancel=cancel,
    release=release,
    jobs=jobs,
)
