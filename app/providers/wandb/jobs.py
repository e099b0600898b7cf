"""Serverless SFT: the data, the one create, and a job that is known by its events alone.

A job's id is written here as "LAUNCH KEY:ID AT THE SERVICE", since neither its events nor the job itself say which
model they belong to. The launch key alone stands for a training that only its adapter was found of.
"""

import json
import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app import errors
from app.providers._shapes import Page, Phase, Point, RemoteFile, RemoteJob, TuningJob
from app.providers.wandb import artifacts
from app.providers.wandb.hosts import place
from app.service_http import Api
from app.service_json import mapping, number, rows, text, whole

STARTED, STEP, ENDED, FAILED = "training_started", "gradient_step", "training_ended", "training_failed"
PHASES = {STARTED: Phase.RUNNING, STEP: Phase.RUNNING, ENDED: Phase.DONE, FAILED: Phase.FAILED}
CURVES = {
    "loss": ("loss", "loss/train"),
    "learning_rate": ("learning_rate", "loss/learning_rate"),
    "tokens_per_second": ("tokens_per_second",),
}
MOST_PAGES = 1000


def upload(api: Api, path: Path, part: str, job: TuningJob) -> RemoteFile:
    """Makes the model, then logs the training file, once for each epoch, as an artifact; gives its address. What is
    really sent is kept beside `path`."""
    if part != "train":
        return RemoteFile("not sent", raw={"note": "the service takes no validation file"})
    run = text(model_of(api, job), "run_id") or job.launch_key
    sent = repeated(path, int(job.hyperparameters["epochs"]), job.seed)
    name = f"{job.launch_key}-data"
    version = artifacts.put_file(api, run, job.launch_key, name, sent)
    entity, project = place(api)
    address = f"wandb-artifact:///{entity}/{project}/{name}:{version}"
    return RemoteFile(address, raw={"run_id": run, "artifact": address})


def repeated(path: Path, epochs: int, seed: int) -> Path:
    """A file beside `path` with its lines `epochs` times, each time in another order that the seed decides: the service
    has no setting for either."""
    lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    final = path.with_name(f"{path.stem}.epochs.jsonl")
    part = final.with_name(f".{final.name}.part")
    with part.open("wb") as file:
        for epoch in range(epochs):
            order = list(range(len(lines)))
            random.Random(f"{seed} {epoch}").shuffle(order)
            file.writelines(lines[number] + b"\n" for number in order)
        file.flush()
        os.fsync(file.fileno())
    return part.replace(final)


def model_of(api: Api, job: TuningJob) -> Mapping[str, Any]:
    """The model that the launch key names, made where it is not there yet: safe to repeat."""
    entity, project = place(api)
    asked = {"entity": entity, "project": project, "name": job.launch_key, "base_model": job.model}
    made = mapping(api.post("preview/models", {**asked, "return_existing": True}))
    if not text(made, "id") or text(made, "name") not in ("", job.launch_key):
        raise api.unclear("sent no id of the model, or another model")
    return made


def submit(api: Api, job: TuningJob, files: Mapping[str, str]) -> RemoteJob:
    """Asks for the model once more, which costs nothing, then sends the one create call."""
    try:
        model = model_of(api, job)
    except errors.Unclear as error:
        raise errors.Busy(error.message, error.hint, wait=5.0) from error
    config = {name: job.hyperparameters[name] for name in ("batch_size", "learning_rate")}
    body = {"model_id": text(model, "id"), "training_data_url": files["train"], "config": config}
    raw = mapping(api.post("preview/sft-training-jobs", body))
    if not text(raw, "id"):
        raise api.unclear("sent no job id")
    raw = {**raw, "model": model}
    return RemoteJob(f"{job.launch_key}:{text(raw, 'id')}", "created", Phase.WAITING, job.launch_key, raw=raw)


def find(api: Api, launch_key: str) -> list[RemoteJob]:
    """The training whose adapter carries the key: the service lists no jobs, so one that still runs is not found."""
    try:
        return [_by_adapter(api, launch_key)]
    except errors.Gone:
        return []


def list_jobs(api: Api) -> Iterable[RemoteJob]:
    """None: the service lists no jobs."""
    return ()


def _by_adapter(api: Api, launch_key: str) -> RemoteJob:
    step = artifacts.last_step(api, launch_key)
    if step is None:
        raise errors.Gone(f"{api.access.label} has no adapter named {launch_key} yet.")
    model = model_name(api, launch_key, step)
    return RemoteJob(launch_key, "adapter found", Phase.DONE, launch_key, model, raw={"adapter": model})


def model_name(api: Api, launch_key: str, step: int | None) -> str:
    """How an adapter is asked and fetched; without a step it is the newest."""
    entity, project = place(api)
    name = f"wandb-artifact:///{entity}/{project}/{launch_key}"
    return name if step is None else f"{name}:step{step}"


def poll(api: Api, id: str) -> RemoteJob:
    """The job as its events tell it. Raises errors.Refused for an id without the launch key."""
    key, _, remote = id.partition(":")
    if not key.startswith("tb-"):
        raise errors.Refused(
            f"{id} does not name a job.", "Write the run's launch key, a colon and the job's id."
        )
    if not remote:
        return _by_adapter(api, key)
    seen = [each for each, _count in events(api, remote, "")]
    last = seen[-1] if seen else {}
    state = text(last, "type") or "created"
    phase = PHASES.get(state, Phase.STRANGE) if seen else Phase.WAITING
    total = next(
        (whole(mapping(each, "data"), "num_sequences") for each in seen if text(each, "type") == STARTED),
        None,
    )
    done = sum(text(each, "type") == STEP for each in seen)
    said = text(mapping(last, "data"), "error_message") if phase == Phase.FAILED else ""
    return RemoteJob(
        id=id,
        state=state,
        phase=phase,
        launch_key=key,
        model=model_name(api, key, artifacts.last_step(api, key)) if phase == Phase.DONE else "",
        message=said or ("The service named no reason." if phase == Phase.FAILED else ""),
        progress=min(done / total, 1.0) if total else None,
        raw={"id": remote, "steps": done, "last_event": last},
    )


def events(api: Api, remote: str, cursor: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each event after the cursor, and the cursor to go on from: the event's id and the gradient steps so far."""
    after, _, count = cursor.rpartition(",")
    steps, read = int(count) if count.isdigit() else 0, {after}
    for _ in range(MOST_PAGES):
        page = api.get(f"preview/training-jobs/{remote}/events", params={"after": after} if after else {})
        found = [each for each in rows(page, "data") if text(each, "id")]
        for each in found:
            steps += text(each, "type") == STEP
            yield each, f"{text(each, 'id')},{steps}"
        after = text(found[-1], "id") if found else after
        if mapping(page).get("has_more") is not True or after in read:
            return
        read.add(after)


def metrics(api: Api, job: RemoteJob, cursor: str) -> Page:
    """The points of the gradient steps after the cursor, counted in their order: the events name no step."""
    points, at = [], cursor
    for event, at in _events_of(api, job, cursor):
        data = mapping(event, "data")
        if text(event, "type") != STEP:
            continue
        step = int(at.rpartition(",")[2])
        for curve, names in CURVES.items():
            value = next((found for name in names if (found := number(data, name)) is not None), None)
            if value is not None:
                points.append(Point(curve, step, value))
    return Page(at, points=points)


def logs(api: Api, job: RemoteJob, cursor: str) -> Page:
    """The events after the cursor, one a line."""
    told = list(_events_of(api, job, cursor))
    lines = [
        f"{text(event, 'type')} {json.dumps(mapping(event, 'data'), sort_keys=True)}" for event, _at in told
    ]
    return Page(told[-1][1] if told else cursor, lines=lines)


def _events_of(api: Api, job: RemoteJob, cursor: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    remote = job.id.partition(":")[2]
    return events(api, remote, cursor) if remote else iter(())


def fetch_weights(api: Api, job: RemoteJob, folder: Path) -> Sequence[Path]:
    """The adapter's files."""
    name, _, alias = job.model.rpartition("/")[2].partition(":")
    return artifacts.fetch_adapter(api, name, alias or "latest", folder)
