"""Sandboxes: made once with the launch key as their name, found by it, terminated. Called through COMPUTE."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.compute import _container
from app.compute._base import Checked, Found, Order, Phase, Site, Status
from app.compute._calls import nothing_started
from app.compute._container import KEY, MOUNTED, text_of
from app.compute.modal.sdk import APP, ended, opened, repeated, volume_name
from app.errors import AlreadyThere, Refused

IMAGE = "pytorch/pytorch:2.8.0-cuda12.8-cudnn9-runtime"
# Modal's own limit of a sandbox's life.
LONGEST_SECONDS = 86_400
# What a sandbox that did not end by itself is said to have ended with.
TIMED_OUT, TERMINATED = 124, 137


def check(site: Site) -> Checked:
    """Whether the token works; Modal does not tell its prices."""
    with opened(site) as (modal, client):
        client.hello()
        modal.App.lookup(APP, client=client, create_if_missing=True)
    hourly = _hourly(site)
    gpu = text_of(site.fields, "gpu")
    facts = {"gpus": [{"name": gpu}] if gpu else [], "hourly_microdollars": hourly}
    return Checked(f"{gpu or 'no GPU'}, ${hourly / 1e6:.2f} an hour as entered; the token works", facts)


def _hourly(site: Site) -> int:
    try:
        return round(float(text_of(site.fields, "hourly_dollars")) * 1_000_000)
    except ValueError:
        raise Refused("The price an hour is no number.", "Write it in dollars, such as 2.50.") from None


def submit(site: Site, order: Order) -> dict[str, Any]:
    """Uploads the bundle, builds the image, then makes the sandbox, whose name no other running one can have."""
    order = replace(order, deadline_seconds=min(order.deadline_seconds, LONGEST_SECONDS))
    with opened(site) as (modal, client):
        with nothing_started(), repeated(modal):
            app = modal.App.lookup(APP, client=client, create_if_missing=True)
            volume = modal.Volume.from_name(
                volume_name(order.launch_key), create_if_missing=True, client=client
            )
            if ended(modal, volume):
                raise AlreadyThere(
                    f"{order.launch_key} has run at Modal already.", "It is found by its name."
                )
            with volume.batch_upload(force=True) as batch:
                for path, name in _container.files_of(order):
                    batch.put_file(str(path), f"/{name}")
            image = (
                modal.Image.from_registry(text_of(site.fields, "image") or IMAGE).entrypoint([]).build(app)
            )
        made = modal.Sandbox.create(
            *("sh", "-c", _container.SCRIPT),
            app=app,
            name=order.launch_key,
            tags={"app": APP, "launch_key": order.launch_key},
            image=image,
            secrets=[modal.Secret.from_dict(_variables(order))],
            timeout=max(int(order.deadline_seconds), 60),
            gpu=_gpu(site, order),
            memory=int(float(text_of(site.fields, "memory_gb") or 0) * 1024) or None,
            volumes={MOUNTED: volume},
            client=client,
        )
        return _handle(order.launch_key, made.object_id)


def _variables(order: Order) -> dict[str, str]:
    token = {"HF_TOKEN": order.hub_token} if order.hub_token else {}
    return _container.environment(order) | token


def _gpu(site: Site, order: Order) -> str | None:
    gpu = text_of(site.fields, "gpu")
    if order.gpus and not gpu:
        raise Refused("The run asks for a GPU, and this place has none.", "Enter one on its page.")
    return f"{gpu}:{max(order.gpus, 1)}" if gpu else None


def _handle(launch_key: str, id: str) -> dict[str, Any]:
    return {"launch_key": launch_key, "sandbox": id}


def find(site: Site, launch_key: str) -> list[Found]:
    """The sandbox of that name, an ended one too."""
    with opened(site) as (modal, client):
        try:
            found = modal.Sandbox.from_name(APP, launch_key, include_terminated=True, client=client)
        except modal.exception.NotFoundError:
            return []
        handle = _handle(launch_key, found.object_id)
        return [Found(launch_key, handle, _status(modal, client, handle, found))]


def jobs(site: Site) -> list[Found]:
    """Sandboxes that run, and volumes of ours that are left whatever has become of theirs."""
    with opened(site) as (modal, client):
        app = modal.App.lookup(APP, client=client, create_if_missing=True)
        found = {}
        for box in modal.Sandbox.list(app_id=app.app_id, client=client):
            key = box.get_tags().get("launch_key", "")
            if KEY.fullmatch(key):
                found[key] = Found(key, _handle(key, box.object_id), Status(Phase.RUNNING, "running"))
        names = [str(volume.name or "") for volume in modal.Volume.objects.list(client=client)]
    keys = [name.removeprefix(f"{APP}-") for name in names if name.startswith(f"{APP}-")]
    left = [key for key in keys if KEY.fullmatch(key) and key not in found]
    status_left = Status(Phase.GONE, "files only", "A volume without a running sandbox.")
    return [*found.values(), *(Found(key, _handle(key, ""), status_left) for key in sorted(left))]


def status(site: Site, handle: Mapping[str, Any]) -> Status:
    """Whether the sandbox runs; when not, whether the run's exit code came into the volume."""
    with opened(site) as (modal, client):
        return _status(modal, client, handle, box_of(modal, client, handle))


def box_of(modal: Any, client: Any, handle: Mapping[str, Any]) -> Any:
    """The sandbox of a handle; None where Modal knows none."""
    if not handle.get("sandbox"):
        return None
    try:
        return modal.Sandbox.from_id(handle["sandbox"], client=client)
    except modal.exception.NotFoundError:
        return None


def _status(modal: Any, client: Any, handle: Mapping[str, Any], box: Any) -> Status:
    code = TERMINATED if box is None else box.poll()
    if code is None:
        return Status(Phase.RUNNING, "running")
    state = {TIMED_OUT: "timed out", TERMINATED: "terminated"}.get(code, f"code {code}")
    state = "missing" if box is None else state
    try:
        volume = modal.Volume.from_name(volume_name(handle["launch_key"]), client=client)
        return Status(Phase.ENDED if ended(modal, volume) else Phase.GONE, state)
    except modal.exception.NotFoundError:
        return Status(Phase.GONE, state, "Its volume is not there any more.")


def cancel(site: Site, handle: Mapping[str, Any]) -> None:
    """Terminates the sandbox; one that is over is left."""
    with opened(site) as (modal, client):
        box = box_of(modal, client, handle)
        if box is not None and box.poll() is None:
            box.terminate(wait=True)


def release(site: Site, handle: Mapping[str, Any]) -> None:
    """Terminates the sandbox and removes its volume."""
    cancel(site, handle)
    with opened(site) as (modal, client):
        modal.Volume.objects.delete(volume_name(handle["launch_key"]), allow_missing=True, client=client)
