"""Jobs themselves: made once, found by their label, followed, cancelled. Called through COMPUTE."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from app.compute import _container
from app.compute._base import Checked, Found, Order, Phase, Site, Status
from app.compute._calls import nothing_started
from app.compute._container import KEY, text_of
from app.compute.huggingface_jobs import hub
from app.errors import Gone, Refused
from app.service_http import Api
from app.service_json import mapping, moment, number, text, whole

IMAGE = "pytorch/pytorch:2.8.0-cuda12.8-cudnn9-runtime"
APP = "tunebook"
PHASES = {
    "SCHEDULING": Phase.WAITING,
    "RUNNING": Phase.RUNNING,
    "COMPLETED": Phase.ENDED,
    "ERROR": Phase.GONE,
    "CANCELED": Phase.GONE,
    "DELETED": Phase.GONE,
}
PER_HOUR = {"minute": 60.0, "hour": 1.0, "second": 3600.0}


def check(site: Site) -> Checked:
    """Whether the token may see the namespace's jobs, and what the hardware costs now."""
    with hub.hub(site) as api:
        hardware = _hardware(api)
        api.get(f"api/jobs/{hub.namespace(site)}", params={"label": f"app={APP}"})
    chosen = _flavor(hardware, site)
    price = _hourly(chosen)
    gpus = _gpus(chosen)
    what = f"{len(gpus)} × {gpus[0]['name']}" if gpus else text(chosen, "cpu")
    prices = [
        {"name": text(row, "name"), "hourly_microdollars": each}
        for row in hardware
        if (each := _hourly(row)) is not None
    ]
    cost = f", ${price / 1e6:.2f} an hour" if price is not None else ""
    note = f"{text(chosen, 'prettyName') or text(chosen, 'name')}: {what}, {text(chosen, 'ram')}{cost}"
    return Checked(note, {"gpus": gpus, "hourly_microdollars": price, "prices": prices})


def _hardware(api: Api) -> list[Mapping[str, Any]]:
    found = api.get("api/jobs/hardware")
    if not isinstance(found, list):
        raise api.unclear("did not say what hardware it has")
    return [row for row in found if isinstance(row, Mapping)]


def _flavor(hardware: Sequence[Mapping[str, Any]], site: Site) -> Mapping[str, Any]:
    wanted = text_of(site.fields, "flavor")
    found = next((row for row in hardware if text(row, "name") == wanted), None)
    if found is None:
        names = ", ".join(text(row, "name") for row in hardware)
        raise Refused(f"Hugging Face has no hardware {wanted!r}.", f"Choose one of {names}.")
    return found


def _hourly(row: Mapping[str, Any]) -> int | None:
    cost = number(row, "unitCostMicroUSD")
    per_hour = PER_HOUR.get(text(row, "unitLabel"))
    return round(cost * per_hour) if cost is not None and per_hour else None


def _gpus(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    accelerator = mapping(row, "accelerator")
    count = whole(accelerator, "quantity") or (1 if accelerator else 0)
    size, _, unit = text(accelerator, "vram").partition(" ")
    memory = int(float(size) * 2**30 / count) if unit == "GB" and size.replace(".", "").isdigit() else None
    gpu = {"name": f"{text(accelerator, 'manufacturer')} {text(accelerator, 'model')}".strip()}
    return [gpu | ({"memory_bytes": memory} if memory else {}) for _ in range(count)]


def submit(site: Site, order: Order) -> dict[str, Any]:
    """Uploads the bundle, then makes the job by one call that is never repeated."""
    owner, bucket = hub.namespace(site), _bucket(site, order.launch_key)
    with hub.hub(site) as api:
        with nothing_started():
            flavor = _flavor(_hardware(api), site)
            if order.gpus > len(_gpus(flavor)):
                raise Refused(
                    f"The run asks for {order.gpus} GPUs, and {text(flavor, 'name')} has {len(_gpus(flavor))}.",
                    "Choose other hardware on the page of this place.",
                )
            hub.make_bucket(api, bucket)
            hub.upload(api, bucket, order)
        made = api.post(f"api/jobs/{owner}", json=_job(site, order, bucket))
        if not text(made, "id"):
            raise api.unclear("answered without the job's id")
    return _handle(site, text(made, "id"), order.launch_key) | {"hourly": _hourly(flavor)}


def _job(site: Site, order: Order, bucket: str) -> dict[str, Any]:
    job: dict[str, Any] = {
        "dockerImage": text_of(site.fields, "image") or IMAGE,
        "command": ["sh", "-c", _container.SCRIPT],
        "arguments": [],
        "environment": _container.environment(order),
        "flavor": text_of(site.fields, "flavor"),
        # Theirs is half an hour when none is sent.
        "timeoutSeconds": max(int(order.deadline_seconds), 60),
        "attempts": 1,
        "labels": {"app": APP, "launch_key": order.launch_key, "name": order.launch_key},
        "volumes": [{"type": "bucket", "source": bucket, "mountPath": _container.MOUNTED, "readOnly": False}],
    }
    return job | ({"secrets": {"HF_TOKEN": order.hub_token}} if order.hub_token else {})


def _bucket(site: Site, launch_key: str) -> str:
    return f"{hub.namespace(site)}/{APP}-{launch_key}"


def _handle(site: Site, id: str, launch_key: str) -> dict[str, Any]:
    return {"id": id, "namespace": hub.namespace(site), "launch_key": launch_key}


def find(site: Site, launch_key: str) -> list[Found]:
    """Every job whose label is the key."""
    with hub.hub(site) as api:
        return [
            each for each in _listed(api, site, f"launch_key={launch_key}") if each.launch_key == launch_key
        ]


def all_jobs(site: Site) -> list[Found]:
    """Jobs that run or wait, and buckets of ours that are left whatever has become of their job."""
    with hub.hub(site) as api:
        found = _listed(api, site, f"app={APP}")
        rows = hub.pages(api, f"api/buckets/{hub.namespace(site)}", search=f"{APP}-tb-")
        names = [text(row, "id").rpartition("/")[2].removeprefix(f"{APP}-") for row in rows]
    left = {name for name in names if KEY.fullmatch(name)}
    live = (Phase.WAITING, Phase.RUNNING)
    kept = [each for each in found if each.status.phase in live or each.launch_key in left]
    lone = sorted(left - {each.launch_key for each in kept})
    status = Status(Phase.GONE, "files only", "A bucket without a job.")
    return kept + [Found(key, _handle(site, "", key), status) for key in lone]


def _listed(api: Api, site: Site, label: str) -> list[Found]:
    found = []
    for row in hub.pages(api, f"api/jobs/{hub.namespace(site)}", label=label):
        key = text(mapping(row, "labels"), "launch_key")
        if KEY.fullmatch(key) and text(row, "id"):
            status = _status(row, None)
            found.append(
                Found(key, _handle(site, text(row, "id"), key), status, moment(row, "createdAt") or 0.0)
            )
    return sorted(found, key=lambda each: each.created_at)


def status(site: Site, handle: Mapping[str, Any]) -> Status:
    """The job's stage. A job that failed has ended well enough when its exit code came into the bucket."""
    if not handle.get("id"):
        return Status(Phase.GONE, "files only", "A bucket without a job.")
    with hub.hub(site) as api:
        row = api.get(_path(handle))
        if text(row, "id") != handle["id"]:
            raise api.unclear("answered about another job")
        found = _status(row, handle.get("hourly"))
        if found.state != "ERROR":
            return found
        paths = [path for path, _ in hub.files_in(api, _bucket(site, handle["launch_key"]), "out")]
    ended = "out/exit_code" in paths
    return Status(Phase.ENDED if ended else Phase.GONE, found.state, found.note, found.microdollars)


def _status(row: Mapping[str, Any], hourly: Any) -> Status:
    state = text(mapping(row, "status"), "stage")
    seconds = number(mapping(row, "durations"), "totalSecs")
    known = isinstance(hourly, int) and seconds is not None
    # Billed by the minute that has begun, from the machine's start.
    spent = round(math.ceil((seconds or 0) / 60) * hourly / 60) if known else None
    # A word that is not known yet is followed further, and shown as it is.
    phase = PHASES.get(state, Phase.RUNNING)
    return Status(phase, state, text(mapping(row, "status"), "message"), spent)


def cancel(site: Site, handle: Mapping[str, Any]) -> None:
    """Ends the job; one that is over already is left."""
    if not handle.get("id"):
        return
    with hub.hub(site) as api:
        if PHASES.get(text(mapping(api.get(_path(handle)), "status"), "stage")) in (Phase.ENDED, Phase.GONE):
            return
        with suppress(Gone):
            api.post(f"{_path(handle)}/cancel")


def release(site: Site, handle: Mapping[str, Any]) -> None:
    """Ends the job and removes its bucket. The job's own row stays in the Hub's list and costs nothing."""
    with suppress(Gone):
        cancel(site, handle)
    with hub.hub(site) as api:
        hub.delete_bucket(api, _bucket(site, handle["launch_key"]))


def _path(handle: Mapping[str, Any]) -> str:
    return f"api/jobs/{handle['namespace']}/{quote(str(handle['id']), safe='')}"
