"""Puts a tuned model of Fireworks to serve, merged into its base, for those who want answers one by one. Used by this
folder. It scales itself to zero, and costs nothing then, after half an hour without a question.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from app import errors
from app.providers._shapes import Deployment, Phase, RemoteJob
from app.providers.fireworks.names import account, address, pages, short
from app.service_http import Api
from app.service_json import mapping, moment, text, whole

IDLE_MINUTES = 30
OURS = "tb-"
# Dollars for one GPU and hour. The pages name two figures for each, these are the higher ones.
GPU_HOUR = {"H100": 7.0, "H200": 7.0, "B200": 10.0}
PHASES = {
    "CREATING": Phase.WAITING,
    "READY": Phase.RUNNING,
    "UPDATING": Phase.RUNNING,
    "DELETING": Phase.WAITING,
    "DELETED": Phase.DONE,
    "FAILED": Phase.FAILED,
}


def create(api: Api, job: RemoteJob, launch_key: str) -> Deployment:
    """At most one replica, in the shape that Fireworks has tried for the model. Raises errors.AlreadyThere where the
    launch key has its deployment."""
    body = {
        "baseModel": job.model,
        "displayName": launch_key,
        "deploymentShape": "default",
        "minReplicaCount": 0,
        "maxReplicaCount": 1,
        "autoscalingPolicy": {"scaleToZeroWindow": f"{60 * IDLE_MINUTES}s"},
    }
    return _deployment(
        api, api.post(address(f"{account(api)}/deployments"), params={"deploymentId": launch_key}, json=body)
    )


def find(api: Api, launch_key: str) -> list[Deployment]:
    """The deployment whose id is the launch key."""
    try:
        return [poll(api, f"{account(api)}/deployments/{launch_key}")]
    except errors.Gone:
        return []


def list_running(api: Api) -> list[Deployment]:
    """Those that Tunebook made, by their ids, and that are not removed."""
    found = [_deployment(api, raw) for raw in pages(api, f"{account(api)}/deployments", "deployments")]
    ended = (Phase.DONE, Phase.FAILED)
    return [each for each in found if each.launch_key.startswith(OURS) and each.phase not in ended]


def poll(api: Api, id: str) -> Deployment:
    """The deployment as it stands. Raises errors.Gone once it is removed."""
    return api.about(_deployment(api, api.get(address(id))), id)


def stop(api: Api, deployment: Deployment) -> None:
    """Removes it, even while it answers."""
    with suppress(errors.Gone):
        api.call("DELETE", address(deployment.id), params={"ignoreChecks": "true"})


def _deployment(api: Api, raw: Any) -> Deployment:
    name = text(mapping(raw), "name")
    if not name:
        raise api.unclear("sent no deployment name")
    state, status = text(raw, "state"), mapping(raw, "status")
    return Deployment(
        id=name,
        state=state,
        phase=PHASES.get(state, Phase.STRANGE),
        model=f"{text(raw, 'baseModel')}#{name}",
        launch_key=short(name),
        message=text(status, "message") if text(status, "code") not in ("", "OK") else "",
        dollars_an_hour=_dollars(raw),
        created_at=moment(raw, "createTime"),
        raw=raw,
    )


def _dollars(raw: Mapping[str, Any]) -> float | None:
    """The price of an hour while one replica is there; None for a GPU whose price is not known."""
    kind, count = text(raw, "acceleratorType"), whole(raw, "acceleratorCount") or 1
    return next((count * price for gpu, price in GPU_HOUR.items() if gpu in kind), None)
