"""Fireworks' fine-tuning jobs, supervised and by preference. Used by this folder.

The job's id is the launch key: the service refuses a second job of that id, and asking for it finds the first.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app import errors
from app.providers._curves import points_after
from app.providers._openai import keep
from app.providers._shapes import Estimate, Page, Phase, RemoteJob, TuningJob
from app.providers.fireworks.fields import NAMES, estimate
from app.providers.fireworks.names import account, address, microdollars, pages, short, signed
from app.service_http import Api
from app.service_json import mapping, moment, text, whole

SFT, DPO = "supervisedFineTuningJobs", "dpoJobs"
OWN_ID = {SFT: "supervisedFineTuningJobId", DPO: "dpoJobId"}
OURS = re.compile(r"tb-[0-9a-f]{16}")
PHASES = {
    "CREATING": Phase.WAITING,
    "CREATING_INPUT_DATASET": Phase.WAITING,
    "VALIDATING": Phase.WAITING,
    "PENDING": Phase.WAITING,
    "RE_QUEUEING": Phase.WAITING,
    "PAUSED": Phase.WAITING,
    "IDLE": Phase.WAITING,
    "RUNNING": Phase.RUNNING,
    "WRITING_RESULTS": Phase.RUNNING,
    "CANCELLING": Phase.RUNNING,
    "COMPLETED": Phase.DONE,
    "EARLY_STOPPED": Phase.DONE,
    "FAILED": Phase.FAILED,
    "EXPIRED": Phase.FAILED,
    "CANCELLED": Phase.CANCELLED,
    "DELETING": Phase.CANCELLED,
    "DELETING_CLEANING_UP": Phase.CANCELLED,
    "DELETED": Phase.CANCELLED,
}


def phase_of(state: str) -> Phase:
    """The phase of JOB_STATE_..."""
    return PHASES.get(state.removeprefix("JOB_STATE_"), Phase.STRANGE)


def job_body(api: Api, job: TuningJob, files: Mapping[str, str]) -> dict[str, Any]:
    """The create call; every value that can be set is."""
    values = {theirs: job.hyperparameters[ours] for ours, theirs in NAMES.items()}
    values |= {"baseModel": job.model, "outputModel": f"{account(api)}/models/{job.launch_key}"}
    common = {"dataset": files["train"], "displayName": job.name[:64]}
    if job.method == "dpo":
        loss = {"method": "DPO", "dpo": {"beta": job.hyperparameters["dpo_beta"]}}
        return {**common, "trainingConfig": values, "lossConfig": loss}
    # Without this, a part of the training items may be set aside.
    body = {**common, **values, "evalAutoCarveout": False}
    return body | ({"evaluationDataset": files["validation"]} if "validation" in files else {})


def _collection(api: Api, job: TuningJob) -> str:
    return f"{account(api)}/{DPO if job.method == 'dpo' else SFT}"


def quote(api: Api, job: TuningJob, files: Mapping[str, str]) -> Estimate:
    """Fireworks' own price; there is none for preference training."""
    ours = estimate(job)
    if job.method == "dpo":
        return ours
    raw = mapping(api.post(address(f"{_collection(api, job)}:estimateCost"), json=job_body(api, job, files)))
    cost = microdollars(mapping(raw, "estimatedCost"))
    if cost is None:
        return Estimate(ours.microdollars, f"Fireworks gave no price; {ours.basis}")
    return Estimate(cost, f"Fireworks' own estimate: ${cost / 1e6:.2f}")


def submit(api: Api, job: TuningJob, files: Mapping[str, str]) -> RemoteJob:
    """The one create call. Raises errors.AlreadyThere where the launch key has its job."""
    collection = _collection(api, job)
    raw = api.post(
        address(collection),
        params={OWN_ID[short(collection)]: job.launch_key},
        json=job_body(api, job, files),
    )
    return job_of(api, raw)


def find(api: Api, launch_key: str) -> list[RemoteJob]:
    """The job whose id is the launch key, of either kind."""
    found = []
    for kind in (SFT, DPO):
        try:
            found.append(poll(api, f"{account(api)}/{kind}/{launch_key}"))
        except errors.Gone:
            continue
    return found


def list_jobs(api: Api) -> Iterator[RemoteJob]:
    """Every job of the account, whoever made it."""
    for kind in (SFT, DPO):
        for raw in pages(api, f"{account(api)}/{kind}", kind):
            yield job_of(api, raw)


def poll(api: Api, id: str) -> RemoteJob:
    """The job as it stands. When it is done, the model itself says which of its layers were adapted."""
    name = id if "/" in id else f"{account(api)}/{SFT}/{id}"
    job = api.about(job_of(api, api.get(address(name))), name)
    if job.phase != Phase.DONE or not job.model:
        return job
    try:
        model = mapping(api.get(address(job.model)))
    except errors.Gone:
        return job
    targets = mapping(model, "peftDetails").get("targetModules")
    said = {"lora_targets": ",".join(map(str, targets))} if isinstance(targets, list) and targets else {}
    return replace(job, resolved={**job.resolved, **said}, raw={**job.raw, "model": model})


def cancel(api: Api, id: str) -> None:
    """Asks Fireworks to stop it; poll() says when it has."""
    api.post(address(f"{id}:cancel"), json={})


def job_of(api: Api, raw: Any) -> RemoteJob:
    """A job object of either kind as a RemoteJob. Raises errors.Unclear where it has no name."""
    name = text(mapping(raw), "name")
    if not name:
        raise api.unclear("sent no job name")
    state, config = text(raw, "state"), mapping(raw, "trainingConfig") or raw
    phase, status = phase_of(state), mapping(raw, "status")
    percent = whole(mapping(raw, "jobProgress"), "percent")
    key = short(name)
    return RemoteJob(
        id=name,
        state=state.removeprefix("JOB_STATE_"),
        phase=phase,
        launch_key=key if OURS.fullmatch(key) else "",
        model=text(config, "outputModel") if phase == Phase.DONE else "",
        message=text(status, "message") if text(status, "code") not in ("", "OK") else "",
        resolved=resolved(raw, name),
        progress=min(percent / 100, 1.0) if percent is not None else None,
        cost_microdollars=microdollars(mapping(raw, "estimatedCost")) if phase == Phase.DONE else None,
        trained_tokens=whole(mapping(raw, "jobProgress"), "inputTokens"),
        created_at=moment(raw, "createTime"),
        raw=raw,
    )


def resolved(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The values that a job says it uses, by our names; what it learns from is the kind of the job."""
    config = mapping(raw, "trainingConfig") or raw
    found = {ours: config[theirs] for ours, theirs in NAMES.items() if config.get(theirs) is not None}
    beta = mapping(raw, "lossConfig", "dpo").get("beta")
    found |= {"dpo_beta": beta} if beta is not None else {}
    return {**found, "objective": "dpo" if f"/{DPO}/" in name else "sft"}


def logs(api: Api, job: RemoteJob, cursor: str) -> Page:
    """The trainer's log, for accounts that may read it; the cursor counts its bytes."""
    content, seen = signed(api, text(job.raw, "trainerLogsSignedUrl")), int(cursor or 0)
    # A last line without its end is read when it is whole.
    whole_lines = content[seen : content.rfind(b"\n") + 1]
    return Page(str(seen + len(whole_lines)), lines=whole_lines.decode(errors="replace").splitlines())


def metrics(api: Api, job: RemoteJob, cursor: str) -> Page:
    """The points of the curves since the cursor, from a file of one object a step."""
    found = []
    for line in _metrics_file(api, job).splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the last line may be half written
        found.append({**mapping(row, "data"), "step": mapping(row).get("step")})
    names = {
        "loss": ("train/loss",),
        "validation_loss": ("eval/loss", "validation/loss"),
        "learning_rate": ("train/learning_rate", "train/lr"),
    }
    return points_after(cursor, found, names, ("step",))


def _metrics_file(api: Api, job: RemoteJob) -> bytes:
    if f"/{DPO}/" not in job.id:
        return signed(api, text(job.raw, "metricsFileSignedUrl"))
    try:
        found = mapping(api.get(address(f"{job.id}:getMetricsFileEndpoint")))
    except errors.Gone:
        return b""
    return signed(api, text(found, "signedUrl"))


def fetch_records(api: Api, job: RemoteJob, folder: Path) -> list[Path]:
    """The file of metrics, and the samples of what was really trained, where there are any."""
    files = {"metrics.jsonl": _metrics_file(api, job)}
    files["rendered-samples.jsonl"] = signed(api, text(job.raw, "renderSamplesSignedUrl"))
    return [keep(folder, name, content) for name, content in files.items() if content]
