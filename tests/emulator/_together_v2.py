"""Together's version 2: supported models, configurations, endpoints, deployments, traffic; and whose key it is.

A deployment becomes ready after a while, costs by the hour, and stops itself after its inactive timeout.
"""

from typing import Any

from together.types import endpoint_create_params, endpoint_update_params
from together.types.endpoints import deployment_create_params, deployment_update_params

from tests.emulator import _together_jobs
from tests.emulator._camel import camel_schema
from tests.emulator._service import Answer, Call, Problem, Service, public
from tests.emulator._world import Timeline

PROJECT = "proj_emulated"
SLUG = "emulated-lab"
HARDWARE = "1xnvidia-h100-80gb"
HOUR = 3.99
START_SECONDS, STOP_SECONDS = 120.0, 30.0
PATH = ("project_id", "endpoint_id", "update_mask")


def add_deployments(service: Service) -> None:
    """All routes of /v2 and /v3 that a deployment needs."""
    base = "/v2/projects/{project}"

    @service.route("GET", "/v3/whoami")
    def whoami(call: Call) -> Any:
        project = {"id": PROJECT, "name": "Emulated lab", "slug": SLUG}
        organization = {"id": "org_emulated", "name": "Emulated organisation"}
        key = {"api_key": {"id": "key_1"}, "type": "project_api_key"}
        return {**key, "organization": organization, "project": project}

    listing = ("product", "search", "after", "limit", "modality", "adapterMode")

    @service.route("GET", "/v2/supported-models", query=listing)
    def supported(call: Call) -> Any:
        wanted, search = call.query.get("product"), call.query.get("search", "").lower()
        found = [_supported(name) for name in _together_jobs.MODELS if search in name.lower()]
        return _page(call, [each for each in found if not wanted or wanted in each["products"]])

    @service.route("GET", f"{base}/models/{{id}}")
    def model(call: Call) -> Any:
        found = call.thing("model", call.params["id"])
        return {
            "id": found["id"],
            "name": f"{SLUG}/{found['name']}",
            "organizationId": "org_emulated",
            "projectId": PROJECT,
            "visibility": "VISIBILITY_PRIVATE",
            "weights": {"type": "WEIGHTS_TYPE_DEFAULT"},
            "baseModelId": _base_id(found["_base"]),
        }

    @service.route("GET", f"{base}/configs", query=("referenceModel", "referenceModelId", "after", "limit"))
    def configs(call: Call) -> Any:
        wanted = call.query.get("referenceModelId")
        served = {_base_id(name) for name in _together_jobs.MODELS if name != _together_jobs.UNSERVED}
        sizes = (("8", "cr_big"), ("1", "cr_small")) if wanted in served else ()
        return _page(call, [_config(wanted or "", id, gpus) for gpus, id in sizes])

    _add_endpoints(service, f"{base}/endpoints")


def _add_endpoints(service: Service, base: str) -> None:
    @service.route("POST", base, body=camel_schema(endpoint_create_params.EndpointCreateParams, PATH))
    def create(call: Call) -> Any:
        name = call.json["name"].rpartition("/")[2]
        if any(each["_name"] == name for each in call.things("endpoint").values()):
            raise Problem(409, f"Endpoint {name} exists already", "already_exists")
        id = call.world.new_id("ep_")
        made = {"id": id, "_name": name, "_split": [], "createdAt": _together_jobs.iso(call.world.now())}
        return endpoint_now(call, call.put("endpoint", id, made))

    @service.route("GET", base, query=("after", "limit", "filter", "orderBy"))
    def listed(call: Call) -> Any:
        return _page(call, [endpoint_now(call, each) for each in call.listed("endpoint")])

    @service.route("GET", f"{base}/{{id}}")
    def one(call: Call) -> Any:
        return endpoint_now(call, call.thing("endpoint", call.params["id"]))

    update = camel_schema(endpoint_update_params.EndpointUpdateParams, PATH)

    @service.route("PATCH", f"{base}/{{id}}", body=update, query=("updateMask",))
    def patch(call: Call) -> Any:
        endpoint = call.thing("endpoint", call.params["id"])
        endpoint["_split"] = call.json.get("trafficSplit", endpoint["_split"])
        return endpoint_now(call, endpoint)

    @service.route("DELETE", f"{base}/{{id}}")
    def delete(call: Call) -> Any:
        if _below(call, call.thing("endpoint", call.params["id"])["id"]):
            raise Problem(400, "The endpoint has deployments", "failed_precondition")
        del call.things("endpoint")[call.params["id"]]
        return {}

    _add_below(service, f"{base}/{{endpoint}}/deployments")


def _add_below(service: Service, base: str) -> None:
    create_body = camel_schema(deployment_create_params.DeploymentCreateParams, (*PATH, "validate_only"))

    @service.route("POST", base, body=create_body, query=("validateOnly",))
    def create(call: Call) -> Any:
        endpoint, asked = call.thing("endpoint", call.params["endpoint"]), call.json
        if any(each["_name"] == asked["name"] for each in _below(call, endpoint["id"])):
            raise Problem(409, f"Deployment {asked['name']} exists already", "already_exists")
        model = call.thing("model", asked["model"].rpartition("/")[2])
        if not asked.get("config", "").endswith(("cr_small", "cr_big")):
            raise Problem(400, "The config does not fit the model", "invalid_argument")
        if asked.get("inactiveTimeout") and not 30 <= asked["inactiveTimeout"] <= 1440:
            raise Problem(400, "inactiveTimeout must be 0, or 30 to 1440", "invalid_argument")
        id = call.world.new_id("dep_")
        call.made("deployment", id, endpoint["_name"])
        made = {
            "id": id,
            "model": f"{asked['model']}/revisions/rv_1",
            "modelId": model["id"],
            "autoscaling": asked["autoscaling"],
            "inactiveTimeout": asked.get("inactiveTimeout", 0),
            "config": asked["config"],
            "createdAt": _together_jobs.iso(call.world.now()),
            "_name": asked["name"],
            "_endpoint": endpoint["id"],
            "_used": call.world.now(),
            "_timeline": Timeline([("PROVISIONING", START_SECONDS)], "READY", call.world.now()),
        }
        return Answer(deployment_now(call, call.put("deployment", id, made)), 200)

    @service.route("GET", f"{base}/{{id}}")
    def one(call: Call) -> Any:
        return deployment_now(call, call.thing("deployment", call.params["id"]))

    update = camel_schema(deployment_update_params.DeploymentUpdateParams, PATH)

    @service.route("PATCH", f"{base}/{{id}}", body=update, query=("updateMask",))
    def patch(call: Call) -> Any:
        deployment = call.thing("deployment", call.params["id"])
        deployment["autoscaling"] = call.json.get("autoscaling", deployment["autoscaling"])
        if deployment["autoscaling"].get("maxReplicas") == 0:
            _stop(call, deployment)
        return deployment_now(call, deployment)

    @service.route("DELETE", f"{base}/{{id}}")
    def delete(call: Call) -> Any:
        deployment = call.thing("deployment", call.params["id"])
        if state_of(call, deployment) != "STOPPED":
            raise Problem(400, "The deployment must be stopped first", "failed_precondition")
        del call.things("deployment")[deployment["id"]]
        return {}


def _stop(call: Call, deployment: dict[str, Any]) -> None:
    if "_stopped" not in deployment:
        deployment["_stopped"] = call.world.now()
        seconds = deployment["_timeline"].elapsed(call.world)
        call.charge(HOUR * seconds / 3600)


def state_of(call: Call, deployment: dict[str, Any]) -> str:
    """Its state now; it stops itself when nobody has asked it for as long as was said."""
    world = call.world
    idle, allowed = (world.now() - deployment["_used"]) * world.speed, 60 * deployment["inactiveTimeout"]
    if allowed and idle > allowed + START_SECONDS:
        _stop(call, deployment)
    if "_stopped" in deployment:
        passed = (world.now() - deployment["_stopped"]) * world.speed
        return "STOPPING" if passed < STOP_SECONDS else "STOPPED"
    return deployment["_timeline"].state(world)


def deployment_now(call: Call, deployment: dict[str, Any]) -> dict[str, Any]:
    """The deployment's own shape."""
    endpoint = call.thing("endpoint", deployment["_endpoint"])
    return {
        **public(deployment),
        "configId": deployment["config"].rpartition("/")[2],
        "endpointId": endpoint["id"],
        "etag": "1",
        "hardware": HARDWARE,
        "modelRevisionId": "rv_1",
        "name": f"{SLUG}/{endpoint['_name']}/{deployment['_name']}",
        "projectId": PROJECT,
        "status": {"message": "", "state": f"DEPLOYMENT_STATE_{state_of(call, deployment)}"},
        "trafficMode": "TRAFFIC_MODE_LIVE",
        "updatedAt": deployment["createdAt"],
    }


def endpoint_now(call: Call, endpoint: dict[str, Any]) -> dict[str, Any]:
    """The endpoint with a row for each deployment."""
    return {
        **public(endpoint),
        "endpointType": "ENDPOINT_TYPE_DEDICATED",
        "etag": "1",
        "name": f"{SLUG}/{endpoint['_name']}",
        "projectId": PROJECT,
        "trafficSplit": endpoint["_split"],
        "updatedAt": endpoint["createdAt"],
        "visibility": "VISIBILITY_PRIVATE",
        "deployments": [
            {
                "id": each["id"],
                "autoscaling": each["autoscaling"],
                "createdAt": each["createdAt"],
                "estimatedEffectiveTrafficShare": 1.0,
                "hardware": HARDWARE,
                "model": each["model"],
                "modelId": each["modelId"],
                "name": each["_name"],
                "state": f"DEPLOYMENT_STATE_{state_of(call, each)}",
                "trafficMode": "TRAFFIC_MODE_LIVE",
            }
            for each in _below(call, endpoint["id"])
        ],
    }


def deployed(call: Call, name: str) -> dict[str, Any]:
    """The model behind an endpoint's name, or the refusal that a question meets."""
    for endpoint in call.things("endpoint").values():
        if f"{SLUG}/{endpoint['_name']}" == name:
            live = {each["deploymentId"] for each in endpoint["_split"] if each["weight"] > 0}
            for each in _below(call, endpoint["id"]):
                if each["id"] in live and state_of(call, each) == "READY":
                    each["_used"] = call.world.now()
                    return call.thing("model", each["modelId"])
            raise Problem(503, "No deployment of this endpoint is ready", "not_ready")
    raise Problem(404, f"Unable to access model {name}", "model_not_available")


def _below(call: Call, endpoint: str) -> list[dict[str, Any]]:
    return [each for each in call.things("deployment").values() if each["_endpoint"] == endpoint]


def _page(call: Call, found: list[dict[str, Any]]) -> dict[str, Any]:
    """One page at a time; `next_cursor` names the next."""
    start, most = int(call.query.get("after", 0)), int(call.query.get("limit", 2))
    more = start + most < len(found)
    next_cursor = str(start + most) if more else None
    return {"data": found[start : start + most], "object": "list", "next_cursor": next_cursor}


def _base_id(model: str) -> str:
    return "ml_" + model.replace("/", "-").lower()


def _supported(name: str) -> dict[str, Any]:
    profile = {
        "certifiedConfigRevisionId": "cr_small",
        "certifiedModelRevisionId": "rv_1",
        "config": f"projects/{PROJECT}/configs/cr_small",
        "gpuCount": 1,
        "gpuType": "nvidia-h100-80gb",
        "model": f"projects/{PROJECT}/models/{_base_id(name)}",
        "modelName": name,
        "parallelism": "TP1",
        "performanceBenchmarks": {},
        "profileId": "cr_small",
        "quantization": "BF16",
    }
    served = name != _together_jobs.UNSERVED
    return {
        "id": f"sm_{_base_id(name)}",
        "name": name,
        "baseModel": f"projects/{PROJECT}/models/{_base_id(name)}",
        "baseModelId": _base_id(name),
        "capabilities": ["CAPABILITY_CHAT"],
        "createdAt": "2026-09-01T00:00:00Z",
        "updatedAt": "2026-09-01T00:00:00Z",
        "deploymentProfiles": [profile] if served else [],
        "displayName": name.partition("/")[2],
        "displayType": "chat",
        "inputModalities": ["MODALITY_TEXT"],
        "outputModalities": ["MODALITY_TEXT"],
        "products": ["PRODUCT_FINE_TUNING", *(["PRODUCT_DEDICATED"] if served else [])],
        "publisher": name.partition("/")[0],
        "status": "SUPPORTED_MODEL_STATUS_SUPPORTED",
    }


def _config(reference: str, id: str, gpus: str) -> dict[str, Any]:
    selectors = {"accelerator_type": "nvidia-h100-80gb", "accelerator_count": gpus}
    return {
        "id": id,
        "certifications": [],
        "projectId": "proj_together",
        "referenceModel": f"projects/proj_together/models/{reference}",
        "referenceModelId": reference,
        "selectors": [{"key": key, "value": value} for key, value in selectors.items()],
    }
