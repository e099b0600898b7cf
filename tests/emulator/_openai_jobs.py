"""Fine-tuning jobs in the OpenAI shape: create, list with a filter on metadata, events, checkpoints, cancel, pause.

add_jobs(service, create body, rules) hangs the routes in. A job lives by its Timeline; what it makes at its end (the
model, the CSV of results, the bill) appears at the first look after it, also when that look is a question to the model.
"""

import base64
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.emulator._answers import file_tokens, pupil_of
from tests.emulator._openai import put_file
from tests.emulator._preferences import flaw_for_method
from tests.emulator._service import Call, Part, Problem, Service, page_after, public
from tests.emulator._world import Timeline

ENDED = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True)
class Rules:
    """What differs between services. `name_model(job)` gives the tuned model's name, `file_start` the bytes that a
    training file must begin with, `dollars` the price of a million tokens by base model."""

    models: tuple[str, ...]
    name_model: Callable[[dict[str, Any]], str]
    dollars: Callable[[str], float]
    file_start: bytes = b""
    least_rows: int = 10


def add_jobs(service: Service, body: Any, rules: Rules) -> None:
    """All routes of /fine_tuning/jobs."""
    base = f"{service.base_path}/fine_tuning/jobs"

    @service.route("POST", base, body=body)
    def create(call: Call) -> Any:
        return job_now(call, _create(call, rules), rules)

    @service.route("GET", base, query=("after", "limit", "metadata", "metadata[[]*]"))
    def listed(call: Call) -> Any:
        wanted = {name[9:-1]: value for name, value in call.query.items() if name.startswith("metadata[")}
        found = [
            job
            for job in call.listed("job")
            if all((job["metadata"] or {}).get(name) == value for name, value in wanted.items())
        ]
        page, more = page_after(found, call.query)
        return {
            "object": "list",
            "data": [job_now(call, each, rules) for each in page],
            "has_more": more,
        }

    @service.route("GET", f"{base}/{{id}}")
    def one(call: Call) -> Any:
        return job_now(call, call.thing("job", call.params["id"]), rules)

    @service.route("GET", f"{base}/{{id}}/events", query=("after", "limit"))
    def events(call: Call) -> Any:
        job = call.thing("job", call.params["id"])
        job_now(call, job, rules)
        page, more = page_after(list(reversed(events_of(call, job))), call.query)
        return {"object": "list", "data": page, "has_more": more}

    @service.route("GET", f"{base}/{{id}}/checkpoints", query=("after", "limit"))
    def checkpoints(call: Call) -> Any:
        job = call.thing("job", call.params["id"])
        job_now(call, job, rules)
        page, more = page_after(checkpoints_of(job), call.query, 10)
        ids = {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None}
        return {"object": "list", "data": page, "has_more": more, **ids}

    @service.route("POST", f"{base}/{{id}}/cancel")
    def cancel(call: Call) -> Any:
        job = call.thing("job", call.params["id"])
        if not job["_timeline"].stop(call.world, "cancelled"):
            raise Problem(400, f"Job {job['id']} has already completed and cannot be cancelled.")
        return job_now(call, job, rules)


def _create(call: Call, rules: Rules) -> dict[str, Any]:
    """Keeps a new job, or refuses it as the service would at once."""
    asked, world = call.json, call.world
    _check(call, asked, rules)
    values = _values(asked)
    content = call.thing("file", asked["training_file"])["_content"]
    lines = [line for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    if values.get("n_epochs") in (None, "auto"):
        values["n_epochs"] = 3
    if values.get("batch_size") in (None, "auto"):
        values["batch_size"] = max(1, round(len(lines) * 0.002))
    if values.get("learning_rate_multiplier") in (None, "auto"):
        values["learning_rate_multiplier"] = 1.8
    kind = (asked.get("method") or {}).get("type", "supervised")
    if kind == "dpo" and values.get("beta") in (None, "auto"):
        values["beta"] = 0.1
    flaw = _flaw(lines, content, rules) or flaw_for_method(content, kind == "dpo")
    stages = [("validating_files", 20.0), ("queued", 40.0), ("running", 240.0)]
    id = world.new_id("ftjob-")
    job = {
        "id": id,
        "object": "fine_tuning.job",
        "model": asked["model"],
        "created_at": int(world.now()),
        "organization_id": "org-emulated",
        "training_file": asked["training_file"],
        "validation_file": asked.get("validation_file"),
        "seed": asked["seed"] if asked.get("seed") is not None else 683058546,
        "user_provided_suffix": asked.get("suffix"),
        "metadata": asked.get("metadata"),
        "integrations": [],
        "result_files": [],
        "_kind": kind,
        "_resolved": values,
        "_steps": math.ceil(len(lines) / values["batch_size"]) * values["n_epochs"],
        "_tokens": file_tokens(content) * values["n_epochs"],
        "_flaw": flaw,
        "_timeline": Timeline(stages[:1] if flaw else stages, "failed" if flaw else "succeeded", world.now()),
    }
    call.made("job", id, (asked.get("metadata") or {}).get("tunebook", ""))
    return call.put("job", id, job)


def _check(call: Call, asked: dict[str, Any], rules: Rules) -> None:
    if asked["model"] not in rules.models and not asked["model"].startswith("ft:"):
        raise Problem(400, f"Model {asked['model']} is not available for fine-tuning", "model_not_available")
    for name in ("training_file", "validation_file"):
        file = call.thing("file", asked[name]) if asked.get(name) else None
        if file and file["purpose"] != "fine-tune":
            raise Problem(400, f"{name} must have the purpose 'fine-tune'", "invalid_file_purpose")
        if file and not file["_timeline"].ended(call.world):
            raise Problem(400, f"{name} is still being checked", "invalid_file_status")
    metadata = asked.get("metadata") or {}
    if len(metadata) > 16 or any(len(key) > 64 or len(value) > 512 for key, value in metadata.items()):
        raise Problem(400, "metadata: at most 16 pairs, keys of 64 and values of 512 characters")
    if asked.get("suffix") is not None and not 1 <= len(asked["suffix"]) <= 64:
        raise Problem(400, "suffix must have 1 to 64 characters")
    if not 0 <= (asked.get("seed") or 0) <= 2**31 - 1:
        raise Problem(400, "seed must be between 0 and 2147483647")
    values = _values(asked)
    for name, low, high in (("n_epochs", 1, 50), ("batch_size", 1, 256)):
        value = values.get(name, "auto")
        if value != "auto" and not low <= value <= high:
            raise Problem(400, f"{value} is not in the range {low} to {high} - '{name}'")
    beta = values.get("beta", "auto")
    if beta != "auto" and not 0 < beta <= 2:
        raise Problem(400, "beta must be above 0 and at most 2")
    multiplier = values.get("learning_rate_multiplier", "auto")
    if multiplier != "auto" and multiplier <= 0:
        raise Problem(400, "learning_rate_multiplier must be above 0")


def _values(asked: dict[str, Any]) -> dict[str, Any]:
    method = asked.get("method") or {}
    inner = (method.get(method.get("type", "supervised")) or {}).get("hyperparameters") or {}
    return {**(asked.get("hyperparameters") or {}), **inner}


def _flaw(lines: list[str], content: bytes, rules: Rules) -> str:
    """Why the training file would fail its validation; "" for a good one."""
    if rules.file_start and not content.startswith(rules.file_start):
        return "The training file is not UTF-8 with a byte order mark."
    if len(lines) < rules.least_rows:
        return (
            f"Training file has {len(lines)} example(s), but must have at least {rules.least_rows} examples"
        )
    for number, line in enumerate(lines, 1):
        row = json.loads(line)
        messages = row.get("messages") or (row.get("input") or {}).get("messages")
        strange = set(row) - {"messages", "tools", "parallel_tool_calls", "input", "preferred_output"}
        if not messages or strange - {"non_preferred_output"}:
            return f"Line {number}: expected messages, found {sorted(row)}"
        if "messages" in row and messages[-1].get("role") != "assistant":
            return f"Line {number}: the last message must be from the assistant"
    return ""


def job_now(call: Call, job: dict[str, Any], rules: Rules) -> dict[str, Any]:
    """The job as it stands."""
    world, timeline = call.world, job["_timeline"]
    state = timeline.state(world)
    if state == "succeeded" and "fine_tuned_model" not in job:
        _finish(call, job, rules)
    resolved = job["_resolved"] if state in ("running", *ENDED) else dict.fromkeys(job["_resolved"], "auto")
    left = (1 - timeline.progress(world, "running")) * 240 / max(world.speed, 1e-9)
    error = {"code": "invalid_training_file", "message": job["_flaw"], "param": "training_file"}
    return {
        **public(job),
        "status": state,
        "fine_tuned_model": job.get("fine_tuned_model"),
        "finished_at": int(world.now()) if state in ENDED else None,
        "estimated_finish": int(world.now() + left) if state == "running" else None,
        "trained_tokens": job["_tokens"] if state == "succeeded" else None,
        "error": error if state == "failed" else None,
        "hyperparameters": resolved,
        "method": {"type": job["_kind"], job["_kind"]: {"hyperparameters": resolved}},
    }


def _finish(call: Call, job: dict[str, Any], rules: Rules) -> None:
    job["fine_tuned_model"] = name = rules.name_model(job)
    pupil = pupil_of([call.thing("file", job["training_file"])["_content"]])
    made = {"created": int(call.world.now()), "_pupil": pupil, "_base": job["model"]}
    for each in (name, *(check["fine_tuned_model_checkpoint"] for check in checkpoints_of(job)[1:])):
        call.put("model", each, {"id": each, "object": "model", "owned_by": "org-emulated", **made})
    rows = [f"{step},{_loss(job, step):.5f},0.9,," for step in range(1, job["_steps"] + 1)]
    csv = "\n".join(["step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy", *rows])
    part = Part(base64.b64encode(csv.encode()), "step_metrics.csv")
    job["result_files"] = [put_file(call, part, "fine-tune-results")["id"]]
    call.charge(job["_tokens"] * rules.dollars(job["model"]) / 1e6)


def settle(call: Call, rules: Rules) -> None:
    """Lets every job that is over make its model, before a model is looked for."""
    for job in list(call.things("job").values()):
        job_now(call, job, rules)


def _loss(job: dict[str, Any], step: int) -> float:
    return 2.0 * math.exp(-3 * step / max(job["_steps"], 1)) + 0.1


def events_of(call: Call, job: dict[str, Any]) -> list[dict[str, Any]]:
    """All events so far, the oldest first; their ids stay the same from look to look."""
    timeline, world = job["_timeline"], call.world
    state = timeline.state(world)
    said: list[tuple[str, dict[str, Any] | None]] = [
        (f"Created fine-tuning job: {job['id']}", None),
        (f"Validating training file: {job['training_file']}", None),
    ]
    if state != "validating_files" and not job["_flaw"]:
        said += [("Files validated, moving job to queued state", None)]
    done = timeline.elapsed(world) if not timeline.stopped else 0.0
    if done > 60 and not job["_flaw"]:
        said.append(("Fine-tuning job started", None))
        last = math.floor(timeline.progress(world, "running") * job["_steps"])
        said += [
            (f"Step {step}/{job['_steps']}: training loss={_loss(job, step):.2f}", _metrics(job, step))
            for step in range(1, last + 1)
        ]
    if state in ENDED:
        words = {"succeeded": "The job has successfully completed", "cancelled": "Fine-tuning job cancelled"}
        said.append((words.get(state, job["_flaw"]), None))
    return [
        {
            "object": "fine_tuning.job.event",
            "id": f"ftevent-{job['id'][6:]}-{number}",
            "created_at": job["created_at"],
            "level": "error" if state == "failed" and number == len(said) else "info",
            "message": message,
            "type": "metrics" if data else "message",
            "data": data or {},
        }
        for number, (message, data) in enumerate(said, 1)
    ]


def _metrics(job: dict[str, Any], step: int) -> dict[str, Any]:
    loss = _loss(job, step)
    found = {"step": step, "train_loss": loss, "train_mean_token_accuracy": 1 / (1 + loss)}
    if job["validation_file"]:
        found |= {"valid_loss": loss * 1.1, "valid_mean_token_accuracy": 1 / (1.1 + loss)}
    return found


def checkpoints_of(job: dict[str, Any]) -> list[dict[str, Any]]:
    """The models of the last three epochs, the newest first; none before the job has succeeded."""
    if not job.get("fine_tuned_model"):
        return []
    epochs = job["_resolved"]["n_epochs"]
    each = job["_steps"] // epochs
    found = []
    for epoch in range(epochs, max(epochs - 3, 0), -1):
        step, name = epoch * each, job["fine_tuned_model"]
        name = name if epoch == epochs else f"{name}:ckpt-step-{step}"
        found.append(
            {
                "object": "fine_tuning.job.checkpoint",
                "id": f"ftckpt_{job['id'][6:]}_{step}",
                "created_at": job["created_at"],
                "fine_tuned_model_checkpoint": name,
                "fine_tuning_job_id": job["id"],
                "metrics": _metrics(job, step),
                "step_number": step,
            }
        )
    return found
