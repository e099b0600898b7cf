"""Mistral's API: files, the fine-tuning jobs that old accounts have, batches, chat, models.

Chat and batches are checked by the types of the SDK, jobs by a schema made from their published description: the SDK
has none of them any more.
"""

import json
import uuid
from typing import Any

from mistralai.client import models as sdk

from tests.emulator._answers import Pupil, file_tokens, pupil_of
from tests.emulator._mistral_job import JOB
from tests.emulator._openai import completion
from tests.emulator._service import Answer, Call, Part, Problem, Service, public
from tests.emulator._world import Timeline

BASES = ("open-mistral-7b", "mistral-small-latest", "open-mistral-nemo")
STAGES = [("QUEUED", 10.0), ("VALIDATING", 20.0), ("VALIDATED", 1e12)]
TRAINS = [("QUEUED", 10.0), ("STARTED", 10.0), ("RUNNING", 240.0)]
STEPS = 20
CAPABLE = {
    "completion_chat": True,
    "function_calling": True,
    "fine_tuning": True,
    "completion_fim": False,
    "vision": False,
}


def error(status: int, message: str, code: str) -> Any:
    """422 lists fields, everything else is one message."""
    if status in (400, 422):
        return {"detail": [{"loc": ["body"], "msg": message, "type": "value_error"}]}
    return {
        "object": "error",
        "message": message,
        "type": code or "invalid_request",
        "param": None,
        "code": None,
    }


SERVICE = Service("mistral", "/v1", error=error)


@SERVICE.route(
    "POST", "/v1/files", form={"file": True, "purpose": False, "expiry": False, "visibility": False}
)
def upload(call: Call) -> Any:
    part, purpose = call.part("file"), call.part("purpose").text if "purpose" in call.form else "fine-tune"
    for file in call.things("file").values():
        if file["_content"] == part.content and file["filename"] == part.filename:
            return public(file)
    return public(_keep(call, part, purpose, "upload"))


def _keep(call: Call, part: Part, purpose: str, source: str) -> dict[str, Any]:
    id = str(uuid.uuid5(uuid.NAMESPACE_URL, call.world.new_id("file-")))
    file = {
        "id": id,
        "object": "file",
        "bytes": len(part.content),
        "created_at": int(call.world.now()),
        "filename": part.filename,
        "purpose": purpose,
        "sample_type": "batch_request" if purpose == "batch" else "instruct",
        "source": source,
        "num_lines": part.content.count(b"\n"),
        "_content": part.content,
    }
    return call.put("file", id, file)


@SERVICE.route("GET", "/v1/files/{id}/content")
def content(call: Call) -> Any:
    return Answer(
        call.thing("file", call.params["id"])["_content"],
        headers={"content-type": "application/octet-stream"},
    )


@SERVICE.route("POST", "/v1/fine_tuning/jobs", body=JOB, query=("dry_run",))
def create(call: Call) -> Any:
    asked = call.json
    if asked["model"] not in BASES:
        raise Problem(422, f"Invalid model: {asked['model']}")
    for other in call.things("job").values():
        if other["_asked"] == asked and other["_timeline"].state(call.world) in (
            "QUEUED",
            "VALIDATED",
            "RUNNING",
        ):
            raise Problem(409, "A job with the same configuration is already running or queued.")
    files = [each["file_id"] for each in asked.get("training_files", [])]
    for id in [*files, *(asked.get("validation_files") or [])]:
        call.thing("file", id)
    id = str(uuid.uuid5(uuid.NAMESPACE_URL, call.world.new_id("job-")))
    call.made("job", id, asked.get("suffix") or "")
    stages = STAGES if asked.get("auto_start") is False else [*STAGES[:2], *TRAINS]
    job = {
        "id": id,
        "object": "job",
        "job_type": "completion",
        "model": asked["model"],
        "auto_start": asked.get("auto_start", True),
        "suffix": asked.get("suffix"),
        "created_at": int(call.world.now()),
        "modified_at": int(call.world.now()),
        "training_files": files,
        "validation_files": asked.get("validation_files") or [],
        "hyperparameters": {
            "training_steps": None, "learning_rate": 1e-4, "weight_decay": 0.1, "warmup_fraction": 0.05,
            "epochs": None, "seq_len": None, "fim_ratio": None, **asked["hyperparameters"],
        },
        "integrations": [],
        "repositories": [],
        "_asked": asked,
        "_timeline": Timeline(stages, "SUCCESS", call.world.now()),
    }  # fmt: skip
    return now(call, call.put("job", id, job))


def now(call: Call, job: dict[str, Any], detailed: bool = False) -> dict[str, Any]:
    """The job as it stands; its model is made when it is first seen done."""
    state = job["_timeline"].state(call.world)
    texts = [call.thing("file", id)["_content"] for id in job["training_files"]]
    tokens = round(sum(map(file_tokens, texts)) * (job["hyperparameters"]["epochs"] or 1))
    if state == "SUCCESS" and "fine_tuned_model" not in job:
        name = f"ft:{job['model']}:{job['suffix'] or ''}:20261125:{job['id'][:8]}"
        job["fine_tuned_model"] = name
        call.put(
            "model", name, {"id": name, "_pupil": pupil_of(texts), "_base": job["model"], "_job": job["id"]}
        )
        call.charge(max(4.0, tokens * 1e-6))
    shown = {**public(job), "status": state, "fine_tuned_model": job.get("fine_tuned_model")}
    done = state == "SUCCESS"
    shown["trained_tokens"] = tokens if done else None
    shown["metadata"] = {
        "cost": max(4.0, tokens * 1e-6) if done else None,
        "cost_currency": "USD",
        "train_tokens": tokens,
    }
    if detailed:
        share = job["_timeline"].progress(call.world, "RUNNING") if state in ("RUNNING", "SUCCESS") else 0.0
        shown["events"] = [
            {"name": "status-updated", "data": {"status": state}, "created_at": int(call.world.now())}
        ]
        shown["checkpoints"] = [_checkpoint(call, step) for step in range(5, int(share * STEPS) + 1, 5)]
    return shown


def _checkpoint(call: Call, step: int) -> dict[str, Any]:
    metrics = {"train_loss": 2 / step, "valid_loss": 2.2 / step, "valid_mean_token_accuracy": 0.9}
    return {"metrics": metrics, "step_number": step, "created_at": int(call.world.now())}


@SERVICE.route(
    "GET", "/v1/fine_tuning/jobs", query=("page", "page_size", "suffix", "model", "status", "created_by_me")
)
def listed(call: Call) -> Any:
    wanted = call.query.get("suffix")
    found = [each for each in call.listed("job") if wanted in (None, each["suffix"])]
    page = _page(call, found)
    return {"object": "list", "data": [now(call, each) for each in page], "total": len(found)}


def _page(call: Call, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    size = int(call.query.get("page_size", 100))
    start = int(call.query.get("page", 0)) * size
    return found[start : start + size]


@SERVICE.route("GET", "/v1/fine_tuning/jobs/{id}")
def one(call: Call) -> Any:
    return now(call, call.thing("job", call.params["id"]), detailed=True)


@SERVICE.route("POST", "/v1/fine_tuning/jobs/{id}/start")
def start(call: Call) -> Any:
    job = call.thing("job", call.params["id"])
    if job["auto_start"] or job["_timeline"].state(call.world) != "VALIDATED":
        raise Problem(409, "Only a validated job can be started")
    job["auto_start"] = True
    call.made("start", job["id"], job["suffix"] or "")
    job["_timeline"] = Timeline(TRAINS, "SUCCESS", call.world.now())
    return now(call, job, detailed=True)


@SERVICE.route("POST", "/v1/fine_tuning/jobs/{id}/cancel")
def cancel(call: Call) -> Any:
    job = call.thing("job", call.params["id"])
    job["_timeline"].stop(call.world, "CANCELLED")
    return now(call, job, detailed=True)


@SERVICE.route("GET", "/v1/models")
def models(call: Call) -> Any:
    for job in list(call.things("job").values()):
        now(call, job)
    base = [
        {"id": name, "object": "model", "owned_by": "mistralai", "type": "base", "capabilities": CAPABLE,
         "max_context_length": 32_768, "name": name, "aliases": [], "deprecation": None}
        for name in BASES
    ]  # fmt: skip
    tuned = [
        {"id": each["id"], "object": "model", "owned_by": "lab", "type": "fine-tuned", "capabilities": CAPABLE,
         "max_context_length": 32_768, "root": each["_base"], "job": each["_job"], "archived": False, "aliases": []}
        for each in call.things("model").values()
    ]  # fmt: skip
    return {"object": "list", "data": base + tuned}


def find_model(call: Call, name: str) -> dict[str, Any]:
    """A tuned model, or a base model."""
    for job in list(call.things("job").values()):
        now(call, job)
    if name in BASES:
        return {"id": name, "_pupil": Pupil()}
    return call.thing("model", name)


@SERVICE.route("POST", "/v1/chat/completions", body=sdk.ChatCompletionRequest, paced=True)
def chat(call: Call) -> Any:
    made = completion(call, call.json, find_model, top=0)
    call.charge(made["usage"]["total_tokens"] * 0.2e-6)
    return made


@SERVICE.route("POST", "/v1/batch/jobs", body=sdk.CreateBatchJobRequest)
def create_batch(call: Call) -> Any:
    asked = call.json
    find_model(call, asked["model"])
    id = str(uuid.uuid5(uuid.NAMESPACE_URL, call.world.new_id("batch-")))
    call.made("batch", id, (asked.get("metadata") or {}).get("tunebook", ""))
    batch = {
        "id": id,
        "object": "batch",
        "input_files": asked["input_files"],
        "endpoint": asked["endpoint"],
        "model": asked["model"],
        "metadata": asked.get("metadata"),
        "errors": [],
        "created_at": int(call.world.now()),
        "_timeline": Timeline([("QUEUED", 20.0), ("RUNNING", 100.0)], "SUCCESS", call.world.now()),
    }
    return batch_now(call, call.put("batch", id, batch))


def batch_now(call: Call, batch: dict[str, Any]) -> dict[str, Any]:
    """The batch as it stands; its output is made when it is first seen done."""
    state = batch["_timeline"].state(call.world)
    lines = [line for id in batch["input_files"] for line in call.thing("file", id)["_content"].splitlines()]
    if state == "SUCCESS" and "output_file" not in batch:
        rows = [_answered(call, json.loads(line), batch["model"]) for line in lines]
        body = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        batch["output_file"] = _keep(call, Part(body, "results.jsonl"), "batch", "mistral")["id"]
    done = len(lines) if state == "SUCCESS" else 0
    counts = {
        "total_requests": len(lines),
        "completed_requests": done,
        "succeeded_requests": done,
        "failed_requests": 0,
    }
    return {**public(batch), "status": state, **counts}


def _answered(call: Call, asked: dict[str, Any], model: str) -> dict[str, Any]:
    body = completion(call, {"model": model, **asked["body"]}, find_model, top=0)
    call.charge(body["usage"]["total_tokens"] * 0.1e-6)
    return {"custom_id": asked["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}


@SERVICE.route("GET", "/v1/batch/jobs", query=("page", "page_size", "model", "metadata", "status"))
def batches(call: Call) -> Any:
    found = call.listed("batch")
    return {
        "object": "list",
        "data": [batch_now(call, each) for each in _page(call, found)],
        "total": len(found),
    }


@SERVICE.route("GET", "/v1/batch/jobs/{id}")
def one_batch(call: Call) -> Any:
    return batch_now(call, call.thing("batch", call.params["id"]))


@SERVICE.route("POST", "/v1/batch/jobs/{id}/cancel")
def cancel_batch(call: Call) -> Any:
    batch = call.thing("batch", call.params["id"])
    batch["_timeline"].stop(call.world, "CANCELLED")
    return batch_now(call, batch)
