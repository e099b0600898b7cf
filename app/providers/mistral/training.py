"""Mistral's fine-tuning jobs, which its documentation calls no longer supported: what old accounts still have.

A job is created without starting, which costs nothing, and started by a second call.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app import errors
from app.hyperparameters import Hyperparameter
from app.providers._shapes import (
    Estimate,
    Example,
    Offer,
    Page,
    Phase,
    Point,
    RemoteFile,
    RemoteJob,
    TuningJob,
)
from app.service_http import Api
from app.service_json import mapping, moment, number, rows, text, whole

JOBS = "fine_tuning/jobs"
PAGE, MOST_PAGES = 100, 200
UPLOAD_SECONDS = 600.0
CHECK_SECONDS = 5.0
MOST_BYTES = 512 * 10**6
# A validation file may have 1 MB, and a twentieth of the training file.
MOST_VALIDATION_BYTES, VALIDATION_SHARE = 10**6, 0.05
PHASES = {
    "QUEUED": Phase.WAITING,
    "STARTED": Phase.WAITING,
    "VALIDATING": Phase.WAITING,
    "VALIDATED": Phase.WAITING,
    "RUNNING": Phase.RUNNING,
    "CANCELLATION_REQUESTED": Phase.RUNNING,
    "SUCCESS": Phase.DONE,
    "FAILED": Phase.FAILED,
    "FAILED_VALIDATION": Phase.FAILED,
    "CANCELLED": Phase.CANCELLED,
}
# Our names and theirs.
NAMES = {
    "epochs": "epochs",
    "learning_rate": "learning_rate",
    "weight_decay": "weight_decay",
    "warmup_ratio": "warmup_fraction",
    "max_seq_len": "seq_len",
}
UNDISCLOSED = ("batch size", "optimiser", "adapter type and rank", "seed", "learning rate schedule")
CURVES = {"loss": "train_loss", "validation_loss": "valid_loss"}


def hyperparameters(offer: Offer) -> tuple[Hyperparameter, ...]:
    """What the job takes, with the bounds of its published description."""
    return (
        Hyperparameter(
            "epochs", "Epochs", "float", 3.0, "How often the training items are seen.", minimum=0.01, maximum=100,
            simple=True,
        ),
        Hyperparameter("learning_rate", "Learning rate", "float", 1e-4, minimum=1e-8, maximum=1.0, simple=True),
        Hyperparameter("weight_decay", "Weight decay", "float", 0.1, minimum=0.0, maximum=1.0),
        Hyperparameter(
            "warmup_ratio", "Warm-up", "float", 0.05, "Share of the steps in which the learning rate grows.",
            minimum=0.0, maximum=1.0,
        ),
        Hyperparameter(
            "max_seq_len", "Longest sequence", "int", 8192, "Longer items are cut.", "tokens", minimum=100,
            maximum=131_072,
        ),
    )  # fmt: skip


def suggest(offer: Offer, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The service's own defaults; a sequence with room for the longest item."""
    longest = int(facts.get("max_tokens") or 0)
    room = next((size for size in (2048, 4096, 8192, 16_384, 32_768) if size >= 1.2 * longest), 131_072)
    return {
        "epochs": 3.0,
        "learning_rate": 1e-4,
        "weight_decay": 0.1,
        "warmup_ratio": 0.05,
        "max_seq_len": room,
    }


def problems(job: TuningJob) -> list[str]:
    """What the service would refuse, as sentences."""
    found = []
    if job.method != "sft":
        found.append(f"Mistral trains by supervised examples only, not by {job.method!r}.")
    if job.counts.get("train", 0) < 1:
        found.append("The training part has no items.")
    return found


def estimate(job: TuningJob) -> Estimate:
    """The minimum for one job is all that the last documentation said of the price."""
    price = job.offer.price
    tokens = round(job.tokens.get("train", 0) * float(job.hyperparameters["epochs"]))
    if price is None or price.train is None:
        least = f"at least ${price.minimum:.2f} a job" if price and price.minimum else "price not known"
        kept = f" and ${price.monthly:.2f} a month for the model" if price and price.monthly else ""
        return Estimate(
            None, f"about {tokens:,} tokens; {least}{kept}; the price of a token is not published"
        )
    return Estimate(round(max(tokens * price.train, price.minimum * 1e6)), f"{price.source}")


def render(example: Example, job: TuningJob) -> Mapping[str, Any]:
    """One line of a training file; a message that calls tools has no content."""
    reply = dict(example.reply)
    if reply.get("tool_calls"):
        reply.pop("content", None)
    line: dict[str, Any] = {"messages": [*example.messages, reply]}
    if example.tools:
        line["tools"] = list(example.tools)
    return line


def upload(api: Api, path: Path, part: str, job: TuningJob) -> RemoteFile:
    """Sends one part. The same name and content are found again there. Of a validation part go the first rows that
    the service has room for; `raw` says how many. Raises errors.Refused for a training file that is too large."""
    if part == "validation":
        path, sent = _fitting(path)
        file = send_file(api, path, "fine-tune")
        return RemoteFile(file.id, raw={**file.raw, "rows_sent": sent})
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise errors.Refused(
            f"The {part} file has {size / 1e6:,.0f} MB; {api.access.label} takes at most {MOST_BYTES / 1e6:,.0f} MB.",
            "Choose a smaller split.",
        )
    return send_file(api, path, "fine-tune")


def _fitting(path: Path) -> tuple[Path, int]:
    """A copy with as many of the first rows as the service takes beside this training file, and their number."""
    room = int(min(MOST_VALIDATION_BYTES, VALIDATION_SHARE * path.with_name("train.jsonl").stat().st_size))
    kept: list[bytes] = []
    with path.open("rb") as file:
        for row in file:
            room -= len(row)
            if room < 0:
                break
            kept.append(row)
    if not kept:
        raise errors.Refused(
            "Not one validation item fits: the service takes a validation file of a twentieth of the training file.",
            "Choose a split without a validation part, or with more training items.",
        )
    fitting = path.with_name("validation-sent.jsonl")
    fitting.write_bytes(b"".join(kept))
    return fitting, len(kept)


def send_file(api: Api, path: Path, purpose: str) -> RemoteFile:
    """Uploads a file."""
    with path.open("rb") as file:
        form = {"file": (path.name, file, "application/jsonl")}
        raw = api.post("files", data={"purpose": purpose}, files=form, seconds=UPLOAD_SECONDS)
    if not text(mapping(raw), "id"):
        raise api.unclear("sent no file id")
    return RemoteFile(text(raw, "id"), raw=raw)


def suffix_of(launch_key: str) -> str:
    """The launch key as the suffix, which has room for 18 characters."""
    return launch_key.removeprefix("tb-")[:18]


def submit(api: Api, job: TuningJob, files: Mapping[str, str]) -> RemoteJob:
    """Creates the job without starting it. Raises errors.AlreadyThere while a like one waits or runs."""
    values = {NAMES[name]: job.hyperparameters[name] for name in NAMES}
    body: dict[str, Any] = {
        "model": job.model,
        "job_type": "completion",
        "training_files": [{"file_id": files["train"], "weight": 1}],
        "hyperparameters": values,
        "suffix": suffix_of(job.launch_key),
        "auto_start": False,
        "invalid_sample_skip_percentage": 0,
    }
    if "validation" in files:
        body["validation_files"] = [files["validation"]]
    return job_of(api, api.post(JOBS, json=body))


def start(api: Api, id: str) -> RemoteJob:
    """Starts a job, which is what costs. Raises errors.Busy while its files are still being validated."""
    job = poll(api, id)
    if job.state in ("QUEUED", "VALIDATING"):
        raise errors.Busy(f"{api.access.label} still validates the job's files.", wait=CHECK_SECONDS)
    if job.state != "VALIDATED":
        return job
    return job_of(api, api.post(f"{JOBS}/{id}/start"))


def pages(api: Api, path: str, query: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every object of a list, page by page."""
    for page in range(MOST_PAGES):
        found = rows(api.get(path, params={"page": page, "page_size": PAGE, **query}), "data")
        yield from found
        if len(found) < PAGE:
            return


def find(api: Api, launch_key: str) -> list[RemoteJob]:
    """Every job with the suffix that holds the launch key."""
    wanted = suffix_of(launch_key)
    jobs = (job_of(api, raw) for raw in pages(api, JOBS, {"suffix": wanted}))
    return [job for job in jobs if job.launch_key == launch_key]


def list_jobs(api: Api) -> Iterator[RemoteJob]:
    """Every job of the account, old ones too."""
    return (job_of(api, raw) for raw in pages(api, JOBS, {}))


def poll(api: Api, id: str) -> RemoteJob:
    """The job as it stands. Raises errors.Unclear for an answer about another one."""
    return api.about(job_of(api, api.get(f"{JOBS}/{id}")), id)


def cancel(api: Api, id: str) -> None:
    """Asks the service to stop it; poll() says when it has."""
    api.post(f"{JOBS}/{id}/cancel")


def job_of(api: Api, raw: Any) -> RemoteJob:
    """A job as a RemoteJob. Raises errors.Unclear where it has no id."""
    if not text(mapping(raw), "id"):
        raise api.unclear("sent no job id")
    state, suffix = text(raw, "status"), text(raw, "suffix")
    about = mapping(raw, "metadata")
    said = mapping(raw, "hyperparameters")
    dollars = number(about, "cost") if text(about, "cost_currency") in ("USD", "usd") else None
    return RemoteJob(
        id=text(raw, "id"),
        state=state,
        phase=PHASES.get(state, Phase.STRANGE),
        launch_key=f"tb-{suffix}" if suffix else "",
        model=text(raw, "fine_tuned_model"),
        message=_message(raw),
        resolved={ours: said[theirs] for ours, theirs in NAMES.items() if isinstance(said.get(theirs), int | float)},
        cost_microdollars=None if dollars is None else round(dollars * 1e6),
        trained_tokens=whole(raw, "trained_tokens"),
        created_at=moment(raw, "created_at"),
        raw=raw,
    )  # fmt: skip


def _message(raw: Mapping[str, Any]) -> str:
    """What the newest event that speaks of an error says."""
    for event in sorted(rows(raw, "events"), key=lambda each: -(moment(each, "created_at") or 0)):
        said = text(mapping(event, "data"), "error") or text(mapping(event, "data"), "message")
        if said and "FAIL" in text(raw, "status"):
            return said
    return ""


def logs(api: Api, job: RemoteJob, cursor: str) -> Page:
    """The job's events since the cursor, which counts them."""
    events = sorted(rows(job.raw, "events"), key=lambda each: moment(each, "created_at") or 0)
    seen = int(cursor or 0)
    lines = [f"{_clock(each)} {text(each, 'name')} {_data(each)}".rstrip() for each in events[seen:]]
    return Page(str(max(len(events), seen)), lines=lines)


def metrics(api: Api, job: RemoteJob, cursor: str) -> Page:
    """The losses at the checkpoints after the cursor, which is a step."""
    seen = int(cursor or 0)
    points, last = [], seen
    for each in sorted(rows(job.raw, "checkpoints"), key=lambda each: whole(each, "step_number") or 0):
        step, said = whole(each, "step_number") or 0, mapping(each, "metrics")
        if step > seen:
            found = ((curve, number(said, name)) for curve, name in CURVES.items())
            points += [Point(curve, step, value) for curve, value in found if value is not None]
            last = max(last, step)
    return Page(str(last), points=points)


def _clock(event: Mapping[str, Any]) -> str:
    return datetime.fromtimestamp(moment(event, "created_at") or 0, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _data(event: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in mapping(event, "data").items())
