"""Azure OpenAI's data plane: the OpenAI shape with an api-key header, files that are checked first, deployments.

Deployments are made by its control plane, which is not emulated: deploy(world, name, model) does what a person does.
"""

from typing import Any

from openai.types.chat import completion_create_params
from openai.types.fine_tuning import job_create_params

from tests.emulator._openai import add_chat, add_files
from tests.emulator._openai_jobs import Rules, add_jobs, settle
from tests.emulator._service import Call, Problem, Service, public
from tests.emulator._world import World

MODELS = ("gpt-4.1-mini-2025-04-14", "gpt-4.1-2025-04-14", "gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06")
RULES = Rules(
    models=MODELS,
    name_model=lambda job: f"{job['model']}.ft-{job['id'][7:]}-{job['user_provided_suffix'] or 'none'}",
    dollars=lambda model: 5.0,
    file_start=b"\xef\xbb\xbf",
)


def azure_error(status: int, message: str, code: str) -> Any:
    """{"error": {code, message}}"""
    return {"error": {"code": code or str(status), "message": message}}


def deploy(world: World, name: str, model: str) -> None:
    """A deployment made by hand."""
    world.things["azure", "main", "deployment"][name] = {"model": model, "_at": world.now()}


SERVICE = Service(
    "azure",
    "/openai/v1",
    azure_error,
    key_of=lambda call: call.headers.get("api-key") or "",
    by_hand=lambda world, model: deploy(world, model, model),
)


def deployed(call: Call, name: str) -> dict[str, Any]:
    """The model behind a deployment."""
    settle(call, RULES)
    found = call.things("deployment").get(name)
    if found is None:
        said = "The API deployment for this resource does not exist."
        raise Problem(404, said, "DeploymentNotFound")
    return call.things("model").get(found["model"], {"id": found["model"]})


add_files(SERVICE, checked_in=10.0)
add_jobs(SERVICE, job_create_params.JobCreateParams, RULES)
add_chat(SERVICE, completion_create_params.CompletionCreateParamsNonStreaming, deployed)


@SERVICE.route("GET", "/openai/v1/models")
def models(call: Call) -> Any:
    settle(call, RULES)
    base = [
        {
            "id": name,
            "object": "model",
            "created": 1715367049,
            "owned_by": "azure",
            "status": "succeeded",
            "capabilities": {"fine_tune": name in MODELS, "inference": True, "chat_completion": True},
            "lifecycle_status": "generally-available",
            "deprecation": {"fine_tune": 1806537600, "inference": 1822262400},
        }
        for name in (*MODELS, "gpt-5.4")
    ]
    tuned = [
        {**public(each), "capabilities": {"fine_tune": True, "inference": True}}
        for each in call.things("model").values()
    ]
    return {"object": "list", "data": [*base, *tuned]}
