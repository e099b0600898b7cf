"""Replicate's API: account, models, trainers with their schemas, trainings, predictions.

Requests are checked by schemas made from the published description; answers parse with the official SDK.
"""

import base64
import io
import json
import tarfile
from typing import Any

from tests.emulator._answers import answer, pupil_of, token_count
from tests.emulator._replicate_trainer import PROPERTIES, SCHEMA
from tests.emulator._service import Answer, Call, Problem, Service, public
from tests.emulator._world import Timeline

VERSION, PLAIN = "a" * 64, "b" * 64
TRAINER = "emulated/text-lora"
TRAINING = {
    "type": "object",
    "properties": {
        "destination": {"type": "string", "pattern": "^[^/]+/[^/]+$"},
        "input": {"type": "object"},
        "webhook": {"type": "string"},
        "webhook_events_filter": {"type": "array"},
    },
    "required": ["destination", "input"],
    "additionalProperties": False,
}
MODEL = {
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in ("owner", "name", "hardware", "description")},
        "visibility": {"enum": ["public", "private"]},
    },
    "required": ["owner", "name", "visibility", "hardware"],
    "additionalProperties": False,
}
PREDICTION = {
    "type": "object",
    "properties": {"version": {"type": "string"}, "input": {"type": "object"}, "stream": {"type": "boolean"}},
    "required": ["version", "input"],
    "additionalProperties": False,
}
STAGES = [("starting", 20.0), ("processing", 240.0)]
STEPS = 10


def error(status: int, message: str, code: str) -> Any:
    """RFC 7807."""
    return {"type": "about:blank", "title": message[:60], "detail": message, "status": status}


SERVICE = Service("replicate", "/v1", error=error)


@SERVICE.route("GET", "/v1/account")
def account(call: Call) -> Any:
    return {"type": "organization", "username": "lab", "name": "Lab", "github_url": None}


@SERVICE.route("GET", "/v1/collections/{slug}")
def collection(call: Call) -> Any:
    if call.params["slug"] != "trainable-language-models":
        raise Problem(404, "No such collection")
    trainer = {**_model("emulated", "text-lora"), "latest_version": _version(VERSION)}
    return {"name": "Trainable language models", "slug": call.params["slug"], "models": [trainer]}


def _model(owner: str, name: str) -> dict[str, Any]:
    texts = ("description", "github_url", "paper_url", "license_url", "cover_image_url")
    return {
        "url": f"https://replicate.com/{owner}/{name}",
        "owner": owner,
        "name": name,
        "visibility": "private",
        "run_count": 0,
        "default_example": None,
        "latest_version": None,
        **dict.fromkeys(texts),
    }


def _version(id: str) -> dict[str, Any]:
    schema = SCHEMA if id == VERSION else {"components": {"schemas": {"Input": {"type": "object"}}}}
    return {
        "id": id,
        "created_at": "2026-04-26T19:29:04.418669Z",
        "cog_version": "0.23.1",
        "openapi_schema": schema,
    }


@SERVICE.route("POST", "/v1/models", body=MODEL)
def create_model(call: Call) -> Any:
    name = f"{call.json['owner']}/{call.json['name']}"
    if call.json["owner"] != "lab":
        raise Problem(403, "The token does not belong to that owner")
    if name in call.things("model"):
        raise Problem(409, "A model with that name and owner already exists")
    return Answer(public(call.put("model", name, _model(call.json["owner"], call.json["name"]))), 201)


@SERVICE.route("GET", "/v1/models/{owner}/{name}")
def one_model(call: Call) -> Any:
    name = f"{call.params['owner']}/{call.params['name']}"
    if name == TRAINER:
        return {**_model("emulated", "text-lora"), "latest_version": _version(VERSION)}
    return public(call.thing("model", name))


@SERVICE.route("GET", "/v1/models/{owner}/{name}/versions/{id}")
def one_version(call: Call) -> Any:
    if f"{call.params['owner']}/{call.params['name']}" != TRAINER or call.params["id"] not in (
        VERSION,
        PLAIN,
    ):
        raise Problem(404, "The requested resource could not be found.")
    return _version(call.params["id"])


@SERVICE.route("POST", "/v1/files", form={"content": True, "metadata": False})
def upload(call: Call) -> Any:
    part, id = call.part("content"), call.world.new_id("file-")
    file = {
        "id": id,
        "name": part.filename,
        "content_type": part.media_type,
        "size": len(part.content),
        "etag": id,
        "checksums": {},
        "metadata": {},
        "created_at": "2026-11-25T00:00:00Z",
        "expires_at": None,
        "urls": {"get": call.world.url("replicate", f"/v1/files/{id}")},
        "_content": part.content,
    }
    return Answer(public(call.put("file", id, file)), 201)


@SERVICE.route("POST", "/v1/models/{owner}/{name}/versions/{id}/trainings", body=TRAINING)
def create(call: Call) -> Any:
    given = call.json["input"]
    if one_version(call)["id"] != VERSION:
        raise Problem(422, "This version cannot be trained")
    call.thing("model", call.json["destination"])
    strange = set(given) - set(PROPERTIES)
    if strange or "train_data" not in given:
        raise Problem(422, f"- input: unknown {sorted(strange)}, or train_data is missing")
    id = call.world.new_id("training")
    call.made("job", id, given["train_data"][:300])
    content = _content(call, given["train_data"])
    training = {
        "id": id,
        "model": TRAINER,
        "version": VERSION,
        "destination": call.json["destination"],
        "input": given,
        "created_at": "2026-11-25T00:00:00.000000Z",
        "source": "api",
        "urls": {
            "get": call.world.url("replicate", f"/v1/trainings/{id}"),
            "cancel": call.world.url("replicate", f"/v1/trainings/{id}/cancel"),
        },
        "_pupil": pupil_of([content]),
        "_timeline": Timeline(STAGES, "succeeded", call.world.now()),
    }
    return Answer(now(call, call.put("training", id, training)), 201)


def _content(call: Call, address: str) -> bytes:
    if address.startswith("data:"):
        return base64.b64decode(address.partition("base64,")[2])
    id = address.partition("#")[0].rpartition("/")[2]
    return call.thing("file", id)["_content"]


def now(call: Call, training: dict[str, Any]) -> dict[str, Any]:
    """The training as it stands."""
    line = training["_timeline"]
    state = line.state(call.world)
    share = line.progress(call.world, "processing") if state in ("processing", "succeeded") else 0.0
    steps = range(1, int(share * STEPS) + 1)
    logs = "".join(f"{{'loss': {2 / step:.4f}, 'learning_rate': 0.0001, 'step': {step}}}\n" for step in steps)
    output = None
    if state == "succeeded":
        version = (training["id"] * 8)[:64]
        if "_charged" not in training:
            training["_charged"] = True
            call.put("version", version, {"id": version, "_pupil": training["_pupil"]})
            call.charge(240 * 0.000975)
        weights = call.world.url("replicate", f"/v1/weights/{training['id']}.tar")
        output = {"version": f"{training['destination']}:{version}", "weights": weights}
    ended = state in ("succeeded", "canceled", "failed")
    return {
        **public(training),
        "status": state,
        "logs": logs,
        "error": None,
        "output": output,
        "started_at": None if state == "starting" else "2026-11-25T00:00:20.000000Z",
        "completed_at": "2026-11-25T00:05:00.000000Z" if ended else None,
        "metrics": {"predict_time": 240.0} if ended else {},
    }


@SERVICE.route("GET", "/v1/trainings", query=("cursor",))
def listed(call: Call) -> Any:
    found = call.listed("training")
    start = int(call.query.get("cursor", 0))
    more = (
        call.world.url("replicate", f"/v1/trainings?cursor={start + 2}") if len(found) > start + 2 else None
    )
    shown = [now(call, each) for each in found[start : start + 2]]
    return {"next": more, "previous": None, "results": shown}


@SERVICE.route("GET", "/v1/trainings/{id}")
def one(call: Call) -> Any:
    return now(call, call.thing("training", call.params["id"]))


@SERVICE.route("POST", "/v1/trainings/{id}/cancel")
def cancel(call: Call) -> Any:
    training = call.thing("training", call.params["id"])
    training["_timeline"].stop(call.world, "canceled")
    return now(call, training)


@SERVICE.route("GET", "/v1/weights/{name}")
def weights(call: Call) -> Any:
    call.thing("training", call.params["name"].removesuffix(".tar"))
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as tar:
        for name, content in (
            ("output/adapter_config.json", json.dumps({"r": 8}).encode()),
            ("output/adapter_model.safetensors", b"weights" * 100),
            ("output/optimizer.pt", b"pickle"),
            ("../escape.json", b"{}"),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return Answer(body.getvalue(), headers={"content-type": "application/x-tar"})


@SERVICE.route("POST", "/v1/predictions", body=PREDICTION, paced=True)
def predict(call: Call) -> Any:
    for training in list(call.things("training").values()):
        now(call, training)
    version = call.thing("version", call.json["version"])
    id, waits = call.world.new_id("prediction"), (call.headers.get("prefer") or "").startswith("wait")
    prompt = call.json["input"].get("prompt", "")
    drawn = answer(call.world, version["id"], [{"role": "user", "content": prompt}], version["_pupil"])
    metrics = {
        "predict_time": 0.5,
        "input_token_count": token_count(prompt),
        "output_token_count": token_count(drawn.text),
    }
    call.charge(0.5 * 0.000975)
    call.put("prediction", id, {"id": id, "_output": [drawn.text], "_metrics": metrics, "_cold": not waits})
    return Answer(_prediction(call.thing("prediction", id), call.json), 201)


def _prediction(thing: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    cold = thing.pop("_cold", False)
    return {
        "id": thing["id"],
        "model": "lab/tunebook",
        "version": asked.get("version", ""),
        "input": asked.get("input", {}),
        "status": "starting" if cold else "succeeded",
        "output": None if cold else thing["_output"],
        "metrics": {} if cold else thing["_metrics"],
        "error": None,
        "logs": "",
        "urls": {},
    }


@SERVICE.route("GET", "/v1/predictions/{id}")
def one_prediction(call: Call) -> Any:
    return _prediction(call.thing("prediction", call.params["id"]), {})
