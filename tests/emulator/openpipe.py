"""OpenPipe's API v1: data sets, entries, models, chat. Requests are checked by schemas made from its description."""

import json
import uuid
from typing import Any

from tests.emulator._answers import pupil_of
from tests.emulator._openai import completion
from tests.emulator._service import Answer, Call, Problem, Service, public
from tests.emulator._world import Timeline

ENTRY = {
    "type": "object",
    "properties": {
        "messages": {"type": "array", "minItems": 2, "items": {"type": "object", "required": ["role"]}},
        "rejected_message": {"type": "object"},
        "tool_choice": {},
        "tools": {"type": "array"},
        "response_format": {"type": "object"},
        "split": {"enum": ["TRAIN", "TEST"]},
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["messages"],
    "additionalProperties": False,
}
VALUES = {
    "type": "object",
    "properties": {
        "batch_size": {"anyOf": [{"const": "auto"}, {"type": "number"}]},
        "learning_rate_multiplier": {"type": "number"},
        "num_epochs": {"type": "number"},
    },
    "additionalProperties": False,
}
PREFERENCE_VALUES = {
    "type": "object",
    "properties": {
        "variant": {"enum": ["DPO", "APO Zero"]},
        "learning_rate_multiplier": {"type": "number"},
        "num_epochs": {"type": "number"},
        "training_beta": {"type": "number"},
        "adapter_weight": {"type": "number"},
    },
    "additionalProperties": False,
}
MODEL = {
    "type": "object",
    "properties": {
        "datasetId": {"type": "string"},
        "slug": {"type": "string"},
        "pruningRuleIds": {"type": "array"},
        "defaultTemperature": {"type": "number"},
        "trainingConfig": {
            "type": "object",
            "properties": {
                "provider": {"const": "openpipe"},
                "baseModel": {"type": "string"},
                "enable_sft": {"type": "boolean"},
                "enable_preference_tuning": {"type": "boolean"},
                "sft_hyperparameters": VALUES,
                "preference_hyperparameters": PREFERENCE_VALUES,
            },
            "required": ["provider", "baseModel"],
            "additionalProperties": False,
        },
    },
    "required": ["datasetId", "slug", "trainingConfig"],
    "additionalProperties": False,
}
NAMED = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}
ENTRIES = {"type": "array", "minItems": 1, "maxItems": 100, "items": {"type": "object"}}
MANY = {
    "type": "object",
    "properties": {"entries": ENTRIES},
    "required": ["entries"],
    "additionalProperties": False,
}
CHAT = {"type": "object", "required": ["messages", "model"]}
STAGES = [("PENDING", 10.0), ("QUEUED", 20.0), ("PROVISIONING", 20.0), ("TRAINING", 240.0)]


def error(status: int, message: str, code: str) -> Any:
    """{message, code, issues}."""
    return {"message": message, "code": code or "BAD_REQUEST", "issues": []}


SERVICE = Service("openpipe", "/api/v1", error=error)


def _dataset(dataset: dict[str, Any]) -> dict[str, Any]:
    counts = {"dataset_entry_count": len(dataset["_entries"]), "fine_tune_count": 0}
    return {**public(dataset), **counts}


@SERVICE.route("POST", "/api/v1/datasets", body=NAMED)
def create_dataset(call: Call) -> Any:
    id = str(uuid.uuid5(uuid.NAMESPACE_URL, call.world.new_id("dataset-")))
    moment = "2026-11-25T00:00:00.000Z"
    made = {
        "object": "dataset",
        "id": id,
        "name": call.json["name"],
        "created": moment,
        "updated": moment,
        "_entries": [],
    }
    return _dataset(call.put("dataset", id, made))


@SERVICE.route("GET", "/api/v1/datasets")
def datasets(call: Call) -> Any:
    return {"object": "list", "data": [_dataset(each) for each in call.listed("dataset")]}


@SERVICE.route("DELETE", "/api/v1/datasets/{id}")
def delete_dataset(call: Call) -> Any:
    call.thing("dataset", call.params["id"])
    del call.things("dataset")[call.params["id"]]
    return {"id": call.params["id"], "object": "dataset", "deleted": True}


@SERVICE.route("POST", "/api/v1/datasets/{id}/entries", body=MANY)
def add_entries(call: Call) -> Any:
    """200 also where some entries were not taken."""
    dataset, wrong = call.thing("dataset", call.params["id"]), []
    for number, entry in enumerate(call.json["entries"]):
        strange = set(entry) - set(ENTRY["properties"])
        if strange or "messages" not in entry or entry["messages"][-1].get("role") != "assistant":
            said = f"unknown {sorted(strange)}" if strange else "messages must end with an assistant message"
            wrong.append({"object": "dataset.entries.creation.error", "entry_index": number, "message": said})
        else:
            dataset["_entries"].append(entry)
    created = len(call.json["entries"]) - len(wrong)
    errors = {"object": "list", "data": wrong}
    return {"object": "dataset.entries.creation", "entries_created": created, "errors": errors}


@SERVICE.route("POST", "/api/v1/models", body=MODEL)
def create_model(call: Call) -> Any:
    slug, config = call.json["slug"], call.json["trainingConfig"]
    if slug in call.things("model"):
        raise Problem(409, f"A model with slug {slug} already exists", "CONFLICT")
    entries = call.thing("dataset", call.json["datasetId"])["_entries"]
    lines = [json.dumps(entry) for entry in entries if entry.get("split") == "TRAIN"]
    if len(lines) < 10:
        raise Problem(400, "A data set must have at least 10 training entries")
    call.made("job", slug, slug)
    values = _values(config, entries)
    model = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, slug)),
        "name": slug,
        "object": "model",
        "description": None,
        "created": "2026-11-25T00:00:00.000Z",
        "updated": "2026-11-25T00:00:00.000Z",
        "contextWindow": 8192,
        "maxCompletionTokens": 8192,
        "capabilities": ["chat", "tools", "json"],
        "pricing": {"chatIn": 0.3, "chatOut": 0.45},
        "owned_by": "lab",
        "_inner": {
            "baseModel": config["baseModel"],
            "hyperparameters": values,
            "datasetId": call.json["datasetId"],
            "errorMessage": None,
        },
        "_pupil": pupil_of(["\n".join(lines).encode()]),
        "_timeline": Timeline(STAGES, "DEPLOYED", call.world.now()),
    }
    return shown(call, call.put("model", slug, model))


def _values(config: dict[str, Any], entries: list[dict[str, Any]]) -> dict[str, Any]:
    """What the model will say of its training."""
    if not config.get("enable_preference_tuning"):
        standard = {"batch_size": 8, "learning_rate_multiplier": 1.0, "num_epochs": 3}
        return {**standard, **config.get("sft_hyperparameters", {})}
    if not any("rejected_message" in entry for entry in entries):
        raise Problem(400, "Preference tuning needs entries with a rejected_message")
    standard = {"variant": "DPO", "learning_rate_multiplier": 1.0, "num_epochs": 1, "training_beta": 0.1}
    found = {**standard, **config.get("preference_hyperparameters", {})}
    said = {f"preference_tuning_{name}": value for name, value in found.items()}
    return {"is_preference_tuning_enabled": True, "is_sft_enabled": config.get("enable_sft", True), **said}


def shown(call: Call, model: dict[str, Any]) -> dict[str, Any]:
    """The model as it stands."""
    return {**public(model), "openpipe": {**model["_inner"], "status": model["_timeline"].state(call.world)}}


@SERVICE.route("GET", "/api/v1/models")
def models(call: Call) -> Any:
    return {"object": "list", "data": [shown(call, each) for each in call.listed("model")]}


@SERVICE.route("GET", "/api/v1/models/{slug}")
def one_model(call: Call) -> Any:
    return shown(call, call.thing("model", call.params["slug"]))


def find_model(call: Call, name: str) -> dict[str, Any]:
    """A deployed model."""
    model = call.thing("model", name.removeprefix("openpipe:"))
    if model["_timeline"].state(call.world) != "DEPLOYED":
        raise Problem(400, f"The model {name} is not deployed")
    return model


@SERVICE.route("POST", "/api/v1/chat/completions", body=CHAT, paced=True)
def chat(call: Call) -> Any:
    made = completion(call, call.json, find_model)
    call.charge(made["usage"]["total_tokens"] * 0.3e-6)
    return Answer(made)
