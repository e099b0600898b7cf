"""W&B Serverless SFT: the training API as its SDK and description speak it, answers by adapter, and the GraphQL of runs
and artifacts (_wandb_graphql.py)."""

import base64
import json
import uuid
from typing import Any

from tests.emulator._answers import Pupil, pupil_of
from tests.emulator._openai import completion
from tests.emulator._service import Answer, Call, Problem, Service, bearer, page_after
from tests.emulator._wandb_artifacts import log, named
from tests.emulator._wandb_graphql import graphql
from tests.emulator._world import Timeline

BASES = [
    "meta-llama/Llama-3.1-8B-Instruct",
    "OpenPipe/Qwen3-14B-Instruct",
    "Qwen/Qwen3-30B-A3B-Instruct-2507",
]
PREFIX = "wandb-artifact:///"
STAGES = [("queued", 20.0), ("training", 240.0)]
TEXT: dict[str, Any] = {"type": ["string", "null"]}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


MODEL = _object(
    ["base_model"], entity=TEXT, project=TEXT, name=TEXT, base_model={"type": "string"},
    return_existing={"type": "boolean"},
)  # fmt: skip
RATE = {"type": "number", "exclusiveMinimum": 0}
CONFIG = _object(
    [],
    batch_size={"type": ["integer", "null"], "minimum": 1},
    learning_rate={"anyOf": [RATE, {"type": "array", "items": RATE}, {"type": "null"}]},
)
JOB = _object(
    ["model_id", "training_data_url"],
    model_id={"type": "string", "format": "uuid"},
    training_data_url={"type": "string", "pattern": "^wandb-artifact:///"},
    config={"anyOf": [CONFIG, {"type": "null"}]},
)
CHAT = {"type": "object", "required": ["messages", "model"]}
GRAPHQL = _object(
    ["query"], query={"type": "string"}, variables={"type": ["object", "null"]}, operationName=TEXT
)


def error(status: int, message: str, code: str) -> Any:
    """{"detail": "..."}, as FastAPI words it."""
    return {"detail": message}


def key_of(call: Call) -> str:
    """The key of a bearer header, or the password of a basic one."""
    kind, _, given = (call.headers.get("authorization") or "").partition(" ")
    if kind != "Basic":
        return bearer(call)
    name, _, key = base64.b64decode(given).decode().partition(":")
    return key if name == "api" else ""


SERVICE = Service("wandb", "/v1", error=error, key_of=key_of)


@SERVICE.route("POST", "/graphql", body=GRAPHQL)
def ask_graphql(call: Call) -> Any:
    _finish(call)
    return graphql(call)


@SERVICE.route("POST", "/files/{entity}/{project}/{run}/file_stream")
def file_stream(call: Call) -> Any:
    run = call.thing("run", call.params["run"])
    run["state"] = "finished" if json.loads(call.raw).get("complete") else "running"
    return {"limits": {}}


@SERVICE.route("GET", "/v1/preview/base-models")
def base_models(call: Call) -> Any:
    return BASES


@SERVICE.route("GET", "/v1/models")
def models(call: Call) -> Any:
    asked = [*BASES, "deepseek-ai/DeepSeek-V3.1"]
    return {"object": "list", "data": [{"id": name, "object": "model", "created": 0} for name in asked]}


@SERVICE.route("POST", "/v1/preview/models", body=MODEL)
def create_model(call: Call) -> Any:
    asked = call.json
    if asked["base_model"] not in BASES:
        raise Problem(422, f"{asked['base_model']} cannot be trained")
    for old in call.things("model").values():
        if all(old[name] == asked.get(name) for name in ("entity", "project", "name")):
            if not asked.get("return_existing"):
                raise Problem(409, "A model of this name exists")
            return _shown(old)
    id = str(uuid.uuid5(uuid.NAMESPACE_URL, call.world.new_id("model")))
    names = {name: asked.get(name) for name in ("entity", "project", "name", "base_model")}
    return _shown(call.put("model", id, {"id": id, **names, "run_id": f"r{id[:7]}"}))


def _shown(model: dict[str, Any]) -> dict[str, Any]:
    return {name: model[name] for name in ("id", "entity", "project", "name", "base_model", "run_id")}


@SERVICE.route("POST", "/v1/preview/sft-training-jobs", body=JOB)
def create_job(call: Call) -> Any:
    asked, model = call.json, call.thing("model", call.json["model_id"])
    if model["run_id"] not in call.things("run"):
        raise Problem(422, f"The run {model['run_id']} of the model does not exist")
    rows = _rows(call, asked["training_data_url"])
    size = (asked.get("config") or {}).get("batch_size") or 2
    id = str(uuid.uuid5(uuid.NAMESPACE_URL, call.world.new_id("job")))
    call.made("job", id, model["name"])
    job = {
        "id": id,
        "_model": model,
        "_steps": -(-len(rows) // size),
        "_rate": (asked.get("config") or {}).get("learning_rate") or 5e-5,
        "_pupil": pupil_of([b"\n".join(rows)]),
        "_timeline": Timeline(STAGES, "ended", call.world.now()),
        "_fails": "",
    }
    call.put("job", id, job)
    return {"id": id}


def _rows(call: Call, address: str) -> list[bytes]:
    """The lines of train.jsonl of an artifact, each with messages; 422 where there is none."""
    entity, project, version = address.removeprefix(PREFIX).split("/")
    call.json = {**call.json, "variables": {"entity": entity, "project": project}}
    artifact = named(call, *version.split(":"))
    if artifact is None or "train.jsonl" not in artifact["files"] or artifact["place"][2] != "dataset":
        raise Problem(422, f"No training data at {address}")
    rows = call.world.blobs[artifact["files"]["train.jsonl"]].splitlines()
    if not rows or any("messages" not in json.loads(row) for row in rows):
        raise Problem(422, "Each line must hold messages")
    return rows


@SERVICE.route("GET", "/v1/preview/training-jobs/{id}")
def one(call: Call) -> Any:
    return {"id": call.thing("job", call.params["id"])["id"]}


@SERVICE.route("GET", "/v1/preview/training-jobs/{id}/events", query=("after", "limit"))
def events(call: Call) -> Any:
    _finish(call)
    job = call.thing("job", call.params["id"])
    found, more = page_after(_events(call, job), call.query)
    return {"object": "list", "data": found, "has_more": more}


def _events(call: Call, job: dict[str, Any]) -> list[dict[str, Any]]:
    line, steps = job["_timeline"], job["_steps"]
    state = line.state(call.world)
    if state == "queued":
        return []
    told: list[tuple[str, dict[str, Any]]] = [("training_started", {"num_sequences": steps})]
    done = steps if state == "ended" else int(line.progress(call.world, "training") * steps)
    told += [
        ("gradient_step", {"loss": 2 / (1 + step), "learning_rate": job["_rate"], "grad_norm": 0.5})
        for step in range(done)
    ]
    if state == "ended":
        last = (
            ("training_failed", {"error_message": job["_fails"]}) if job["_fails"] else ("training_ended", {})
        )
        told.append(last)
    return [{"id": f"{job['id']}-{n:05d}", "type": type, "data": data} for n, (type, data) in enumerate(told)]


def _finish(call: Call) -> None:
    """Trainings that have ended leave their adapters."""
    for job in call.things("job").values():
        if job.get("_adapter") or job["_fails"] or job["_timeline"].state(call.world) != "ended":
            continue
        model, job["_adapter"] = job["_model"], True
        contents = {
            "adapter_config.json": json.dumps({"r": 16}).encode(),
            "adapter_model.safetensors": b"weights" * 100,
            "optimizer.pt": b"never kept",
        }
        place = (model["entity"], model["project"], "lora")
        log(call, place, model["name"], [f"step{job['_steps']}", "latest"], contents)


def find_model(call: Call, name: str) -> dict[str, Any]:
    """An adapter by its artifact, or a base model."""
    if not name.startswith(PREFIX):
        if name not in BASES:
            raise Problem(404, f"The model {name} does not exist")
        return {"id": name, "_pupil": Pupil()}
    _finish(call)
    wanted, _, alias = name.removeprefix(PREFIX).partition(":")
    for job in call.things("job").values():
        model = job["_model"]
        known = alias in ("", "latest", f"step{job['_steps']}") and job.get("_adapter")
        if known and wanted == f"{model['entity']}/{model['project']}/{model['name']}":
            return job
    raise Problem(404, f"The model {name} does not exist")


@SERVICE.route("POST", "/v1/chat/completions", body=CHAT, paced=True)
def chat(call: Call) -> Any:
    made = completion(call, call.json, find_model)
    call.charge(made["usage"]["total_tokens"] * 0.2e-6)
    return Answer(made)
