"""A cluster with Slurm, on this machine or over SSH: a run is a folder on the shared file system and one batch job."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.compute import _host as hosts
from app.compute import _host_files as files
from app.compute._base import Checked, Compute, Field, Found, Order, Site
from app.compute._base import Status as Standing
from app.compute.slurm.script import batch_script, options
from app.compute.slurm.states import (
    LOST_SECONDS,
    SACCT,
    SQUEUE,
    Row,
    confirmed,
    refusal,
    rows_of,
    status_of,
)
from app.errors import AlreadyThere, Busy, Refused

KEY = re.compile(r"tb-[0-9a-f]{16}")
SECONDS = {"SLURM_TIME_FORMAT": "%s"}
ACCOUNTED_DAYS = 60
CANCEL_SECONDS = 60.0


def _run(argv: Sequence[str]) -> tuple[str, dict[str, Any]]:
    return ("run", {"argv": list(argv), "environment": SECONDS})


def check(site: Site) -> Checked:
    """Looks at the cluster and tries the options as they were entered, without submitting anything."""
    host = hosts.host_of(site)
    seen, learned, prints = hosts.look(host)
    if learned:
        site = Site(site.name, {**site.fields, **learned}, site.secret, site.folder)
        host = hosts.host_of(site)
    trial = Order("tb-0000000000000000", Path(), 60.0)
    asked = [
        each for each in options(site.fields, trial, "/") if not each.startswith(("--chdir", "--output"))
    ]
    argv = ["sbatch", "--test-only", *(part for each in asked for part in each.split(" ")), "--wrap=true"]
    listed = ["sinfo", "--noheader", "--format=%P|%a|%D|%G"]
    version, tried, partitions = hosts.ask(host, _run(["sbatch", "--version"]), _run(argv), _run(listed))
    if tried["code"] != 0:
        raise refusal(tried, host.name)
    names = [line.split("|")[0].rstrip("*") for line in partitions["out"].splitlines()]
    said = [version["out"].strip(), f"partitions {', '.join(dict.fromkeys(names))}"]
    said += [f"Python {seen['python']} where jobs are submitted", f"{seen['free_bytes'] / 1e9:.0f} GB free"]
    facts = {"python": seen["python"], "free_bytes": seen["free_bytes"], "partitions": names}
    return Checked(", ".join([*said, *([prints] if prints else [])]), facts, learned)


def submit(site: Site, order: Order) -> dict[str, Any]:
    """Uploads the bundle and submits one job. Raises AlreadyThere when the launch key is taken, Unclear when Slurm
    did not say whether it took the job: `find` sees it then, or that there is none."""
    host = hosts.host_of(site)
    options(site.fields, order, host.folder)
    staged = files.upload(host, site, order)
    place = staged["place"]
    told = {"launch_key": order.launch_key, "label": order.label, "created_at": time.time()}
    wish = {
        "staging": staged["staging"],
        "place": place,
        "files": {"order.json": json.dumps(told), "job.sh": batch_script(site.fields, order, place)},
        "links": staged["links"],
        "argv": ["sbatch", "--parsable", f"{place}/job.sh"],
        "environment": {"HF_TOKEN": order.hub_token} if order.hub_token else {},
    }
    with files.dropped_after_refusal(host, staged):
        answer = hosts.ask(host, ("hand_over", wish))[0]
    if answer["there"]:
        raise AlreadyThere(f"{order.launch_key} is on {host.name} already.", "It is found by its key.")
    if answer["code"] != 0:
        error = refusal(answer, host.name)
        if isinstance(error, Refused | Busy):
            hosts.ask(host, ("remove", {"place": place, "processes": False}))
        raise error
    return files.handle(order.launch_key, place, staged["rsync"])


def _listed(host: hosts.Host, answer: Mapping[str, Any]) -> list[Row]:
    """Jobs of ours in what squeue printed."""
    if answer["code"] == 127:
        raise Refused(f"There is no squeue on {host.name}.", "Name a host that submits to Slurm.")
    if answer["code"] != 0:
        raise Busy(f"Slurm does not answer on {host.name}: {answer['err'].strip()[-300:]}")
    return [row for row in rows_of(answer["out"]) if KEY.fullmatch(row.name)]


def _accounted(host: hosts.Host, keys: Sequence[str]) -> list[Row]:
    """What the accounting says of jobs that squeue has forgotten; nothing where there is none."""
    if not keys:
        return []
    since = f"--starttime=now-{ACCOUNTED_DAYS}days"
    answer = hosts.ask(host, _run([*SACCT, since, f"--name={','.join(keys)}"]))[0]
    return [row for row in rows_of(answer["out"]) if row.name in keys] if answer["code"] == 0 else []


def status(site: Site, handle: Mapping[str, Any]) -> Standing:
    """By squeue, then sacct, then out/exit_code."""
    host, key = hosts.host_of(site), handle["launch_key"]
    record, answer = hosts.ask(
        host, ("record", {"place": handle["folder"]}), _run([*SQUEUE, f"--name={key}"])
    )
    rows = _listed(host, answer) or _accounted(host, [key])
    return status_of(rows[0] if rows else None, record)


def jobs(site: Site) -> list[Found]:
    """All runs that lie there or that Slurm still has, the oldest first."""
    host = hosts.host_of(site)
    listing = ("listing", {"root": host.folder, "processes": False})
    seen, placed, answer = hosts.ask(host, ("look", {"root": host.folder}), listing, _run([*SQUEUE, "--me"]))
    records = {record["launch_key"]: record for record in placed}
    rows = _listed(host, answer)
    rows += _accounted(host, sorted(set(records) - {row.name for row in rows}))
    found = []
    for row in rows:
        # A job that is over and has no folder has left nothing.
        record = records.get(row.name) or _nothing(f"{seen['root']}/runs/{row.name}")
        if record["is_there"] or not row.over:
            found.append(_found(row.name, row, record, seen["rsync"]))
    for key in set(records) - {row.name for row in rows}:
        record = records[key]
        if confirmed(record) or record["now"] > record["created_at"] + LOST_SECONDS:
            found.append(_found(key, None, record, seen["rsync"]))
    return sorted(found, key=lambda each: each.created_at)


def _nothing(place: str) -> dict[str, Any]:
    return {
        "is_there": False,
        "exit_code": None,
        "console": "",
        "submitted": {},
        "now": time.time(),
        "place": place,
    }


def _found(key: str, row: Row | None, record: Mapping[str, Any], rsync: bool) -> Found:
    created = row.submitted if row and row.submitted else record.get("created_at", 0.0)
    return Found(key, files.handle(key, record["place"], rsync), status_of(row, record), created)


def find(site: Site, launch_key: str) -> list[Found]:
    """The job with this key. One that Slurm never confirmed and does not list is told of once it cannot come any
    more."""
    return [job for job in jobs(site) if job.launch_key == launch_key]


def pull(site: Site, handle: Mapping[str, Any], folder: Path) -> None:
    """What is new of the live files, by one call."""
    files.pull(hosts.host_of(site), handle, folder)


def fetch(site: Site, handle: Mapping[str, Any], folder: Path) -> None:
    """All of out/."""
    files.fetch(hosts.host_of(site), handle, folder)


def cancel(site: Site, handle: Mapping[str, Any]) -> None:
    """scancel, then waits until Slurm has ended the job."""
    host, name = hosts.host_of(site), f"--name={handle['launch_key']}"
    give_up = time.monotonic() + CANCEL_SECONDS
    while True:
        ended, answer = hosts.ask(host, _run(["scancel", "--me", name]), _run([*SQUEUE, name]))
        if all(row.over for row in _listed(host, answer)):
            return
        if time.monotonic() > give_up:
            raise Busy(f"Slurm has not ended the job yet: {ended['err'].strip()}", wait=60.0)
        time.sleep(1)


def release(site: Site, handle: Mapping[str, Any]) -> None:
    """Cancels what still runs and removes the run's folder. Base weights stay for the next run."""
    cancel(site, handle)
    hosts.ask(hosts.host_of(site), ("remove", {"place": handle["folder"], "processes": False}))


FIELDS = (
    Field("partition", "Partition", "Empty: the cluster's default.", required=False),
    Field("account", "Account", required=False),
    Field("qos", "QOS", required=False),
    Field("gpu", "Kind of GPU", "As --gres names it: gpu, gpu:a100.", required=False, default="gpu"),
    Field("gpus", "GPUs for a run", "Where the run asks for none. Empty: none.", required=False, kind="int"),
    Field(
        "gpus_per_node",
        "GPUs of a node",
        "A run that asks for more takes several nodes. Empty: one node always.",
        required=False,
        kind="int",
    ),
    Field("cpus", "Cores for a run", "Empty: the cluster's default.", required=False, kind="int"),
    Field("memory", "Memory for a run", "Such as 64G. Empty: the cluster's default.", required=False),
    Field("options", "More options", "One --name=value a line.", required=False, kind="long"),
)

COMPUTE = Compute(
    name="slurm",
    label="Slurm",
    description="A cluster with Slurm: each run is a batch job, submitted here or on a host over SSH.",
    fields=(
        Field(
            "host",
            "Host that submits",
            "Empty: sbatch runs on the machine of Tunebook.",
            required=False,
        ),
        *hosts.HOST_FIELDS[1:],
        *hosts.RUN_FIELDS,
        *FIELDS,
    ),
    secret_label=hosts.SECRET_LABEL,
    secret_help=hosts.SECRET_HELP,
    help_url="https://slurm.schedmd.com/sbatch.html",
    repeatable=True,
    deadline_kept_by="Slurm's time limit of the job, which is the deadline and a minute",
    poll_seconds=15.0,
    unverified="A cluster with accounting (sacct) and one with several nodes were not tried.",
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
