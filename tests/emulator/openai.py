"""OpenAI's API: files, fine-tuning jobs, batches, chat, models. Requests are checked by the types of its SDK."""

from typing import Any

from openai.types import batch_create_params
from openai.types.chat import completion_create_params
from openai.types.fine_tuning import job_create_params

from tests.emulator._openai import add_batches, add_chat, add_files, owned_model
from tests.emulator._openai_jobs import Rules, add_jobs, settle
from tests.emulator._service import Call, Problem, Service, public

DOLLARS = {
    "gpt-4.1-mini-2025-04-14": 5.0,
    "gpt-4.1-2025-04-14": 25.0,
    "gpt-4o-mini-2024-07-18": 3.0,
    "gpt-4o-2024-08-06": 25.0,
}
OTHERS = ("gpt-5.4", "gpt-5.4-mini", "text-embedding-3-small", "whisper-1")
RULES = Rules(
    models=tuple(DOLLARS),
    name_model=lambda job: f"ft:{job['model']}:emulated:{job['user_provided_suffix'] or ''}:{job['id'][6:]}",
    dollars=lambda model: DOLLARS.get(model, 25.0),
)
SERVICE = Service("openai", "/v1")


def find_model(call: Call, name: str) -> dict[str, Any]:
    """A tuned model, a base model, or 404."""
    settle(call, RULES)
    return owned_model(call, name)


add_files(SERVICE)
add_jobs(SERVICE, job_create_params.JobCreateParams, RULES)
add_batches(SERVICE, batch_create_params.BatchCreateParams, find_model)
add_chat(SERVICE, completion_create_params.CompletionCreateParamsNonStreaming, find_model)


def base_model(name: str) -> dict[str, Any]:
    """As the list shows it."""
    ends = "2027-01-14" if name in DOLLARS else None
    return {
        "id": name,
        "object": "model",
        "created": 1715367049,
        "owned_by": "system",
        "shutdown_date": ends,
    }


@SERVICE.route("GET", "/v1/models")
def models(call: Call) -> Any:
    settle(call, RULES)
    tuned = [{**public(each), "shutdown_date": "2027-01-14"} for each in call.things("model").values()]
    return {"object": "list", "data": [*(base_model(name) for name in (*DOLLARS, *OTHERS)), *tuned]}


@SERVICE.route("GET", "/v1/models/{id}")
def model(call: Call) -> Any:
    settle(call, RULES)
    if call.params["id"] in (*DOLLARS, *OTHERS):
        return base_model(call.params["id"])
    return public(call.thing("model", call.params["id"]))


@SERVICE.route("DELETE", "/v1/models/{id}")
def delete(call: Call) -> Any:
    if call.params["id"] in DOLLARS:
        raise Problem(403, "You have insufficient permissions for this operation.")
    call.thing("model", call.params["id"])
    del call.things("model")[call.params["id"]]
    return {"id": call.params["id"], "object": "model", "deleted": True}
