"""Fireworks' deployments: ready after a while, paid by the second while a replica is there, removed on demand."""

from typing import Any

from fireworks.types import deployment_create_params

from tests.emulator._camel import camel_schema
from tests.emulator._fireworks_names import LISTING, iso, page, resource
from tests.emulator._service import Call, Problem, Service, public
from tests.emulator._world import Timeline

QUERY = ("deployment_id", "disable_auto_deploy", "disable_speculative_decoding", "skip_image_tag_validation")
QUERY += ("skip_shape_validation", "accept_shapeless_risk", "validate_only", "account_id")
BODY = camel_schema(deployment_create_params.DeploymentCreateParams, QUERY)
HOUR = 4.0
START_SECONDS, STOP_SECONDS = 120.0, 30.0


def add_deployments(service: Service, base: str) -> None:
    """Create, list, get and delete."""
    place = f"{base}/deployments"

    @service.route("POST", place, body=BODY, query=("deploymentId",))
    def create(call: Call) -> Any:
        id = call.query.get("deploymentId") or call.world.new_id("dep-")
        name = f"accounts/{call.params['account']}/deployments/{id}"
        if name in call.things("deployment"):
            raise Problem(409, f"deployment {id} already exists")
        if not call.json.get("deploymentShape"):
            raise Problem(400, "deployments without a shape are not accepted")
        call.thing("model", call.json["baseModel"])
        call.made("deployment", name, id)
        made = {
            **call.json,
            "name": name,
            "createTime": iso(call.world.now()),
            "acceleratorType": "NVIDIA_H100_80GB",
            "acceleratorCount": 1,
            "_timeline": Timeline([("CREATING", START_SECONDS)], "READY", call.world.now()),
        }
        return now(call, call.put("deployment", name, made))

    @service.route("GET", place, query=(*LISTING, "showDeleted"))
    def listed(call: Call) -> Any:
        return page(call, "deployments", [now(call, each) for each in call.listed("deployment")])

    @service.route("GET", f"{place}/{{id}}", query=("readMask",))
    def one(call: Call) -> Any:
        return now(call, call.thing("deployment", resource(call, "deployments")))

    @service.route("DELETE", f"{place}/{{id}}", query=("ignoreChecks", "hard"))
    def delete(call: Call) -> Any:
        found = call.thing("deployment", resource(call, "deployments"))
        if "_deleted" not in found:
            found["_deleted"] = call.world.now()
            call.charge(HOUR * found["_timeline"].elapsed(call.world) / 3600)
        return {}


def now(call: Call, found: dict[str, Any]) -> dict[str, Any]:
    """The deployment as it stands; one that was removed is shown as such."""
    state = found["_timeline"].state(call.world)
    if "_deleted" in found:
        passed = (call.world.now() - found["_deleted"]) * call.world.speed
        state = "DELETING" if passed < STOP_SECONDS else "DELETED"
    return {**public(found), "state": state, "replicaCount": int(state == "READY")}


def deployed(call: Call, model: str, name: str) -> dict[str, Any]:
    """The model of a deployment that is ready, or the refusal that a question meets."""
    found = call.thing("deployment", name)
    if found["baseModel"] != model:
        raise Problem(404, f"Model not found, inaccessible, and/or not deployed: {model}#{name}")
    if now(call, found)["state"] != "READY":
        raise Problem(503, "the deployment is not ready")
    return call.thing("model", model)
