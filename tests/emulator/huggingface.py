"""Hugging Face's router: models of several providers behind one chat, and the Hub's word on a token."""

from typing import Any

from huggingface_hub import ChatCompletionInput

from tests.emulator._openai import add_chat
from tests.emulator._service import Call, Problem, Service, openai_error

MODELS = {
    "meta-llama/Llama-3.1-8B-Instruct": [("novita", "live", 0.02, 0.05), ("nebius", "live", 0.02, 0.06)],
    "Qwen/Qwen3-14B": [("nebius", "live", 0.08, 0.24), ("old", "staging", 0.01, 0.01)],
    "google/gemma-2-2b-it": [("old", "error", 0.01, 0.01)],
}


def error(status: int, message: str, code: str) -> Any:
    """The router words most errors as OpenAI does, a wrong token in the Hub's way."""
    return {"error": message} if status == 401 else openai_error(status, message, code)


SERVICE = Service("huggingface", "/v1", error=error)


def find_model(call: Call, name: str) -> dict[str, Any]:
    """owner/name or owner/name:provider, where that serves it."""
    model, _, provider = name.partition(":")
    live = [each for each in MODELS.get(model, []) if each[1] == "live"]
    if not live or (provider and provider not in [each[0] for each in live] and provider != "cheapest"):
        raise Problem(
            400, f"The requested model '{name}' is not supported by any provider", "model_not_supported"
        )
    return {"id": model}


# huggingface_hub writes its request types as dataclasses made from the published description.
add_chat(SERVICE, ChatCompletionInput, find_model, top=5)


@SERVICE.route("GET", "/v1/models")
def models(call: Call) -> Any:
    return {"object": "list", "data": [_model(name, served) for name, served in MODELS.items()]}


def _model(name: str, served: list[tuple[str, str, float, float]]) -> dict[str, Any]:
    providers = [
        {
            "provider": provider,
            "status": status,
            "context_length": 32_768,
            "pricing": {"input": given, "output": made},
            "supports_tools": True,
            "supports_structured_output": True,
        }
        for provider, status, given, made in served
    ]
    return {
        "id": name,
        "object": "model",
        "created": 1_715_367_049,
        "owned_by": name.split("/")[0],
        "providers": providers,
    }


@SERVICE.route("GET", "/v1/api/whoami-v2")
def whoami(call: Call) -> Any:
    token = {"displayName": "lab", "role": "fineGrained", "createdAt": "2026-01-01T00:00:00.000Z"}
    return {
        "type": "user",
        "id": "0123456789abcdef01234567",
        "name": "emulated",
        "fullname": "Emulated",
        "isPro": False,
        "orgs": [],
        "auth": {"type": "access_token", "accessToken": token},
    }
