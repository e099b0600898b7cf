"""Hugging Face's jobs and buckets: jobs that really run their command, logs as server-sent events, files by content.

The create call is checked by what the Hub's own client sends; contents of buckets come by _xet.py.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.emulator._machine import Container
from tests.emulator._service import Answer, Call, Problem, Service
from tests.emulator._world import World

TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
VOLUME = {
    "type": "object",
    "properties": {
        "type": {"enum": ["bucket", "model", "dataset", "space"]},
        **{name: {"type": "string"} for name in ("source", "mountPath", "revision", "path")},
        "readOnly": {"type": "boolean"},
    },
    "required": ["type", "source", "mountPath"],
    "additionalProperties": False,
}
JOB = {
    "type": "object",
    "properties": {
        "dockerImage": {"type": "string"},
        "spaceId": {"type": "string"},
        "command": {"type": "array", "items": {"type": "string"}},
        "arguments": {"type": "array", "items": {"type": "string"}},
        "environment": TEXTS,
        "secrets": TEXTS,
        "flavor": {"type": "string"},
        "timeoutSeconds": {"type": "integer", "minimum": 1},
        "attempts": {"type": "integer", "minimum": 1},
        "labels": {
            "type": "object",
            "additionalProperties": {"type": "string", "pattern": "^[a-zA-Z0-9._-]*$"},
        },
        "volumes": {"type": "array", "items": VOLUME},
    },
    "required": ["command", "arguments", "environment", "flavor"],
    "additionalProperties": False,
}
HARDWARE = [
    ("cpu-basic", "CPU Basic", "2 vCPU", "16 GB", None, 167),
    ("a10g-small", "Nvidia A10G - small", "4 vCPU", "15 GB", ("A10G", "1", "24 GB"), 16_667),
    ("a10g-largex2", "2x Nvidia A10G - large", "24 vCPU", "92 GB", ("A10G", "2", "48 GB"), 50_000),
]
# Seconds of a job's own life before it starts (the world's speed holds here).
STARTING = 30.0


def error(status: int, message: str, code: str) -> Any:
    """The Hub's shape."""
    return {"error": message}


SERVICE = Service("huggingface_jobs", "", error=error)


@SERVICE.route("GET", "/api/jobs/hardware")
def hardware(call: Call) -> Any:
    names = ("type", "model", "quantity", "vram", "manufacturer")
    return [
        {
            "name": name,
            "prettyName": pretty,
            "cpu": cpu,
            "ram": ram,
            "ephemeralStorage": "100 GB",
            "accelerator": gpu and dict(zip(names, ("gpu", *gpu, "Nvidia"), strict=True)),
            "unitCostMicroUSD": cost,
            "unitCostUSD": cost / 1e6,
            "unitLabel": "minute",
        }
        for name, pretty, cpu, ram, gpu, cost in HARDWARE
    ]


@SERVICE.route("POST", "/api/jobs/{namespace}", body=JOB)
def create(call: Call) -> Any:
    _own(call)
    if call.json["flavor"] not in [row[0] for row in HARDWARE]:
        raise Problem(400, f"Invalid flavor: {call.json['flavor']}")
    if call.things("credit").get("state", {}).get("out"):
        raise Problem(402, "Pre-paid credit balance is insufficient. Add credits to run Jobs.")
    id = call.world.new_id("job")
    job = {**call.json, "id": id, "_asked": call.world.now(), "_box": None, "_stopped": ""}
    for volume in job.get("volumes", ()):
        call.thing("bucket", volume["source"])
    call.made("job", id, call.json.get("labels", {}).get("launch_key", ""))
    return _shown(call, call.put("job", id, job))


def _own(call: Call) -> None:
    if call.params["namespace"] != "lab":
        raise Problem(403, "You don't have the required permissions for this namespace")


def _shown(call: Call, job: dict[str, Any]) -> dict[str, Any]:
    stage = _stage(call.world, job)
    waited = STARTING / call.world.speed if call.world.speed else 0
    total = job.get("_ended", call.world.now()) - job["_asked"]
    names = ("dockerImage", "command", "arguments", "environment", "flavor", "labels", "volumes")
    return {
        "id": job["id"],
        "createdAt": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(job["_asked"])),
        **{name: job[name] for name in names if name in job},
        "secrets": dict.fromkeys(job.get("secrets", {}), ""),
        "status": {"stage": stage, "message": job.get("_message")},
        "durations": {"schedulingSecs": round(waited), "runningSecs": None, "totalSecs": round(total)},
        "owner": {"id": "0123456789abcdef01234567", "name": "lab", "type": "org"},
        "initiator": {"type": "user", "id": "0123456789abcdef01234567", "name": "lab"},
    }


def _stage(world: World, job: dict[str, Any]) -> str:
    """Where the job is now; starts its container when that is due."""
    if job["_stopped"]:
        return job["_stopped"]
    if job["_box"] is None:
        if not world.speed or (world.now() - job["_asked"]) * world.speed < STARTING:
            return "SCHEDULING"
        environment = {**job["environment"], **job.get("secrets", {})}
        mounts = {each["mountPath"]: folder(world, each["source"]) for each in job["volumes"]}
        timeout = job.get("timeoutSeconds", 1800) / max(world.speed / 60, 1)
        job["_box"] = Container(job["command"], environment, mounts, timeout)
    box = job["_box"]
    if box.code is None:
        return "RUNNING"
    job.setdefault("_ended", world.now())
    if box.timed_out:
        job["_message"] = "Job timeout"
    job["_stopped"] = "COMPLETED" if box.code == 0 else "ERROR"
    return job["_stopped"]


def folder(world: World, bucket: str) -> Path:
    """Where the files of a bucket lie here."""
    found = world.things["huggingface_jobs", "main", "bucket"][bucket]
    if "_folder" not in found:
        found["_folder"] = tempfile.mkdtemp(prefix="bucket-")
    return Path(found["_folder"])


@SERVICE.route("GET", "/api/jobs/{namespace}", query=("stage", "label"))
def listed(call: Call) -> Any:
    _own(call)
    name, _, value = call.query.get("label", "").partition("=")
    return [
        _shown(call, job)
        for job in call.listed("job")
        if not name or job.get("labels", {}).get(name) == value
    ]


@SERVICE.route("GET", "/api/jobs/{namespace}/{id}")
def one(call: Call) -> Any:
    return _shown(call, call.thing("job", call.params["id"]))


@SERVICE.route("POST", "/api/jobs/{namespace}/{id}/cancel")
def cancel(call: Call) -> Any:
    job = call.thing("job", call.params["id"])
    if _stage(call.world, job) in ("SCHEDULING", "RUNNING"):
        job["_stopped"], job["_ended"] = "CANCELED", call.world.now()
        if job["_box"]:
            job["_box"].kill()
    return _shown(call, job)


@SERVICE.route("GET", "/api/jobs/{namespace}/{id}/logs", query=("tail",))
def logs(call: Call) -> Any:
    job = call.thing("job", call.params["id"])
    over = _stage(call.world, job) not in ("SCHEDULING", "RUNNING")
    lines = list(job["_box"].lines) if job["_box"] else []
    if "tail" in call.query:
        lines = lines[-int(call.query["tail"]) :]
    return Answer(_events(lines, over), headers={"content-type": "text/event-stream"})


def _events(lines: list[tuple[float, str]], over: bool) -> Iterator[bytes]:
    for at, text in [(time.time(), "===== Job started at now ====="), *lines]:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(at))
        yield f"data: {json.dumps({'data': text, 'timestamp': moment})}\n\n".encode()
    if not over:
        time.sleep(30)
        yield b": keep-alive\n\n"


@SERVICE.route("POST", "/api/buckets/{namespace}/{name}", body={"type": "object"})
def create_bucket(call: Call) -> Any:
    _own(call)
    id = f"{call.params['namespace']}/{call.params['name']}"
    if id in call.things("bucket"):
        raise Problem(409, "You already created this bucket")
    call.put("bucket", id, {"id": id, "private": call.json.get("visibility") == "private", "createdAt": ""})
    return {"url": f"{call.world.url('huggingface_jobs')}/buckets/{id}"}


@SERVICE.route("GET", "/api/buckets/{namespace}", query=("search",))
def buckets(call: Call) -> Any:
    wanted = call.query.get("search", "")
    return [_bucket(each) for each in call.listed("bucket") if wanted in each["id"]]


def _bucket(thing: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": thing["id"],
        "private": thing["private"],
        "createdAt": "2026-01-01T00:00:00.000Z",
        "size": 0,
        "totalFiles": 0,
    }


@SERVICE.route("GET", "/api/buckets/{namespace}/{name}")
def bucket(call: Call) -> Any:
    return _bucket(_named(call))


def _named(call: Call) -> dict[str, Any]:
    return call.thing("bucket", f"{call.params['namespace']}/{call.params['name']}")


@SERVICE.route("DELETE", "/api/buckets/{namespace}/{name}")
def delete_bucket(call: Call) -> Any:
    del call.things("bucket")[_named(call)["id"]]
    return {}


@SERVICE.route("POST", "/api/buckets/{namespace}/{name}/batch")
def batch(call: Call) -> Any:
    place = folder(call.world, _named(call)["id"])
    for line in call.raw.splitlines():
        asked = json.loads(line)
        path = place / asked["path"]
        if asked["type"] == "addFile":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(call.world.blobs[f"xet-{asked['xetHash']}"])
        else:
            path.unlink(missing_ok=True)
    return {"success": True, "failed": []}


@SERVICE.route("GET", "/api/buckets/{namespace}/{name}/tree/{prefix:path}", query=("recursive",))
def files(call: Call) -> Any:
    place = folder(call.world, _named(call)["id"])
    return [
        {
            "type": "file",
            "path": path.relative_to(place).as_posix(),
            "size": path.stat().st_size,
            "xetHash": "0" * 64,
            "mtime": "2026-01-01T00:00:00.000Z",
        }
        for path in sorted(place.glob(f"{call.params['prefix']}/**/*"))
        if path.is_file()
    ]


@SERVICE.route("GET", "/buckets/{namespace}/{name}/resolve/{path:path}")
def resolve(call: Call) -> Any:
    path = folder(call.world, _named(call)["id"]) / call.params["path"]
    if not path.is_file():
        raise Problem(404, "Entry not found")
    return Answer(b"", 302, {"location": call.world.put_blob(path.read_bytes())})
