"""Fireworks' API: account, library, datasets (both ways of filling them), chat; jobs and batches beside it.

Requests are checked by the types of its SDK. Names of resources are whole paths below the account.
"""

import json
from typing import Any

from fireworks.types import (
    dataset_create_params,
    dataset_get_upload_endpoint_params,
)
from fireworks.types.chat import completion_create_params

from tests.emulator import _fireworks_deployments, _fireworks_jobs
from tests.emulator._camel import camel_schema
from tests.emulator._fireworks_names import LISTING, code_of, iso, page, resource
from tests.emulator._openai import completion
from tests.emulator._service import Call, Problem, Service, public
from tests.emulator._world import Timeline

# Name -> (parameters in billions, can be tuned, answers everybody).
LIBRARY = {
    "llama-v3p1-8b-instruct": (8.03, True, True),
    "qwen3-8b": (8.19, True, False),
    "qwen3-235b-a22b": (235.0, False, True),
    "flux-1-dev": (12.0, False, False),
}
BASE = "/v1/accounts/{account}"


def error(status: int, message: str, code: str) -> Any:
    """gRPC's shape; a wrong key is told in another."""
    if status == 401:
        return {"error": {"message": message, "code": "UNAUTHORIZED", "object": "error"}}
    return {"code": code_of(status), "message": message, "details": []}


SERVICE = Service("fireworks", "", error=error)


@SERVICE.route("GET", BASE)
def account(call: Call) -> Any:
    name = f"accounts/{call.params['account']}"
    return {"name": name, "displayName": "Emulated lab", "email": "lab@example.org", "state": "READY"}


def library_model(name: str) -> dict[str, Any]:
    """A model of the library."""
    size, tunable, serverless = LIBRARY[name]
    return {
        "name": f"accounts/fireworks/models/{name}",
        "displayName": name.replace("-", " ").title(),
        "kind": "HF_BASE_MODEL",
        "state": "READY",
        "contextLength": 131_072,
        "trainingContextLength": 65_536,
        "tunable": tunable,
        "supportsServerless": serverless,
        "deprecationDate": {"year": 2027, "month": 3, "day": 1} if name == "qwen3-235b-a22b" else None,
        "baseModelDetails": {"parameterCount": str(int(size * 1e9))},
    }


def settle(call: Call) -> None:
    """Lets every job that is over make its model."""
    for kind in _fireworks_jobs.KINDS:
        for job in list(call.things(kind).values()):
            _fireworks_jobs.job_now(call, job)


@SERVICE.route("GET", f"{BASE}/models", query=LISTING)
def models(call: Call) -> Any:
    settle(call)
    if call.params["account"] == "fireworks":
        return page(call, "models", [library_model(name) for name in LIBRARY])
    return page(call, "models", [public(each) for each in call.things("model").values()])


@SERVICE.route("GET", f"{BASE}/models/{{id}}:getDownloadEndpoint", query=("readMask",))
def weights(call: Call) -> Any:
    model = call.thing("model", resource(call, "models"))
    files = {
        "adapter_config.json": json.dumps({"peft_type": "LORA", "r": model["peftDetails"]["r"]}).encode(),
        "adapter_model.safetensors": (8).to_bytes(8, "little") + b"{}      ",
        "optimizer.pt": b"\x80\x04pickle",
        "../outside.json": b"{}",
        "train.py": b"raise SystemExit",
    }
    return {"filenameToSignedUrls": {name: call.world.put_blob(content) for name, content in files.items()}}


@SERVICE.route("GET", f"{BASE}/models/{{id}}", query=("readMask",))
def model(call: Call) -> Any:
    settle(call)
    if call.params["account"] == "fireworks":
        if call.params["id"] not in LIBRARY:
            raise Problem(404, "model not found")
        return library_model(call.params["id"])
    return public(call.thing("model", resource(call, "models")))


CREATE = camel_schema(dataset_create_params.DatasetCreateParams, ("account_id",))


@SERVICE.route("POST", f"{BASE}/datasets", body=CREATE)
def create_dataset(call: Call) -> Any:
    name = f"accounts/{call.params['account']}/datasets/{call.json['datasetId']}"
    if name in call.things("dataset"):
        raise Problem(409, f"dataset {name} already exists")
    if not call.json["dataset"].get("exampleCount"):
        raise Problem(400, "example_count is required for uploaded datasets")
    made = {**call.json["dataset"], "name": name, "createTime": iso(call.world.now()), "_files": {}}
    return dataset_now(call, call.put("dataset", name, made))


def fill(call: Call, dataset: dict[str, Any], name: str, content: bytes) -> None:
    """The bytes have come; they are read by and by."""
    if "_timeline" in dataset:
        raise Problem(400, "dataset is already uploaded")
    dataset["_files"][name] = content
    dataset["_timeline"] = Timeline([("UPLOADING", 10)], "READY", call.world.now())


@SERVICE.route("POST", f"{BASE}/datasets/{{id}}:upload", form={"file": True})
def upload(call: Call) -> Any:
    part = call.part("file")
    if len(part.content) > 150 * 10**6:
        raise Problem(413, "the file is larger than 150 MB")
    fill(call, call.thing("dataset", resource(call, "datasets")), part.filename, part.content)
    return {"id": call.params["id"], "bytes": len(part.content), "filename": part.filename}


SIZES = camel_schema(dataset_get_upload_endpoint_params.DatasetGetUploadEndpointParams, ("account_id",))


@SERVICE.route("POST", f"{BASE}/datasets/{{id}}:getUploadEndpoint", body=SIZES)
def upload_endpoint(call: Call) -> Any:
    dataset = call.thing("dataset", resource(call, "datasets"))
    urls = {}
    for name in call.json["filenameToSize"]:
        urls[name], dataset["_token"] = call.world.upload_url()
        dataset["_name"], dataset["_size"] = name, int(call.json["filenameToSize"][name])
    return {"filenameToSignedUrls": urls}


@SERVICE.route("POST", f"{BASE}/datasets/{{id}}:validateUpload", body={"type": "object", "maxProperties": 0})
def validate_upload(call: Call) -> Any:
    dataset = call.thing("dataset", resource(call, "datasets"))
    content = call.world.blobs.get(dataset.get("_token", ""))
    if content is None or len(content) != dataset["_size"]:
        raise Problem(400, "the upload is not complete")
    fill(call, dataset, dataset["_name"], content)
    return {}


@SERVICE.route("GET", f"{BASE}/datasets/{{id}}:getDownloadEndpoint", query=("readMask", "downloadLineage"))
def dataset_download(call: Call) -> Any:
    if call.raw:
        raise Problem(400, "a body is not allowed here")
    files = call.thing("dataset", resource(call, "datasets"))["_files"]
    return {"filenameToSignedUrls": {name: call.world.put_blob(content) for name, content in files.items()}}


@SERVICE.route("GET", f"{BASE}/datasets/{{id}}", query=("readMask",))
def one_dataset(call: Call) -> Any:
    return dataset_now(call, call.thing("dataset", resource(call, "datasets")))


@SERVICE.route("GET", f"{BASE}/datasets", query=LISTING)
def datasets(call: Call) -> Any:
    return page(call, "datasets", [dataset_now(call, each) for each in call.listed("dataset")])


def dataset_now(call: Call, dataset: dict[str, Any]) -> dict[str, Any]:
    """The dataset as it stands."""
    state = dataset["_timeline"].state(call.world) if "_timeline" in dataset else "UPLOADING"
    flaw = flaw_of(dataset) if state == "READY" else ""
    status = {"code": "INVALID_ARGUMENT", "message": flaw} if flaw else {"code": "OK", "message": ""}
    return {**public(dataset), "state": "UPLOADING" if flaw else state, "status": status}


def flaw_of(dataset: dict[str, Any]) -> str:
    """What is wrong with its rows; "" for good ones."""
    for name, content in dataset["_files"].items():
        for number, row in enumerate(content.splitlines(), 1):
            try:
                found = json.loads(row)
            except ValueError:
                return f"Dataset has a syntax error on {name}:{number}: not valid JSON"
            if not any(each in found for each in ("messages", "input", "custom_id")):
                return f"Dataset has a syntax error on {name}:{number}: no messages"
    return ""


def find_model(call: Call, name: str) -> dict[str, Any]:
    """A model that answers everybody; a tuned one only in a batch."""
    base, _, deployment = name.partition("#")
    if deployment:
        return _fireworks_deployments.deployed(call, base, deployment)
    short = name.rpartition("/")[2]
    if name.startswith("accounts/fireworks/models/") and LIBRARY.get(short, (0, 0, False))[2]:
        return {"id": name}
    raise Problem(404, f"Model not found, inaccessible, and/or not deployed: {name}")


CHAT = completion_create_params.CompletionCreateParamsNonStreaming


@SERVICE.route("POST", "/inference/v1/chat/completions", body=CHAT, paced=True)
def chat(call: Call) -> Any:
    return tidy(completion(call, call.json, find_model, top=5))


def tidy(made: dict[str, Any]) -> dict[str, Any]:
    """A completion with the fields that Fireworks' own type wants."""
    for choice in made["choices"]:
        choice["message"].pop("refusal", None)
        for each in (choice["logprobs"] or {}).get("content", ()):
            each |= {"text_offset": 0, "token_id": 0}
            for other in each["top_logprobs"]:
                other["token_id"] = 0
        choice["logprobs"] = {"content": choice["logprobs"]["content"]} if choice["logprobs"] else None
    return made


_fireworks_jobs.add_jobs(SERVICE, BASE)
_fireworks_deployments.add_deployments(SERVICE, BASE)
_fireworks_jobs.add_batches(
    SERVICE, BASE, lambda call, asked: tidy(completion(call, asked, _tuned_or_base, top=5))
)


def _tuned_or_base(call: Call, name: str) -> dict[str, Any]:
    settle(call)
    return call.things("model").get(name) or find_model(call, name)
