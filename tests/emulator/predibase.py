"""Predibase's API as its SDK speaks it: uploads by presigned address, repositories, jobs, the stream of metrics,
adapters, chat by adapter. Jobs' parameters are checked by a schema made from the SDK's config."""

import io
import json
import uuid
import zipfile
from typing import Any

from tests.emulator._answers import Pupil, pupil_of
from tests.emulator._openai import completion
from tests.emulator._service import Answer, Call, Problem, Service, public
from tests.emulator._world import Timeline

PARAMS = {
    "type": "object",
    "properties": {
        "base_model": {"type": "string"},
        "adapter": {"type": ["string", "null"]},
        "task": {"enum": ["sft", "continued_pretraining", "grpo", "classification"]},
        "epochs": {"type": ["integer", "null"]},
        "train_steps": {"type": ["integer", "null"]},
        "learning_rate": {"type": ["number", "null"]},
        "rank": {"type": ["integer", "null"]},
        "target_modules": {"type": ["array", "null"]},
        "enable_early_stopping": {"type": ["boolean", "null"]},
        "apply_chat_template": {"type": ["boolean", "null"]},
        "lr_scheduler": {"type": ["object", "null"]},
        "optimizer": {"type": ["object", "null"]},
        "lora_alpha": {"type": ["integer", "null"], "exclusiveMinimum": 0},
        "lora_dropout": {"type": ["number", "null"], "exclusiveMinimum": 0},
        "warmup_ratio": {"type": ["number", "null"], "exclusiveMinimum": 0},
        "effective_batch_size": {"type": ["integer", "null"], "exclusiveMinimum": 0},
    },
    "additionalProperties": False,
}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


TEXT: dict[str, Any] = {"type": ["string", "null"]}
JOB = _object(
    ["params", "dataset", "repo"], params=PARAMS, dataset=TEXT, repo=TEXT, description=TEXT,
    continueFromVersion=TEXT, computeSpec={"type": ["object", "null"]},
)  # fmt: skip
REPO = _object(["name"], name={"type": "string"}, description=TEXT, existsOk={"type": "boolean"})
BEGIN = _object(["fileName", "mimeType"], fileName=TEXT, mimeType=TEXT, region=TEXT)
REGISTER = _object(["name", "uploadToken"], name=TEXT, uploadToken=TEXT)
CHAT = {"type": "object", "required": ["messages", "model"]}
STAGES = [("queued", 20.0), ("training", 240.0)]
CHECKPOINTS, STEPS = 4, 40


def error(status: int, message: str, code: str) -> Any:
    """{"error": "..."}."""
    return {"error": message}


SERVICE = Service("predibase", "", error=error)


@SERVICE.route("GET", "/users/current")
def user(call: Call) -> Any:
    plan = {
        "id": 1,
        "tier": "free",
        "isTrial": False,
        "expiration": None,
        "daysRemainingInPlan": None,
        "active": True,
    }
    tenant = {"name": "Lab", "shortCode": "tenant", "subscription": plan}
    return {"id": 1, "uuid": "user-1", "username": "lab", "email": "lab@example.org", "tenant": tenant}


@SERVICE.route("GET", "/v2/deployments", query=("type",))
def deployments(call: Call) -> Any:
    return {"data": [{"name": "llama-3-1-8b-instruct", "uuid": "d1"}, {"name": "solar-1-mini", "uuid": "d2"}]}


@SERVICE.route("POST", "/v2/datasets/upload", body=BEGIN)
def begin(call: Call) -> Any:
    token = call.world.new_id("upload")
    address = call.world.url("_files", f"/{token}")
    return {"presignedUrl": address, "uploadToken": token, "requiredHeaders": {}}


@SERVICE.route("PUT", "/v2/datasets/upload", body=REGISTER)
def register(call: Call) -> Any:
    content = call.world.blobs.get(call.json["uploadToken"], b"")
    if not content:
        raise Problem(400, "Nothing was uploaded with this token")
    line = Timeline([("connecting", 10.0)], "connected", call.world.now())
    call.put("dataset", call.json["name"], {"_content": content, "_timeline": line})
    return {}


@SERVICE.route("GET", "/v1/datasets/name/{name}", query=("connectionName",))
def dataset(call: Call) -> Any:
    found = call.thing("dataset", call.params["name"])
    connection = {"type": "file", "name": call.query["connectionName"]}
    state = found["_timeline"].state(call.world)
    return {"uuid": call.params["name"], "name": call.params["name"], "connection": connection, "status": state, "lastError": None}  # fmt: skip


@SERVICE.route("POST", "/v2/repos", body=REPO)
def create_repo(call: Call) -> Any:
    name = call.json["name"]
    if name in call.things("repo") and not call.json.get("existsOk"):
        raise Problem(409, f"A repository {name} exists")
    if name not in call.things("repo"):
        call.put(
            "repo",
            name,
            {"uuid": name, "name": name, "description": call.json.get("description"), "versions": []},
        )
    return public(call.thing("repo", name))


@SERVICE.route("GET", "/v2/repos", query=("limit",))
def repos(call: Call) -> Any:
    return {"data": [public(each) for each in call.listed("repo")]}


@SERVICE.route("GET", "/v2/repos/{name}")
def repo(call: Call) -> Any:
    return public(call.thing("repo", call.params["name"]))


@SERVICE.route("GET", "/v2/repos/{name}/version/{tag}")
def version(call: Call) -> Any:
    job = _job_of(call)
    shown = now(call, job)
    return {
        "repo": call.params["name"],
        "tag": int(call.params["tag"]),
        "archived": False,
        "baseModel": job["baseModel"],
        "status": shown["status"],
        "adapterPath": "s3://adapters" if shown["status"] == "completed" else None,
        "finetuningJob": {"uuid": job["uuid"], "error": None},
    }


def _job_of(call: Call) -> dict[str, Any]:
    for job in call.things("job").values():
        if (job["targetRepoName"], str(job["targetVersionTag"])) == (call.params["name"], call.params["tag"]):
            return job
    raise Problem(404, "No such version")


@SERVICE.route("GET", "/v2/finetuning/jobs/cost-estimate", body={"type": "object"})
def cost(call: Call) -> Any:
    call.thing("dataset", call.json["datasetName"].removeprefix("file_uploads/"))
    return {"estimatedCost": 1.25}


@SERVICE.route("POST", "/v2/finetuning/jobs", body=JOB)
def create(call: Call) -> Any:
    asked, target = call.json, call.thing("repo", call.json["repo"])
    data = call.thing("dataset", asked["dataset"])
    id, tag = str(uuid.uuid5(uuid.NAMESPACE_URL, call.world.new_id("job"))), len(target["versions"]) + 1
    call.made("job", id, asked["repo"])
    moment = "2026-11-25T00:00:00Z"
    about = {"tag": tag, "createdAt": moment, "createdBy": "lab", "baseModel": asked["params"]["base_model"]}
    target["versions"].append({**about, "archived": False})
    job = {
        "uuid": id,
        "baseModel": asked["params"]["base_model"],
        "datasetName": asked["dataset"],
        "description": asked.get("description"),
        "targetRepoName": asked["repo"],
        "targetVersionTag": tag,
        "accelerator": {"id": "a10_24gb_100"},
        "params": asked["params"],
        "createdAt": moment,
        "_pupil": pupil_of([data["_content"]]),
        "_timeline": Timeline(STAGES, "completed", call.world.now()),
    }
    return now(call, call.put("job", id, job))


def now(call: Call, job: dict[str, Any]) -> dict[str, Any]:
    """The job as it stands."""
    state = job["_timeline"].state(call.world)
    if state == "completed" and "_charged" not in job:
        job["_charged"] = True
        call.charge(1.25)
    return {**public(job), "status": state}


@SERVICE.route("GET", "/v2/finetuning/jobs/{id}")
def one(call: Call) -> Any:
    return now(call, call.thing("job", call.params["id"]))


@SERVICE.route("POST", "/v2/finetuning/jobs/{id}/cancel")
def cancel(call: Call) -> Any:
    call.thing("job", call.params["id"])["_timeline"].stop(call.world, "canceled")
    return {}


def stream_of(call: Call, job: dict[str, Any]) -> list[str]:
    """What the websocket tells at once: everything so far."""
    line = job["_timeline"]
    state = line.state(call.world)
    share = line.progress(call.world, "training") if state in ("training", "completed") else 0.0
    done = range(1, int(share * CHECKPOINTS) + 1)
    told = []
    for number in done:
        step = number * STEPS // CHECKPOINTS
        data = {"steps": step, "checkpoint_number": number, "train_metrics_loss": 2 / step}
        data["validation_metrics_loss"] = 2.2 / step
        ended = state == "completed" and number == CHECKPOINTS
        meta = {"is_completed": ended, "model_uuid": job["uuid"], "run_id": "r", "steps": step}
        meta |= {"steps_per_epoch": 10, "total_steps": STEPS}
        told.append(json.dumps({"data": data, "meta": meta}))
    return told


@SERVICE.route("GET", "/v2/finetuning/jobs/{id}/metrics/stream")
def stream(call: Call) -> Any:
    job = call.thing("job", call.params["id"])
    return Answer(status=101, body=stream_of(call, job), headers={"upgrade": "websocket"})


@SERVICE.route("GET", "/v2/repos/{name}/version/{tag}/download")
def download(call: Call) -> Any:
    _job_of(call)
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as packed:
        packed.writestr("adapter_config.json", json.dumps({"r": 16}))
        packed.writestr("adapter_model.safetensors", b"weights" * 100)
        packed.writestr("handler.py", "import os")
    return Answer(body.getvalue(), headers={"content-type": "application/zip"})


def find_model(call: Call, name: str) -> dict[str, Any]:
    """An adapter "repo/version", or the deployment itself for ""."""
    if not name:
        return {"id": "", "_pupil": Pupil()}
    repo_name, _, tag = name.rpartition("/")
    call.params |= {"name": repo_name, "tag": tag}
    job = _job_of(call)
    if job["_timeline"].state(call.world) != "completed":
        raise Problem(400, f"The adapter {name} is not ready")
    return job


@SERVICE.route(
    "POST", "/{tenant}/deployments/v2/llms/{deployment}/v1/chat/completions", body=CHAT, paced=True
)
def chat(call: Call) -> Any:
    made = completion(call, call.json, find_model)
    call.charge(made["usage"]["total_tokens"] * 0.2e-6)
    return made
