"""The OpenAI shape of files, lists and fine-tuning jobs, for the services that speak it (openai, azure).

The launch key travels in the job's metadata and, for a person who looks at the service, in the suffix of its model.
"""

import base64
import binascii
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app import errors
from app.providers._shapes import Page, Phase, Point, RemoteFile, RemoteJob, TuningJob
from app.service_http import Api
from app.service_json import mapping, moment, number, rows, text, whole

KEY = "tunebook"
JOBS = "fine_tuning/jobs"
PAGE = 100
# Jobs, events, checkpoints and batches are listed page by page, so many pages at most.
MOST_PAGES = 200
UPLOAD_SECONDS = 600.0
PHASES = {
    "validating_files": Phase.WAITING,
    "queued": Phase.WAITING,
    "pending": Phase.WAITING,
    "running": Phase.RUNNING,
    "paused": Phase.WAITING,
    "succeeded": Phase.DONE,
    "failed": Phase.FAILED,
    "cancelled": Phase.CANCELLED,
}
# The service's names of the hyperparameters that we set.
NAMES = {
    "epochs": "n_epochs",
    "batch_size": "batch_size",
    "learning_rate_multiplier": "learning_rate_multiplier",
}
METHODS = {"supervised": "sft", "dpo": "dpo"}


def list_all(api: Api, path: str, query: Mapping[str, str] | None = None) -> Iterator[Mapping[str, Any]]:
    """Every object of a list, page by page."""
    after: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        raw = api.get(path, params={"limit": str(PAGE), **(query or {}), **after})
        page = rows(raw, "data")
        yield from page
        last = text(page[-1], "id") if page else ""
        if not last or raw.get("has_more") is not True or after == {"after": last}:
            return
        after = {"after": last}


def send_file(api: Api, path: Path, purpose: str) -> RemoteFile:
    """Uploads a file. Sending it again makes a second copy, which costs nothing."""
    with path.open("rb") as file:
        form = {"file": (path.name, file, "application/jsonl")}
        raw = api.post("files", data={"purpose": purpose}, files=form, seconds=UPLOAD_SECONDS)
    return file_of(api, raw)


def upload(api: Api, path: Path, part: str, job: TuningJob) -> RemoteFile:
    """Sends one part of the training data."""
    return send_file(api, path, "fine-tune")


def look_at_file(api: Api, id: str) -> RemoteFile:
    """Asks for a file's state."""
    return file_of(api, api.get(f"files/{id}"))


def file_of(api: Api, raw: Any) -> RemoteFile:
    """A file object. OpenAI calls its status out of date and always says "processed"; Azure means it."""
    if not text(mapping(raw), "id"):
        raise api.unclear("sent no file id")
    status = text(raw, "status")
    wrong = text(raw, "status_details") or "the service found the file unusable"
    return RemoteFile(
        text(raw, "id"),
        ready=status not in ("pending", "running", "not_started"),
        error=wrong if status in ("error", "failed") else "",
        raw=raw,
    )


def job_body(job: TuningJob, files: Mapping[str, str]) -> dict[str, Any]:
    """The create call. Every hyperparameter is sent; none is left to "auto"."""
    values = {NAMES[name]: job.hyperparameters[name] for name in NAMES}
    kind = "supervised"
    if job.method == "dpo":
        kind, values = "dpo", {**values, "beta": job.hyperparameters["dpo_beta"]}
    body: dict[str, Any] = {
        "model": job.model,
        "training_file": files["train"],
        "method": {"type": kind, kind: {"hyperparameters": values}},
        "seed": job.seed,
        "suffix": job.launch_key,
        "metadata": {KEY: job.launch_key},
    }
    if "validation" in files:
        body["validation_file"] = files["validation"]
    return body


def submit(api: Api, job: TuningJob, files: Mapping[str, str]) -> RemoteJob:
    """The one create call."""
    return job_of(api, api.post(JOBS, json=job_body(job, files)))


def find(api: Api, launch_key: str) -> list[RemoteJob]:
    """Every job with this launch key: by the filter on metadata, and, should that find none, by reading the list."""
    filtered = jobs_with(api, launch_key, {f"metadata[{KEY}]": launch_key})
    return filtered or jobs_with(api, launch_key, {})


def jobs_with(api: Api, launch_key: str, query: Mapping[str, str]) -> list[RemoteJob]:
    """The jobs of a list that carry the key."""
    return [job for raw in list_all(api, JOBS, query) if (job := job_of(api, raw)).launch_key == launch_key]


def list_jobs(api: Api) -> Iterator[RemoteJob]:
    """Every job of the account, whoever made it."""
    return (job_of(api, raw) for raw in list_all(api, JOBS))


def poll(api: Api, id: str) -> RemoteJob:
    """The job as it stands. Raises errors.Unclear for an answer about another one."""
    return api.about(job_of(api, api.get(f"{JOBS}/{id}")), id)


def cancel(api: Api, id: str) -> None:
    """Asks the service to stop it; poll() says when it has."""
    api.post(f"{JOBS}/{id}/cancel")


def job_of(api: Api, raw: Any) -> RemoteJob:
    """A fine_tuning.job as a RemoteJob. Raises errors.Unclear where it has no id."""
    if not text(mapping(raw), "id"):
        raise api.unclear("sent no job id")
    state = text(raw, "status")
    finish = moment(raw, "estimated_finish")
    phase = PHASES.get(state, Phase.STRANGE)
    return RemoteJob(
        id=text(raw, "id"),
        state=state,
        phase=phase,
        launch_key=text(mapping(raw, "metadata"), KEY),
        model=text(raw, "fine_tuned_model"),
        message=text(mapping(raw, "error"), "message"),
        resolved=resolved(raw),
        seconds_left=max(finish - time.time(), 0.0) if finish and phase == Phase.RUNNING else None,
        trained_tokens=whole(raw, "trained_tokens"),
        created_at=moment(raw, "created_at"),
        raw=raw,
    )


def resolved(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that the job says it uses; "auto" is no value yet."""
    method = mapping(raw, "method")
    said = {
        **mapping(raw, "hyperparameters"),
        **mapping(method, text(method, "type"), "hyperparameters"),
    }
    found: dict[str, Any] = {
        ours: said[theirs]
        for ours, theirs in {**NAMES, "dpo_beta": "beta"}.items()
        if isinstance(said.get(theirs), int | float)
    }
    if text(method, "type") in METHODS:
        found["objective"] = METHODS[text(method, "type")]
    seed = whole(raw, "seed")
    return {**found, **({"seed": seed} if seed is not None else {})}


def events(api: Api, job: RemoteJob, cursor: str) -> tuple[str, list[Mapping[str, Any]]]:
    """(the new cursor, the events since the old one, oldest first). The list is newest first; the cursor is the id of
    the newest event that was read."""
    found: list[Mapping[str, Any]] = []
    for raw in list_all(api, f"{JOBS}/{job.id}/events"):
        if text(raw, "id") == cursor:
            break
        found.append(raw)
    found.reverse()
    return (text(found[-1], "id") if found else cursor), found


def logs(api: Api, job: RemoteJob, cursor: str) -> Page:
    """What the service said in words since the cursor."""
    newest, found = events(api, job, cursor)
    said = [each for each in found if text(each, "type") != "metrics"]
    return Page(newest, lines=[f"{_clock(each)} {text(each, 'message')}" for each in said])


def metrics(api: Api, job: RemoteJob, cursor: str) -> Page:
    """The points of the loss curves since the cursor."""
    newest, found = events(api, job, cursor)
    points = []
    for each in found:
        data = mapping(each, "data")
        step = whole(data, "step")
        for curve, names in CURVES.items():
            value = next((read for name in names if (read := number(data, name)) is not None), None)
            if step is not None and value is not None:
                points.append(Point(curve, step, value))
    return Page(newest, points=points)


CURVES = {"loss": ("train_loss",), "validation_loss": ("valid_loss", "full_valid_loss")}


def _clock(event: Mapping[str, Any]) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(moment(event, "created_at") or 0))
    except (OverflowError, ValueError, OSError):
        return "?"


def fetch_records(api: Api, job: RemoteJob, folder: Path) -> Sequence[Path]:
    """The checkpoints' names and metrics, and the CSV of step metrics, which some answers give in base64."""
    written = [keep(folder, "checkpoints.json", json.dumps(checkpoints(api, job), indent=2).encode())]
    names = job.raw.get("result_files")
    for place, id in enumerate(names if isinstance(names, list) else []):
        content = api.send("GET", f"files/{id}/content", seconds=120.0).content
        written.append(keep(folder, f"result-{place + 1}.csv", plain_csv(content)))
    return written


def checkpoints(api: Api, job: RemoteJob) -> list[Mapping[str, Any]]:
    """The models that the service kept of earlier epochs, each of which can be asked by its own name."""
    return list(list_all(api, f"{JOBS}/{job.id}/checkpoints"))


def plain_csv(content: bytes) -> bytes:
    """The CSV, decoded where it came in base64."""
    try:
        return base64.b64decode(content, validate=True) if b"," not in content else content
    except binascii.Error:
        return content


def keep(folder: Path, name: str, content: bytes) -> Path:
    """Writes a whole file or none."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{name}.part"
    fresh.write_bytes(content)
    return fresh.replace(folder / name)


def too_large(path: Path, label: str, least_rows: int, most_bytes: int, part: str) -> None:
    """Raises errors.Refused for a file that the service would not take, before it is sent."""
    size = path.stat().st_size
    if size > most_bytes:
        raise errors.Refused(
            f"The {part} file has {size / 2**20:.0f} MB; {label} takes at most {most_bytes / 2**20:.0f} MB.",
            "Choose a smaller split.",
        )
    with path.open("rb") as file:
        count = sum(1 for line in file if line.strip())
    if part == "train" and count < least_rows:
        raise errors.Refused(
            f"The training file has {count} rows; {label} wants at least {least_rows}.",
            "Choose a larger split.",
        )
