"""Together's API: files (both ways of sending them), models, batches, chat; jobs and deployments beside it.

Requests are checked by the types of its SDK.
"""

import hashlib
import json
from typing import Any

from together.types import batch_create_params
from together.types.chat import completion_create_params

from tests.emulator import _together_jobs, _together_v2
from tests.emulator._openai import completion
from tests.emulator._preferences import flaw_of_pair, is_pair
from tests.emulator._service import Answer, Call, Part, Problem, Service, public
from tests.emulator._world import Timeline

SERVICE = Service("together", "/v1")
PURPOSES = ("fine-tune", "eval", "batch-api", "calibration", "batch-generated")
# Models that answer everybody: (dollars in, dollars out) for a million tokens.
SERVERLESS = {"Qwen/Qwen3.5-9B": (0.1, 0.15), "openai/gpt-oss-20b": (0.05, 0.2)}
_together_jobs.add_jobs(SERVICE)
_together_v2.add_deployments(SERVICE)


def put_file(call: Call, content: bytes, name: str, purpose: str, arrived: bool = True) -> dict[str, Any]:
    """Keeps a file; it is read through by and by."""
    id = call.world.new_id("file-")
    return call.put(
        "file",
        id,
        {
            "id": id,
            "object": "file",
            "created_at": int(call.world.now()),
            "filename": name,
            "purpose": purpose,
            "FileType": "jsonl",
            "_content": content,
            "_arrived": arrived,
            "_timeline": Timeline([("PENDING", 5), ("RUNNING", 10)], "COMPLETED", call.world.now()),
        },
    )


def file_now(call: Call, file: dict[str, Any]) -> dict[str, Any]:
    """The file as it stands."""
    if not file["_arrived"]:
        return {**public(file), "bytes": 0, "processing_status": "PENDING", "Processed": False}
    state, report = file["_timeline"].state(call.world), None
    if state == "COMPLETED" and file["purpose"] == "fine-tune":
        flaw, lines = flaw_of(file["_content"]), file["_content"].splitlines()
        report = {"valid": not flaw, "file_id": file["id"], "nlines": len(lines)}
        if flaw:
            state = "INVALID_FORMAT"
            report |= {"error": flaw, "error_type": "INVALID_FORMAT"}
    processed = state in ("COMPLETED", "INVALID_FORMAT")
    found = {**public(file), "bytes": len(file["_content"]), "processing_status": state}
    return {**found, "Processed": processed, "validation_report": report}


def flaw_of(content: bytes) -> str:
    """What is wrong with a training file; "" for a good one."""
    kinds = set()
    for number, line in enumerate(content.splitlines()):
        try:
            row = json.loads(line)
        except ValueError:
            return f"Error parsing the file at example {number}: not valid JSON"
        if not (row.get("messages") or row.get("input") or row.get("prompt") or row.get("text")):
            return f"Example {number} is in none of the known formats: {sorted(row)}"
        kinds.add(is_pair(row))
        flaw = flaw_of_pair(row) if is_pair(row) else ""
        if flaw or len(kinds) > 1:
            return f"Example {number}: {flaw or 'another format than those before it'}"
    return "" if content.strip() else "The file holds no examples"


def same_content(call: Call, digest: str, purpose: str) -> Answer | None:
    """409 for content that is there already."""
    for file in call.things("file").values():
        if file["purpose"] == purpose and hashlib.sha256(file["_content"]).hexdigest() == digest:
            error = call.service.error(409, "File already exists", "file_exists")
            return Answer({**error, "file_id": file["id"]}, 409)
    return None


FORM = {"file": True, "file_name": True, "purpose": True, "file_type": False}


@SERVICE.route("POST", "/v1/files/upload", form=FORM)
def upload(call: Call) -> Any:
    purpose, content = call.part("purpose").text, call.part("file").content
    if purpose not in PURPOSES:
        raise Problem(400, f"Unknown purpose {purpose}")
    there = same_content(call, hashlib.sha256(content).hexdigest(), purpose)
    return there or file_now(call, put_file(call, content, call.part("file_name").text, purpose))


@SERVICE.route(
    "POST", "/v1/files", form={"purpose": True, "file_name": True, "file_type": True, "checksum": True}
)
def announce(call: Call) -> Any:
    purpose = call.part("purpose").text
    there = same_content(call, call.part("checksum").text, purpose)
    if there:
        return there
    file = put_file(call, b"", call.part("file_name").text, purpose, arrived=False)
    url, file["_token"] = call.world.upload_url()
    return Answer({}, 302, {"location": url, "x-together-file-id": file["id"]})


@SERVICE.route("POST", "/v1/files/{id}/preprocess")
def preprocess(call: Call) -> Any:
    file = call.thing("file", call.params["id"])
    if file["_token"] not in call.world.blobs:
        raise Problem(400, "Nothing was uploaded")
    file["_content"], file["_arrived"] = call.world.blobs[file["_token"]], True
    return file_now(call, file)


@SERVICE.route("GET", "/v1/files")
def files(call: Call) -> Any:
    return {"data": [file_now(call, each) for each in call.listed("file")]}


@SERVICE.route("GET", "/v1/files/{id}")
def one_file(call: Call) -> Any:
    return file_now(call, call.thing("file", call.params["id"]))


@SERVICE.route("GET", "/v1/files/{id}/content")
def content(call: Call) -> Any:
    kind = {"content-type": "application/octet-stream"}
    return Answer(call.thing("file", call.params["id"])["_content"], headers=kind)


@SERVICE.route("GET", "/v1/models", query=("dedicated",))
def models(call: Call) -> Any:
    found = []
    for name in (*_together_jobs.MODELS, "BAAI/bge-base-en-v1.5"):
        given, made = SERVERLESS.get(name, (0, 0))
        kind = "chat" if name in _together_jobs.MODELS else "embedding"
        price = {"hourly": 0, "input": given, "output": made, "base": 0, "finetune": 0}
        listed = {"id": name, "object": "model", "created": 0, "type": kind, "context_length": 32768}
        found.append({**listed, "display_name": name.partition("/")[2], "pricing": price})
    return found


def find_model(call: Call, name: str) -> dict[str, Any]:
    """A model that answers: a serverless one, or a deployed endpoint by its name."""
    if name in SERVERLESS:
        return {"id": name}
    return _together_v2.deployed(call, name)


def answered(call: Call, asked: dict[str, Any]) -> dict[str, Any]:
    """A completion with log-probabilities as Together writes them: lists side by side. (The SDK's type has a single
    object for the likely tokens, which cannot hold those of several places.)"""
    top = asked.get("logprobs") or 0
    more = {"logprobs": True, "top_logprobs": top} if top else {"logprobs": False}
    made = completion(call, {**asked, **more}, find_model)
    choice = made["choices"][0]
    tokens = (choice["logprobs"] or {}).get("content") or []
    choice["logprobs"] = top and {
        "tokens": [each["token"] for each in tokens],
        "token_logprobs": [each["logprob"] for each in tokens],
        "top_logprobs": [
            {other["token"]: other["logprob"] for other in each["top_logprobs"]} for each in tokens
        ],
    }
    choice["logprobs"] = choice["logprobs"] or None
    choice["finish_reason"] = choice["finish_reason"].replace("stop", "eos")
    del choice["message"]["refusal"]
    return {**made, "prompt": []}


CHAT = completion_create_params.CompletionCreateParamsNonStreaming


@SERVICE.route("POST", "/v1/chat/completions", body=CHAT, paced=True)
def chat(call: Call) -> Any:
    made = answered(call, call.json)
    given, out = SERVERLESS.get(call.json["model"], (0, 0))
    call.charge((given * made["usage"]["prompt_tokens"] + out * made["usage"]["completion_tokens"]) / 1e6)
    return made


@SERVICE.route("POST", "/v1/batches", body=batch_create_params.BatchCreateParams)
def create_batch(call: Call) -> Any:
    file = call.thing("file", call.json["input_file_id"])
    if file["purpose"] != "batch-api":
        raise Problem(400, "The input file must have the purpose batch-api")
    id = call.world.new_id("01234567-8901-2345-")
    call.made("batch", id, file["filename"].removesuffix(".jsonl"))
    stages = [("VALIDATING", 20.0), ("IN_PROGRESS", 100.0)]
    batch = {
        "id": id,
        "input_file_id": file["id"],
        "endpoint": call.json["endpoint"],
        "model_id": call.json.get("model_id", ""),
        "created_at": _together_jobs.iso(call.world.now()),
        "_timeline": Timeline(stages, "COMPLETED", call.world.now()),
    }
    return Answer({"job": batch_now(call, call.put("batch", id, batch))}, 201)


@SERVICE.route("GET", "/v1/batches")
def batches(call: Call) -> Any:
    return [batch_now(call, each) for each in call.listed("batch")]


@SERVICE.route("GET", "/v1/batches/{id}")
def one_batch(call: Call) -> Any:
    return batch_now(call, call.thing("batch", call.params["id"]))


@SERVICE.route("POST", "/v1/batches/{id}/cancel")
def cancel_batch(call: Call) -> Any:
    batch = call.thing("batch", call.params["id"])
    if not batch["_timeline"].stop(call.world, "CANCELLED"):
        raise Problem(400, "The batch has ended already")
    return batch_now(call, batch)


def batch_now(call: Call, batch: dict[str, Any]) -> dict[str, Any]:
    """The batch as it stands; its files are made when it is first seen complete."""
    state = batch["_timeline"].state(call.world)
    if state == "COMPLETED" and "output_file_id" not in batch:
        good, bad = [], []
        for line in call.thing("file", batch["input_file_id"])["_content"].splitlines():
            asked = json.loads(line)
            row = {"id": call.world.new_id("req-"), "custom_id": asked["custom_id"]}
            try:
                body = answered(call, asked["body"])
                good.append({**row, "response": {"status_code": 200, "body": body}})
            except Problem as problem:
                bad.append({**row, "error": {"message": problem.message, "code": problem.code}})
        for name, rows in (("output_file_id", good), ("error_file_id", bad)):
            part = Part(b"".join(json.dumps(row).encode() + b"\n" for row in rows), f"{batch['id']}.jsonl")
            made = put_file(call, part.content, part.filename, "batch-generated") if rows else {"id": None}
            batch[name] = made["id"]
    progress = 100 * batch["_timeline"].progress(call.world, "IN_PROGRESS")
    return {**public(batch), "status": state, "progress": progress}
