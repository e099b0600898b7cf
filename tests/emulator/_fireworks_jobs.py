"""Fireworks' jobs: supervised and preference training, and batches. The id of each is the client's."""

import json
import math
from collections.abc import Callable
from typing import Any

from fireworks.types import (
    batch_inference_job_create_params,
    dpo_job_create_params,
    supervised_fine_tuning_job_create_params,
)

from tests.emulator._answers import file_tokens, pupil_of
from tests.emulator._camel import camel_schema
from tests.emulator._fireworks_names import LISTING, iso, page, resource
from tests.emulator._preferences import flaw_for_method
from tests.emulator._service import Call, Problem, Service, public
from tests.emulator._world import Timeline

SFT, DPO, BATCHES = "supervisedFineTuningJobs", "dpoJobs", "batchInferenceJobs"
KINDS = (SFT, DPO)
# Dollars for a million tokens of models of up to 16 billion parameters.
DOLLARS = {SFT: 0.5, DPO: 1.0}
STAGES = [("CREATING", 5.0), ("VALIDATING", 10.0), ("PENDING", 15.0), ("RUNNING", 240.0)]
STAGES += [("WRITING_RESULTS", 10.0)]
CANCEL_SECONDS = 10.0
EMPTY = {"type": "object", "maxProperties": 0}
SFT_BODY = camel_schema(
    supervised_fine_tuning_job_create_params.SupervisedFineTuningJobCreateParams,
    ("account_id", "supervised_fine_tuning_job_id"),
)
DPO_BODY = camel_schema(dpo_job_create_params.DpoJobCreateParams, ("account_id", "dpo_job_id"))
BATCH_BODY = camel_schema(
    batch_inference_job_create_params.BatchInferenceJobCreateParams, ("account_id", "batch_inference_job_id")
)
Complete = Callable[[Call, dict[str, Any]], dict[str, Any]]


def add_jobs(service: Service, base: str) -> None:
    """Routes of both kinds of training."""

    @service.route("POST", f"{base}/{SFT}:estimateCost", body=SFT_BODY)
    def cost(call: Call) -> Any:
        return {"estimatedCost": money(dollars(call, SFT, call.json))}

    @service.route("GET", f"{base}/{DPO}/{{id}}:getMetricsFileEndpoint")
    def metrics(call: Call) -> Any:
        job = call.thing(DPO, resource(call, DPO))
        return {"signedUrl": call.world.put_blob(metrics_of(call, job))}

    _add_kind(service, f"{base}/{SFT}", SFT, SFT_BODY, "supervisedFineTuningJobId")
    _add_kind(service, f"{base}/{DPO}", DPO, DPO_BODY, "dpoJobId")


def _add_kind(service: Service, base: str, kind: str, body: dict[str, Any], own_id: str) -> None:
    @service.route("POST", base, body=body, query=(own_id,))
    def create(call: Call) -> Any:
        return job_now(call, _create(call, kind, call.query.get(own_id) or call.world.new_id("job-")))

    @service.route("GET", base, query=LISTING)
    def listed(call: Call) -> Any:
        return page(call, kind, [job_now(call, each) for each in call.listed(kind)])

    @service.route("POST", f"{base}/{{id}}:cancel", body=EMPTY)
    def cancel(call: Call) -> Any:
        job = call.thing(kind, resource(call, kind))
        if job["_timeline"].ended(call.world) or "_cancelled_at" in job:
            raise Problem(400, "the job has ended already")
        job["_cancelled_at"] = call.world.now()
        return {}

    @service.route("GET", f"{base}/{{id}}", query=("readMask",))
    def one(call: Call) -> Any:
        return job_now(call, call.thing(kind, resource(call, kind)))


def config_of(job: dict[str, Any]) -> dict[str, Any]:
    """The values, which lie one level deeper for preference training."""
    return job.get("trainingConfig", job)


def content_of(call: Call, name: str) -> bytes:
    """All rows of a dataset that is ready."""
    dataset = call.thing("dataset", name)
    if "_timeline" not in dataset or dataset["_timeline"].state(call.world) != "READY":
        raise Problem(400, f"dataset {name} is not ready")
    return b"\n".join(dataset["_files"].values())


def dollars(call: Call, kind: str, asked: dict[str, Any]) -> float:
    """What a training costs."""
    tokens = file_tokens(content_of(call, asked["dataset"])) * config_of(asked).get("epochs", 1)
    return DOLLARS[kind] * tokens / 1e6


def money(amount: float) -> dict[str, Any]:
    """An amount as Google writes it."""
    nanos = round(amount * 1e9)
    return {"currencyCode": "USD", "units": str(nanos // 10**9), "nanos": nanos % 10**9}


def _create(call: Call, kind: str, id: str) -> dict[str, Any]:
    name = f"accounts/{call.params['account']}/{kind}/{id}"
    if name in call.things(kind):
        raise Problem(409, f"{kind} {id} already exists")
    config = config_of(call.json)
    if not config.get("baseModel", "").startswith("accounts/fireworks/models/"):
        raise Problem(400, "base_model must be a model of the library")
    if config.get("loraRank", 8) not in (1, 2, 4, 8, 16, 32):
        raise Problem(400, "lora_rank must be a power of two of at most 32")
    if not config.get("outputModel", "accounts/").startswith("accounts/"):
        raise Problem(400, "output_model must be a full resource name")
    rows = [row for row in content_of(call, call.json["dataset"]).splitlines() if row.strip()]
    if len(rows) < 3:
        raise Problem(400, "the dataset must have at least 3 rows")
    flaw = flaw_for_method(b"\n".join(rows), kind == DPO)
    beta = ((call.json.get("lossConfig") or {}).get("dpo") or {}).get("beta", 0.1)
    if flaw or not 0 < beta < 0.5:
        raise Problem(400, flaw or "dpo.beta must be above 0 and below 0.5")
    call.made("job", name, id)
    steps = math.ceil(len(rows) / config.get("batchSizeSamples", 32)) * config.get("epochs", 1)
    job = {
        **call.json,
        "name": name,
        "createTime": iso(call.world.now()),
        "createdBy": "lab@example.org",
        "_kind": kind,
        "_steps": steps,
        "_dollars": dollars(call, kind, call.json),
        "_timeline": Timeline(STAGES, "COMPLETED", call.world.now()),
    }
    return call.put(kind, name, job)


def state_of(call: Call, job: dict[str, Any]) -> str:
    """The job's state without its prefix."""
    if "_cancelled_at" in job:
        passed = (call.world.now() - job["_cancelled_at"]) * call.world.speed
        return "CANCELLING" if passed < CANCEL_SECONDS else "CANCELLED"
    return "FAILED" if job.get("_flaw") else job["_timeline"].state(call.world)


def job_now(call: Call, job: dict[str, Any]) -> dict[str, Any]:
    """The job as it stands; its model appears at the first look after its end."""
    state, world = state_of(call, job), call.world
    if state == "COMPLETED" and "_finished" not in job:
        _finish(call, job)
    share = job["_timeline"].progress(world, "RUNNING")
    wrong = {"code": "INTERNAL", "message": job.get("_flaw")} if state == "FAILED" else {"code": "OK"}
    found = {
        **public(job),
        "state": f"JOB_STATE_{state}",
        "status": {"message": "", **wrong},
        "trainerLogsSignedUrl": world.put_blob(f"started\nreached {share:.0%}".encode()),
    }
    if job["_kind"] == SFT:
        running = state not in ("CREATING", "VALIDATING", "PENDING")
        url = world.put_blob(metrics_of(call, job)) if running else f"{world.base}/_files/not-yet"
        progress = {"percent": int(100 * share), "epoch": 0}
        found |= {
            "metricsFileSignedUrl": url,
            "jobProgress": progress,
            "estimatedCost": money(job["_dollars"]),
        }
    if state == "COMPLETED":
        found["renderSamplesSignedUrl"] = world.put_blob(b'{"decoded_tokens": ["a"]}\n')
    return found


def _finish(call: Call, job: dict[str, Any]) -> None:
    job["_finished"], config = True, config_of(job)
    account = job["name"].split("/")[1]
    name = config.setdefault("outputModel", f"accounts/{account}/models/{job['name'].rpartition('/')[2]}")
    details = {
        "baseModel": config["baseModel"],
        "r": config.get("loraRank", 8),
        "targetModules": ["q_proj", "k_proj", "v_proj", "o_proj"],
    }
    made = {"name": name, "kind": "HF_PEFT_ADDON", "state": "READY", "fineTuningJob": job["name"]}
    pupil = pupil_of([content_of(call, job["dataset"])])
    call.put("model", name, {**made, "peftDetails": details, "_pupil": pupil})
    call.charge(job["_dollars"])


def metrics_of(call: Call, job: dict[str, Any]) -> bytes:
    """The file of metrics: one object a step."""
    steps, lines = job["_steps"], []
    for step in range(1, math.floor(job["_timeline"].progress(call.world, "RUNNING") * steps) + 1):
        loss = 2.0 * math.exp(-3 * step / steps) + 0.1
        data = {"train/loss": loss, "train/learning_rate": 1e-4, "train/grad_norm": 1.0}
        if job.get("evaluationDataset") and step == steps:
            data["eval/loss"] = loss * 1.1
        lines.append(json.dumps({"step": step, "timestamp": iso(call.world.now()), "data": data}))
    return "\n".join([*lines, '{"step": 1']).encode()


def add_batches(service: Service, base: str, complete: Complete) -> None:
    """Routes of batches; `complete(call, asked)` answers one question."""

    @service.route("POST", f"{base}/{BATCHES}", body=BATCH_BODY, query=("batchInferenceJobId",))
    def create(call: Call) -> Any:
        id = call.query.get("batchInferenceJobId") or call.world.new_id("batch-")
        name = f"accounts/{call.params['account']}/{BATCHES}/{id}"
        if name in call.things(BATCHES):
            raise Problem(409, f"{BATCHES} {id} already exists")
        content_of(call, call.json["inputDatasetId"])
        call.made("batch", name, id)
        stages = [("VALIDATING", 10.0), ("PENDING", 20.0), ("CREATING", 5.0), ("RUNNING", 100.0)]
        line = Timeline(stages, "COMPLETED", call.world.now())
        made = {**call.json, "name": name, "createTime": iso(call.world.now()), "_timeline": line}
        return batch_now(call, call.put(BATCHES, name, made), complete)

    @service.route("GET", f"{base}/{BATCHES}", query=LISTING)
    def listed(call: Call) -> Any:
        return page(call, BATCHES, [batch_now(call, each, complete) for each in call.listed(BATCHES)])

    @service.route("GET", f"{base}/{BATCHES}/{{id}}", query=("readMask",))
    def one(call: Call) -> Any:
        return batch_now(call, call.thing(BATCHES, resource(call, BATCHES)), complete)

    @service.route("DELETE", f"{base}/{BATCHES}/{{id}}")
    def delete(call: Call) -> Any:
        del call.things(BATCHES)[call.thing(BATCHES, resource(call, BATCHES))["name"]]
        return {}


def batch_now(call: Call, batch: dict[str, Any], complete: Complete) -> dict[str, Any]:
    """The batch as it stands; a model that answers no batches leaves it pending for ever."""
    lines = content_of(call, batch["inputDatasetId"]).splitlines()
    state, status = batch["_timeline"].state(call.world), {"code": "OK", "message": ""}
    if state == "COMPLETED" and "_good" not in batch:
        _answer(call, batch, lines, complete)
    if batch.get("_flaw"):
        state, status = "FAILED", {"code": "INVALID_ARGUMENT", "message": batch["_flaw"]}
    elif state == "COMPLETED" and not batch["_good"] and batch["_bad"]:
        state = "PENDING"
    done = batch.get("_good", 0) + batch.get("_bad", 0) if state == "COMPLETED" else 0
    progress = {"totalInputRequests": len(lines), "totalProcessedRequests": done, "percent": 0}
    return {**public(batch), "state": f"JOB_STATE_{state}", "status": status, "jobProgress": progress}


def _answer(call: Call, batch: dict[str, Any], lines: list[bytes], complete: Complete) -> None:
    good, bad = [], []
    for number, line in enumerate(lines, 1):
        asked = json.loads(line)
        key, body = asked["custom_id"], asked.get("body") or {}
        if not body.get("messages"):
            # One bad row fails the whole batch.
            batch["_flaw"], batch["_good"], batch["_bad"] = f"syntax error on line {number}", 0, 0
            return
        try:
            good.append({"custom_id": key, "response": complete(call, {**body, "model": batch["model"]})})
        except Problem as problem:
            bad.append({"custom_id": key, "error": {"message": problem.message, "code": problem.status}})
    batch["_good"], batch["_bad"] = len(good), len(bad)
    files = {
        name: b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        for name, rows in (("BIJOutputSet.jsonl", list(reversed(good))), ("error-data", bad))
    }
    output = batch["outputDatasetId"]
    call.put("dataset", output, {"name": output, "_files": files, "_timeline": Timeline([], "READY", 0.0)})
