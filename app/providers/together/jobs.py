"""Together's fine-tuning jobs: files, price, create, find again, progress. Used by this folder.

The launch key travels as the suffix of the model's name: the list takes no filter, so that it is read whole.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from app import errors
from app.providers._curves import points_after
from app.providers._openai import too_large
from app.providers._shapes import ENDED, Estimate, Page, Phase, RemoteFile, RemoteJob, TuningJob
from app.providers.together.fields import scheduler
from app.providers.together.hosts import listed
from app.providers.together.offers import EARLY_STOPPING, MINIMUM, estimate
from app.service_http import Api
from app.service_json import mapping, moment, number, rows, text, whole

JOBS = "fine-tunes"
UPLOAD_SECONDS = 600.0
MOST_BYTES = 50 * 2**30
# total_price is counted in these (finetune_price_to_dollars of the official SDK).
NANODOLLARS = 1_000_000_000
PHASES = {
    "pending": Phase.WAITING,
    "queued": Phase.WAITING,
    "running": Phase.RUNNING,
    "compressing": Phase.RUNNING,
    "uploading": Phase.RUNNING,
    "cancel_requested": Phase.RUNNING,
    "completed": Phase.DONE,
    "error": Phase.FAILED,
    "user_error": Phase.FAILED,
    "cancelled": Phase.CANCELLED,
}
# Where a job says what it uses: our name -> the path in its JSON.
SAID = {
    "epochs": ("n_epochs",),
    "learning_rate": ("learning_rate",),
    "batch_size": ("batch_size",),
    "warmup_ratio": ("warmup_ratio",),
    "weight_decay": ("weight_decay",),
    "max_grad_norm": ("max_grad_norm",),
    "max_seq_len": ("max_seq_length",),
    "packing": ("packing",),
    "evals": ("n_evals",),
    "checkpoints": ("n_checkpoints",),
    "gradient_accumulation": ("gradient_accumulation_steps",),
    "seed": ("random_seed",),
    "lora_r": ("training_type", "lora_r"),
    "lora_alpha": ("training_type", "lora_alpha"),
    "lora_dropout": ("training_type", "lora_dropout"),
    "lora_targets": ("training_type", "lora_trainable_modules"),
    "lr_schedule": ("lr_scheduler", "lr_scheduler_type"),
    "min_lr_ratio": ("lr_scheduler", "lr_scheduler_args", "min_lr_ratio"),
    "lr_cycles": ("lr_scheduler", "lr_scheduler_args", "num_cycles"),
    "train_on_inputs": ("training_method", "train_on_inputs"),
    "objective": ("training_method", "method"),
    "dpo_beta": ("training_method", "dpo_beta"),
}


def upload(api: Api, path: Path, part: str, job: TuningJob) -> RemoteFile:
    """Sends one part of the data; content that Together has already is used as it is."""
    too_large(path, api.access.label, 1, MOST_BYTES, part)
    return send_file(api, path, f"{job.launch_key}-{part}.jsonl", "fine-tune")


def send_file(api: Api, path: Path, name: str, purpose: str) -> RemoteFile:
    """Uploads a file under a name of ours."""
    form = {"file_name": name, "purpose": purpose, "file_type": "jsonl"}
    try:
        with path.open("rb") as file:
            raw = api.post(
                "files/upload",
                data=form,
                files={"file": (name, file, "application/jsonl")},
                seconds=UPLOAD_SECONDS,
            )
    except errors.AlreadyThere as there:
        known = text(mapping(_json(there.answer)), "file_id")
        if not known:
            raise
        return look_at_file(api, known)
    return file_of(api, raw)


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def look_at_file(api: Api, id: str) -> RemoteFile:
    """Whether Together has read the file through by now."""
    return file_of(api, api.get(f"files/{id}"))


def file_of(api: Api, raw: Any) -> RemoteFile:
    """A file object; one that carries no state of its reading is ready once it says that it is processed."""
    id, state = text(mapping(raw), "id"), text(mapping(raw), "processing_status")
    if not id:
        raise api.unclear("sent no file id")
    wrong = state in ("INVALID_FORMAT", "FAILED")
    said = text(mapping(raw, "validation_report"), "error") or f"it says {state} of it"
    ready = state == "COMPLETED" or (not state and raw.get("Processed") is not False)
    return RemoteFile(id, ready=ready, error=said if wrong else "", raw=raw)


def priced_fields(job: TuningJob, files: Mapping[str, str]) -> dict[str, Any]:
    """What the price depends on, in the words of both calls."""
    values = job.hyperparameters
    if job.method == "dpo":
        method = {"method": "dpo", "dpo_beta": values["dpo_beta"]}
    else:
        method = {"method": "sft", "train_on_inputs": values["train_on_inputs"]}
    fields = {
        "model": job.model,
        "training_file": files["train"],
        "n_epochs": values["epochs"],
        "n_evals": values["evals"],
        "training_method": method,
        "training_type": {
            "type": "Lora",
            "lora_r": values["lora_r"],
            "lora_alpha": values["lora_alpha"],
            "lora_dropout": values["lora_dropout"],
            "lora_trainable_modules": values["lora_targets"],
        },
    }
    return fields | ({"validation_file": files["validation"]} if "validation" in files else {})


def quote(api: Api, job: TuningJob, files: Mapping[str, str]) -> Estimate:
    """Together's own price. Raises errors.OutOfCredit where it says that the account may not go on."""
    raw = mapping(api.post(f"{JOBS}/estimate-price", json=priced_fields(job, files)))
    dollars = number(raw, "estimated_total_price")
    if raw.get("estimation_available") is False or dollars is None:
        reason = text(raw, "unavailable_reason") or "no reason given"
        ours = estimate(job)
        return Estimate(ours.microdollars, f"Together gave no price ({reason}); {ours.basis}")
    if raw.get("allowed_to_proceed") is False:
        limit = number(raw, "user_limit")
        raise errors.OutOfCredit(
            f"Together estimates ${dollars:.2f} and does not let the account spend it"
            + (f"; its limit is ${limit:.2f}." if limit is not None else "."),
            "Pay or raise the limit at Together, then let the run go on.",
        )
    tokens = whole(raw, "estimated_train_token_count") or 0
    basis = f"Together's own estimate: ${dollars:g} for {tokens:,} tokens; it bills at least ${MINIMUM:g}"
    return Estimate(math.ceil(max(dollars, MINIMUM) * 1e6), basis)


def job_body(job: TuningJob, files: Mapping[str, str]) -> dict[str, Any]:
    """The create call; no value is left to the service."""
    values = job.hyperparameters
    body = {
        **priced_fields(job, files),
        "learning_rate": values["learning_rate"],
        "batch_size": values["batch_size"],
        "warmup_ratio": values["warmup_ratio"],
        "lr_scheduler": scheduler(values),
        "weight_decay": values["weight_decay"],
        "max_grad_norm": values["max_grad_norm"],
        "max_seq_length": values["max_seq_len"],
        "packing": values["packing"],
        "n_checkpoints": values["checkpoints"],
        "random_seed": job.seed,
        "suffix": job.launch_key,
    }
    # Fields that the published description does not have: sent where the service's limits name them.
    if "gradient_accumulation" in values:
        body["gradient_accumulation_steps"] = values["gradient_accumulation"]
        body["early_stopping_enabled"] = values["early_stopping"]
        if values["early_stopping"]:
            body |= {f"early_stopping_{name}": value for name, value in EARLY_STOPPING.items()}
    return body


def submit(api: Api, job: TuningJob, files: Mapping[str, str]) -> RemoteJob:
    """The one create call."""
    return job_of(api, api.post(JOBS, json=job_body(job, files)))


def find(api: Api, launch_key: str) -> list[RemoteJob]:
    """Every job whose suffix is the launch key."""
    return [job for job in list_jobs(api) if job.launch_key == launch_key]


def list_jobs(api: Api) -> Iterator[RemoteJob]:
    """Every job of the account, whoever made it."""
    return (job_of(api, raw) for raw in listed(api, api.get(JOBS)) if text(raw, "id"))


def poll(api: Api, id: str) -> RemoteJob:
    """The job as it stands. The job's own address leaves out seed, suffix, packing and longest sequence, which its
    row in the list has: that row is read too, before the training and after it."""
    raw = mapping(api.get(f"{JOBS}/{id}"))
    job = api.about(job_of(api, raw), id)
    if job.phase not in (Phase.WAITING, *ENDED) or "random_seed" in raw:
        return job
    row = next((each for each in listed(api, api.get(JOBS)) if text(each, "id") == id), {})
    return job_of(api, {**row, **{name: value for name, value in raw.items() if value is not None}})


def cancel(api: Api, id: str) -> None:
    """Asks Together to stop it; steps that were made are paid."""
    api.post(f"{JOBS}/{id}/cancel")


def job_of(api: Api, raw: Any) -> RemoteJob:
    """A fine-tune object of any of its shapes as a RemoteJob. Raises errors.Unclear where it has no id."""
    if not text(mapping(raw), "id"):
        raise api.unclear("sent no job id")
    state, events = text(raw, "status"), rows(raw, "events")
    phase = PHASES.get(state, Phase.STRANGE)
    price, waits = whole(raw, "total_price"), mapping(raw, "progress")
    return RemoteJob(
        id=text(raw, "id"),
        state=state,
        phase=phase,
        launch_key=text(raw, "suffix"),
        # The name stands there from the start.
        model=text(raw, "model_output_name") if phase == Phase.DONE else "",
        message=_message(events) if phase == Phase.FAILED else "",
        resolved=resolved(raw),
        progress=_progress(events),
        seconds_left=number(waits, "seconds_remaining") if waits.get("estimate_available") is True else None,
        cost_microdollars=math.ceil(price / NANODOLLARS * 1e6) if price else None,
        trained_tokens=whole(raw, "token_count"),
        created_at=moment(raw, "created_at"),
        raw=raw,
    )


def resolved(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a job says it uses, by our names."""
    found = {ours: mapping(raw, *path[:-1]).get(path[-1]) for ours, path in SAID.items()}
    return {name: value for name, value in found.items() if value is not None and value != "max"}


def _message(events: list[Mapping[str, Any]]) -> str:
    """What the last error among the events says."""
    wrong = [text(each, "message") for each in events if text(each, "type") in ("job_error", "JOB_ERROR")]
    return wrong[-1] if wrong else ""


def _progress(events: list[Mapping[str, Any]]) -> float | None:
    steps = [(whole(each, "step"), whole(each, "total_steps")) for each in events]
    shares = [step / total for step, total in steps if step is not None and total]
    return min(max(shares), 1.0) if shares else None


def logs(api: Api, job: RemoteJob, cursor: str) -> Page:
    """The events since the cursor, which counts those that were read."""
    found = rows(api.get(f"{JOBS}/{job.id}/events"), "data")
    found.sort(key=lambda each: moment(each, "created_at") or 0.0)
    seen = int(cursor or 0)
    lines = [
        " ".join(filter(None, (text(each, "created_at"), text(each, "level"), text(each, "message"))))
        for each in found[seen:]
    ]
    return Page(str(seen + len(lines)), lines=lines)


def metrics(api: Api, job: RemoteJob, cursor: str) -> Page:
    """The points of the curves since the cursor; training and validation stand in rows of their own."""
    names = {
        "loss": ("train/loss",),
        "validation_loss": ("eval/loss",),
        "learning_rate": ("train/learning_rate",),
    }
    found = rows(api.get(f"{JOBS}/{job.id}/metrics"), "metrics")
    return points_after(cursor, found, names, ("train/global_step", "eval/global_step", "global_step"))
