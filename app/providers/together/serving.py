"""Puts a tuned model of Together to serve: an endpoint named by the launch key, one deployment, all traffic to it.

Used by this folder. The deployment stops itself after half an hour without a question, even if Tunebook is gone.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from app import errors
from app.providers._shapes import Deployment, Phase, RemoteJob
from app.providers.together.hosts import beside, pages, whoami
from app.providers.together.offers import GPU_HOUR
from app.service_http import Api
from app.service_json import mapping, moment, number, rows, text

IDLE_MINUTES = 30
OURS = "tb-"
PHASES = {
    "DEPLOYMENT_STATE_PROVISIONING": Phase.WAITING,
    "DEPLOYMENT_STATE_SCALING": Phase.WAITING,
    "DEPLOYMENT_STATE_READY": Phase.RUNNING,
    "DEPLOYMENT_STATE_DEGRADED": Phase.RUNNING,
    "DEPLOYMENT_STATE_STOPPING": Phase.WAITING,
    # While it still has traffic, it stopped by itself; see _deployment().
    "DEPLOYMENT_STATE_STOPPED": Phase.DONE,
    "DEPLOYMENT_STATE_FAILED": Phase.FAILED,
}


def create(api: Api, job: RemoteJob, launch_key: str) -> Deployment:
    """One replica for the job's model. Whatever carries the launch key already is used, so that a second call makes
    no second deployment. Raises errors.Refused where no configuration holds the model."""
    model = text(job.raw, "model_object_id") or text(job.raw, "adapter_object_id")
    project = text(mapping(whoami(api), "project"), "id")
    if not model or not project:
        lacking = "which project the key belongs to" if model else "which object holds the trained model"
        raise errors.Refused(f"Together does not say {lacking}, so that it cannot be deployed.")
    endpoint = next((each for each in _endpoints(api, project) if _key(each) == launch_key), None)
    if endpoint and rows(endpoint, "deployments"):
        return _deployments(project, endpoint)[0]
    config = _config(api, project, model)
    if endpoint is None:
        endpoint = mapping(
            api.post(beside(api, f"v2/projects/{project}/endpoints"), json={"name": launch_key})
        )
    place = f"v2/projects/{project}/endpoints/{text(endpoint, 'id')}"
    body = {
        "name": launch_key,
        "model": f"projects/{project}/models/{model}",
        "config": config,
        "autoscaling": {"minReplicas": 1, "maxReplicas": 1},
        "inactiveTimeout": IDLE_MINUTES,
    }
    made = api.post(beside(api, f"{place}/deployments"), json=body)
    return _deployment(project, endpoint, mapping(made))


def _config(api: Api, project: str, model: str) -> str:
    """The configuration with the fewest GPUs that holds the model's base."""
    raw = mapping(api.get(beside(api, f"v2/projects/{project}/models/{model}")))
    base = text(raw, "baseModelId") or model
    found = list(pages(api, f"v2/projects/{project}/configs", {"referenceModelId": base}))
    if not found:
        raise errors.Refused(f"Together has no configuration that serves {text(raw, 'name') or model}.")
    best = min(found, key=lambda each: (_gpus(each), text(each, "id")))
    return f"projects/{text(best, 'projectId')}/configs/{text(best, 'id')}"


def _gpus(config: Mapping[str, Any]) -> float:
    chosen = {text(each, "key"): each for each in rows(config, "selectors")}
    return number(chosen.get("accelerator_count", {}), "value") or float("inf")


def advance(api: Api, deployment: Deployment) -> Deployment:
    """Sends the traffic to a deployment that has become ready."""
    now = poll(api, deployment.id)
    if now.state == "DEPLOYMENT_STATE_READY" and now.phase == Phase.WAITING:
        project, endpoint, own = deployment.id.split("/")
        _patch(
            api,
            f"v2/projects/{project}/endpoints/{endpoint}",
            trafficSplit=[{"deploymentId": own, "weight": 1}],
        )
        now = poll(api, deployment.id)
    return now


def find(api: Api, launch_key: str) -> list[Deployment]:
    """Every deployment below an endpoint of that name."""
    return [each for each in _all(api) if each.launch_key == launch_key]


def list_running(api: Api) -> list[Deployment]:
    """Those that Tunebook made, by their names, and that are not stopped."""
    ended = (Phase.DONE, Phase.FAILED)
    return [each for each in _all(api) if each.launch_key.startswith(OURS) and each.phase not in ended]


def poll(api: Api, id: str) -> Deployment:
    """The deployment as it stands; it answers once it is ready and has the traffic. Raises errors.Gone."""
    project, endpoint, _own = id.split("/")
    raw = mapping(api.get(beside(api, f"v2/projects/{project}/endpoints/{endpoint}")))
    for each in _deployments(project, raw):
        if each.id == id:
            return each
    raise errors.Gone(f"Together has no deployment {id} any more.")


def stop(api: Api, deployment: Deployment) -> None:
    """Takes the traffic away, scales to zero and removes it; called again until poll() raises errors.Gone."""
    project, endpoint, own = deployment.id.split("/")
    place = f"v2/projects/{project}/endpoints/{endpoint}"
    with suppress(errors.Gone):
        _patch(api, place, trafficSplit=[])
        _patch(api, f"{place}/deployments/{own}", autoscaling={"minReplicas": 0, "maxReplicas": 0})
        # A deployment can be removed once its last replica has stopped; until then this is refused.
        with suppress(errors.Refused):
            api.call("DELETE", beside(api, f"{place}/deployments/{own}"))
            api.call("DELETE", beside(api, place))


def _patch(api: Api, path: str, **field: Any) -> None:
    api.call("PATCH", beside(api, path), params={"updateMask": next(iter(field))}, json=field)


def _all(api: Api) -> Iterator[Deployment]:
    project = text(mapping(whoami(api), "project"), "id")
    for endpoint in _endpoints(api, project) if project else ():
        yield from _deployments(project, endpoint)


def _endpoints(api: Api, project: str) -> Iterator[Mapping[str, Any]]:
    return pages(api, f"v2/projects/{project}/endpoints")


def _key(endpoint: Mapping[str, Any]) -> str:
    """The endpoint's own name; Together puts the project's before it."""
    return text(endpoint, "name").rpartition("/")[2]


def _deployments(project: str, endpoint: Mapping[str, Any]) -> list[Deployment]:
    return [_deployment(project, endpoint, each) for each in rows(endpoint, "deployments")]


def _deployment(project: str, endpoint: Mapping[str, Any], raw: Mapping[str, Any]) -> Deployment:
    """From a row of the endpoint (`state`) or the deployment's own shape (`status.state`)."""
    own = text(raw, "id")
    state = text(raw, "state") or text(mapping(raw, "status"), "state")
    phase = PHASES.get(state, Phase.STRANGE)
    split = rows(endpoint, "trafficSplit")
    answers = any(text(each, "deploymentId") == own and (number(each, "weight") or 0) > 0 for each in split)
    if phase in (Phase.RUNNING, Phase.DONE) and not answers:
        # Ready, but without traffic yet; or stopped by us and still to be removed.
        phase = Phase.WAITING
    return Deployment(
        id=f"{project}/{text(endpoint, 'id')}/{own}",
        state=state,
        phase=phase,
        model=text(endpoint, "name"),
        launch_key=_key(endpoint),
        message=text(mapping(raw, "status"), "message"),
        dollars_an_hour=_dollars(text(raw, "hardware")),
        created_at=moment(raw, "createdAt"),
        raw=raw,
    )


def _dollars(hardware: str) -> float | None:
    """The price of for example "1xnvidia-h100-80gb"; None for a GPU whose price is not known."""
    count = re.match(r"(\d+)x", hardware)
    gpu = next((price for name, price in GPU_HOUR.items() if name in hardware.lower()), None)
    return int(count[1]) * gpu if count and gpu else None
