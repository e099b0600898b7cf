"""Replicate's trainings: files, the destination model, create, look, weights. The launch key stands in the name of the
training data, which every training repeats in its input."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app import errors
from app.providers._shapes import Page, Phase, Point, RemoteFile, RemoteJob, TuningJob
from app.providers._weights import fetch_file, kept_name, unpack
from app.providers.replicate.form import DATA, VALIDATION, data_field, resolved, trainer_input
from app.service_http import Api
from app.service_json import mapping, moment, number, rows, text

PHASES = {
    "starting": Phase.WAITING,
    "processing": Phase.RUNNING,
    "succeeded": Phase.DONE,
    "failed": Phase.FAILED,
    "canceled": Phase.CANCELLED,
    "aborted": Phase.CANCELLED,
}
UPLOAD_SECONDS = 600.0
# Larger files go to the files API; the published description of the API does not have it.
MOST_INLINE_BYTES = 256 * 1024
MOST_PAGES = 50
DESTINATION, HARDWARE = "tunebook", "gpu-l40s"
KEY = re.compile(r"tb-[0-9a-f]{16}")
LOSS = re.compile(r"""['"]?(eval_loss|train_loss|loss)['"]?\s*[:=]\s*([0-9.]+(?:e-?\d+)?)""")
STEP = re.compile(r"""['"]?(?:step|global_step)['"]?\s*[:=]\s*(\d+)|\b(\d+)/\d+\b""")
ARCHIVES = (".tar", ".zip", ".tgz", ".tar.gz")


def upload(api: Api, path: Path, part: str, job: TuningJob) -> RemoteFile:
    """Gives the data an address: at the files API, or, where that is not there, within the address itself."""
    if part != "train" and not data_field(job.offer, VALIDATION):
        return RemoteFile("not sent", raw={"note": "the trainer takes no validation data"})
    name = f"{job.launch_key}-{part}.jsonl"
    try:
        with path.open("rb") as file:
            form = {"content": (name, file, "application/jsonl")}
            raw = api.post("files", files=form, seconds=UPLOAD_SECONDS)
    except errors.Gone:
        return _inline(api, path, name)
    address = text(mapping(raw, "urls"), "get")
    if not address:
        raise api.unclear("sent no address of the file")
    return RemoteFile(f"{address}#{name}", raw=raw)


def _inline(api: Api, path: Path, name: str) -> RemoteFile:
    content = path.read_bytes()
    if len(content) > MOST_INLINE_BYTES:
        raise errors.Refused(
            f"{api.access.label} takes no files here, and {len(content):,} bytes are too many for the call itself "
            f"({MOST_INLINE_BYTES:,} at most).",
            "Choose a smaller split.",
        )
    return RemoteFile(f"data:application/jsonl;name={name};base64,{base64.b64encode(content).decode()}")


def submit(api: Api, job: TuningJob, files: Mapping[str, str]) -> RemoteJob:
    """Makes sure of the destination, then sends the one create call."""
    trainer, _, version = job.model.partition(":")
    destination = _destination(api)
    body = {"destination": destination, "input": trainer_input(job, files)}
    return job_of(api, api.post(f"models/{trainer}/versions/{version}/trainings", json=body))


def _destination(api: Api) -> str:
    """The one private model that collects what is trained; made when it is not there. Costs nothing."""
    owner = api.access.fields.get("owner") or text(mapping(api.get("account")), "username")
    name = f"{owner}/{DESTINATION}"
    try:
        api.get(f"models/{name}")
    except errors.Gone:
        hardware = api.access.fields.get("hardware") or HARDWARE
        body = {"owner": owner, "name": DESTINATION, "visibility": "private", "hardware": hardware}
        try:
            api.post("models", json=body)
        except errors.Unclear as error:
            raise errors.Busy(error.message, error.hint, wait=5.0) from error
    return name


def list_jobs(api: Api) -> Iterator[RemoteJob]:
    """Every training of the account, the newest first."""
    address = "trainings"
    for _ in range(MOST_PAGES):
        page = mapping(api.get(address))
        yield from (job_of(api, raw) for raw in rows(page, "results"))
        following = text(page, "next")
        if not following:
            return
        # Only the query is taken over: the key goes to no other host.
        address = f"trainings?{urlsplit(following).query}"


def find(api: Api, launch_key: str) -> list[RemoteJob]:
    """Every training whose data carries the launch key."""
    return [job for job in list_jobs(api) if job.launch_key == launch_key]


def poll(api: Api, id: str) -> RemoteJob:
    """The training as it stands. Raises errors.Unclear for an answer about another one."""
    return api.about(job_of(api, api.get(f"trainings/{id}")), id)


def cancel(api: Api, id: str) -> None:
    """Asks the service to stop it; poll() says when it has."""
    api.post(f"trainings/{id}/cancel")


def job_of(api: Api, raw: Any) -> RemoteJob:
    """A training as a RemoteJob. Raises errors.Unclear where it has no id."""
    if not text(mapping(raw), "id"):
        raise api.unclear("sent no training id")
    state, given = text(raw, "status"), mapping(raw, "input")
    key = next((found[0] for name in DATA if (found := KEY.search(text(given, name)[:500]))), "")
    return RemoteJob(
        id=text(raw, "id"),
        state=state,
        phase=PHASES.get(state, Phase.STRANGE),
        launch_key=key,
        model=text(mapping(raw, "output"), "version"),
        message=text(raw, "error"),
        resolved=resolved(given),
        created_at=moment(raw, "created_at"),
        raw=_without_data(raw),
    )


def _without_data(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The training without data that stands in its own address: the run has that file already."""
    given = mapping(raw, "input")
    short = {
        name: each[:200] if isinstance(each, str) and each.startswith("data:") else each
        for name, each in given.items()
    }
    return {**raw, "input": short} if given else raw


def logs(api: Api, job: RemoteJob, cursor: str) -> Page:
    """Whole lines of the log after the cursor, which counts characters."""
    whole, seen = text(job.raw, "logs"), int(cursor or 0)
    if job.phase in (Phase.RUNNING, Phase.WAITING):
        whole = whole[: whole.rfind("\n") + 1]
    return Page(str(max(len(whole), seen)), lines=whole[seen:].splitlines())


def metrics(api: Api, job: RemoteJob, cursor: str) -> Page:
    """Losses that the log names, after the cursor, which counts them. A loss without a step gets the next number."""
    points: list[Point] = []
    for line in text(job.raw, "logs").splitlines():
        found = LOSS.search(line)
        if found:
            step = STEP.search(line)
            place = int(next(each for each in step.groups() if each)) if step else len(points) + 1
            curve = "validation_loss" if found[1] == "eval_loss" else "loss"
            points.append(Point(curve, place, float(found[2])))
    seen = int(cursor or 0)
    return Page(str(max(len(points), seen)), points=points[seen:])


def fetch_weights(api: Api, job: RemoteJob, folder: Path) -> Sequence[Path]:
    """The weights, downloaded at once: the service may remove them soon. Only kinds of files that cannot run are kept."""
    address = text(mapping(job.raw, "output"), "weights")
    if not address:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    name = urlsplit(address).path.rpartition("/")[2]
    if kept_name(name):
        return [fetch_file(api, address, folder / kept_name(name))]
    archive = fetch_file(api, address, folder / ".weights.archive")
    written = unpack(api, archive, folder)
    archive.unlink()
    return written


def seconds_billed(job: RemoteJob) -> float | None:
    """How long the hardware ran."""
    return number(mapping(job.raw, "metrics"), "predict_time")
