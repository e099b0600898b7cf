"""Together's fine-tuning: limits, price, jobs in their two shapes, events, metrics, checkpoints, weights."""

import math
from typing import Any

from together.lib.types.fine_tuning import FinetuneRequest
from together.types import FinetuneResponse, fine_tuning_estimate_price_params
from together.types.fine_tuning_list_response import Data

from tests.emulator._answers import file_tokens, pupil_of
from tests.emulator._archive import archive
from tests.emulator._preferences import flaw_for_method
from tests.emulator._service import Answer, Call, Problem, Service, public
from tests.emulator._together_course import events_of, iso, metrics_of, state_of
from tests.emulator._world import Timeline

# (SFT, DPO) dollars for a million tokens.
MODELS = {
    "Qwen/Qwen3.5-9B": (0.34, 0.84),
    "openai/gpt-oss-20b": (0.40, 1.00),
    "google/gemma-3-27b-it": (1.05, 2.62),
}
# This one is trained, but nothing serves it.
UNSERVED = "google/gemma-3-27b-it"
STAGES = [("pending", 10.0), ("queued", 20.0), ("running", 240.0), ("compressing", 10.0), ("uploading", 10.0)]
# The fields of a job at its own address, and in all other answers: seed and suffix stand in the latter alone.
OWN_FIELDS, LISTED_FIELDS = (
    {field.alias or name for name, field in kind.model_fields.items()} for kind in (FinetuneResponse, Data)
)
ESTIMATE = fine_tuning_estimate_price_params.FineTuningEstimatePriceParams


def limits_of(model: str) -> dict[str, Any]:
    """The bounds of one model."""
    return {
        "model_name": model,
        "max_num_epochs": 20,
        "max_num_evals": 100,
        "max_num_checkpoints": 10,
        "min_learning_rate": 1e-8,
        "max_learning_rate": 0.1,
        "min_max_seq_length": 128,
        "max_seq_length_sft": 32768,
        "max_seq_length_dpo": 16384,
        "default_gradient_accumulation_steps": 1,
        "merge_output_lora": True,
        "supports_full_training": False,
        "supports_reasoning": False,
        "supports_tools": True,
        "supports_vision": False,
        "lora_training": {
            "default_rank": 64,
            "max_rank": 64,
            "min_batch_size": 8,
            "max_batch_size": 32,
            "max_batch_size_dpo": 16,
            "target_modules": ["k_proj", "o_proj", "q_proj", "v_proj"],
        },
    }


def add_jobs(service: Service) -> None:
    """All routes of /fine-tunes and /finetune."""
    base = "/v1/fine-tunes"
    _add_choices(service, base)
    _add_course(service, f"{base}/{{id}}")

    @service.route("POST", base, body=FinetuneRequest)
    def create(call: Call) -> Any:
        made = truncated(call, _create(call))
        # The SDK reads this answer by another type than all the rest: events in capitals, one more name.
        return {**made, "events": None, "adapter_output_name": None}

    @service.route("GET", base)
    def listed(call: Call) -> Any:
        return {"data": [truncated(call, each) for each in call.listed("job")]}

    @service.route("GET", f"{base}/{{id}}")
    def one(call: Call) -> Any:
        job = call.thing("job", call.params["id"])
        return {name: value for name, value in job_now(call, job).items() if name in OWN_FIELDS}

    @service.route("POST", f"{base}/{{id}}/cancel")
    def cancel(call: Call) -> Any:
        job = call.thing("job", call.params["id"])
        if state_of(call, job) in ("completed", "error", "cancelled", "cancel_requested"):
            raise Problem(400, f"Job {job['id']} cannot be cancelled in its state")
        job["_cancelled_at"] = call.world.now()
        return truncated(call, job)


def _add_choices(service: Service, base: str) -> None:
    @service.route("GET", f"{base}/models/supported")
    def supported(call: Call) -> Any:
        return {"models": list(MODELS)}

    @service.route("GET", f"{base}/models/limits", query=("model_name",))
    def limits(call: Call) -> Any:
        if call.query["model_name"] not in MODELS:
            raise Problem(404, f"Model {call.query['model_name']} is not supported for fine-tuning")
        return limits_of(call.query["model_name"])

    @service.route("POST", f"{base}/estimate-price", body=ESTIMATE)
    def price(call: Call) -> Any:
        file = call.thing("file", call.json["training_file"])
        if file["_timeline"].state(call.world) != "COMPLETED":
            return {"estimation_available": False, "unavailable_reason": "train_file_not_validated"}
        trained, validated = tokens_of(call, call.json)
        return {
            "estimation_available": True,
            "allowed_to_proceed": True,
            "estimated_total_price": dollars(call.json, trained + validated),
            "estimated_train_token_count": trained,
            "estimated_eval_token_count": validated,
            "user_limit": 100.0,
        }


def _add_course(service: Service, base: str) -> None:
    @service.route("GET", f"{base}/events")
    def events(call: Call) -> Any:
        return {"data": events_of(call, call.thing("job", call.params["id"]))}

    metric_query = ("global_step_from", "global_step_to", "logged_at_from", "logged_at_to", "resolution")

    @service.route("GET", f"{base}/metrics", query=metric_query)
    def metrics(call: Call) -> Any:
        return {"metrics": metrics_of(call, call.thing("job", call.params["id"]))}

    @service.route("GET", f"{base}/checkpoints")
    def checkpoints(call: Call) -> Any:
        job = call.thing("job", call.params["id"])
        done = state_of(call, job) == "completed"
        made = {"created_at": iso(call.world.now()), "step": job["_steps"], "path": "s3://emulated"}
        kinds = {"adapter": "Final adapter", "model": "Final model (merged)"}
        found = [{**made, "checkpoint_type": text, "checkpoint": kind} for kind, text in kinds.items()]
        return {"data": found if done else []}

    @service.route("GET", "/v1/finetune/download", query=("ft_id", "checkpoint", "checkpoint_step"))
    def download(call: Call) -> Any:
        job = call.thing("job", call.query["ft_id"])
        if state_of(call, job) != "completed" or call.query["checkpoint"] in job.get("_lacks", ()):
            raise Problem(404, "There is no such checkpoint")
        url = call.world.put_blob(archive(call.query["checkpoint"] == "adapter"))
        return Answer({}, 302, {"location": url})


def tokens_of(call: Call, asked: dict[str, Any]) -> tuple[int, int]:
    """(trained, validated) tokens."""

    def count(name: str) -> int:
        file = asked.get(name)
        return file_tokens(call.thing("file", file)["_content"]) if file else 0

    return count("training_file") * asked.get("n_epochs", 1), count("validation_file") * asked.get(
        "n_evals", 0
    )


def dollars(asked: dict[str, Any], tokens: int) -> float:
    """The bill: by the token, at least $4."""
    dpo = (asked.get("training_method") or {}).get("method") == "dpo"
    return max(MODELS[asked["model"]][dpo] * tokens / 1e6, 4.0)


def _create(call: Call) -> dict[str, Any]:
    asked, world = call.json, call.world
    if asked["model"] not in MODELS:
        raise Problem(400, f"Model {asked['model']} is not supported for fine-tuning")
    if len(asked.get("suffix") or "") > 40:
        raise Problem(400, "suffix must have at most 40 characters")
    lora = limits_of(asked["model"])["lora_training"]
    dpo = (asked.get("training_method") or {}).get("method") == "dpo"
    most = lora["max_batch_size_dpo" if dpo else "max_batch_size"]
    if asked.get("batch_size") not in (None, "max") and not 8 <= asked["batch_size"] <= most:
        raise Problem(400, f"batch_size must lie between 8 and {most}")
    for name in ("training_file", "validation_file"):
        file = call.thing("file", asked[name]) if asked.get(name) else None
        if file and file["purpose"] != "fine-tune":
            raise Problem(400, f"{name} must have the purpose fine-tune")
        flaw = flaw_for_method(file["_content"], dpo) if file else ""
        if flaw:
            raise Problem(400, f"{name}: {flaw}")
    batch = lora["max_batch_size"] if asked.get("batch_size") in (None, "max") else asked["batch_size"]
    lines = call.thing("file", asked["training_file"])["_content"].splitlines()
    id = f"ft-{world.new_id()}"
    call.made("job", id, asked.get("suffix") or "")
    job = {
        **asked,
        "id": id,
        "batch_size": batch,
        "user_id": "user-emulated",
        "owner_address": "0xemulated",
        "created_at": iso(world.now()),
        "random_seed": asked.get("random_seed", 42),
        "lr_scheduler": _schedule(asked.get("lr_scheduler") or {"lr_scheduler_type": "cosine"}),
        "model_output_name": f"emulated/{asked['model'].partition('/')[2]}-{asked.get('suffix') or 'ft'}-{id[3:9]}",
        "_steps": math.ceil(len(lines) / batch) * asked["n_epochs"],
        "_tokens": sum(tokens_of(call, asked)),
        "_timeline": Timeline(STAGES, "completed", world.now()),
    }
    return call.put("job", id, job)


def _schedule(asked: dict[str, Any]) -> dict[str, Any]:
    """With the arguments that the description says are taken where none are sent."""
    filled = {"min_lr_ratio": 0.0, "num_cycles": 0.5} | (asked.get("lr_scheduler_args") or {})
    if asked["lr_scheduler_type"] == "linear":
        del filled["num_cycles"]
    return {**asked, "lr_scheduler_args": filled}


def truncated(call: Call, job: dict[str, Any]) -> dict[str, Any]:
    """The job as create, list and cancel give it."""
    return {name: value for name, value in job_now(call, job).items() if name in LISTED_FIELDS}


def job_now(call: Call, job: dict[str, Any]) -> dict[str, Any]:
    """The job with all that is known of it."""
    state, world = state_of(call, job), call.world
    if state == "completed" and "model_object_id" not in job:
        _finish(call, job)
    left = (1 - job["_timeline"].progress(world, "running")) * 240 / max(world.speed, 1e-9)
    price = dollars(job, job["_tokens"]) if state not in ("pending", "queued") else 0
    return {
        **public(job),
        "status": state,
        "updated_at": iso(world.now()),
        "events": events_of(call, job),
        "token_count": job["_tokens"] if price else 0,
        # Billions of a dollar.
        "total_price": round(price * 1e9),
        "progress": {"estimate_available": state == "running", "seconds_remaining": int(left)},
    }


def _finish(call: Call, job: dict[str, Any]) -> None:
    job["model_object_id"], job["adapter_object_id"] = f"ml_{job['id'][3:]}", f"ml_{job['id'][3:]}a"
    pupil = pupil_of([call.thing("file", job["training_file"])["_content"]])
    model = {"id": job["model_object_id"], "name": job["model_output_name"], "_base": job["model"]}
    call.put("model", model["id"], {**model, "_pupil": pupil})
    call.charge(dollars(job, job["_tokens"]))
