"""Anthropic's Messages API. Requests are checked by the types of its SDK."""

from itertools import pairwise
from typing import Any

from anthropic.types import message_create_params

from tests.emulator._answers import answer, token_count, words_of
from tests.emulator._service import Answer, Call, Problem, Service, bearer

MODELS = {
    "claude-haiku-4-5": ("Claude Haiku 4.5", "active"),
    "claude-sonnet-5-5": ("Claude Sonnet 5.5", "active"),
    "claude-3-opus-20240229": ("Claude Opus 3", "retired"),
}
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
VERSION = "2026-10-21"


def error(status: int, message: str, code: str) -> Any:
    """{"type": "error", "error": {...}}."""
    return {"type": "error", "error": {"type": KINDS.get(status, "api_error"), "message": message}}


def key(call: Call) -> str:
    """The key; without the version nothing is answered."""
    if call.headers.get("anthropic-version") != VERSION:
        raise Problem(400, "anthropic-version: header is required")
    return bearer(call)


SERVICE = Service("anthropic", "/v1", error=error, key_of=key)


@SERVICE.route("GET", "/v1/models", query=("limit", "after_id", "before_id", "lifecycle"))
def models(call: Call) -> Any:
    names = list(MODELS)
    start = names.index(call.query["after_id"]) + 1 if call.query.get("after_id") in names else 0
    page = names[start : start + int(call.query.get("limit", 20))]
    more = start + len(page) < len(names)
    ends = {"first_id": page[0] if page else None, "last_id": page[-1] if page else None}
    return {"data": [_model(name) for name in page], "has_more": more, **ends}


def _model(name: str) -> dict[str, Any]:
    label, lifecycle = MODELS[name]
    return {
        "type": "model",
        "id": name,
        "display_name": label,
        "created_at": "2026-02-01T00:00:00Z",
        "lifecycle": lifecycle,
        "deprecated_at": None,
        "retires_at": "2027-10-15T00:00:00Z" if name == "claude-haiku-4-5" else None,
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
    }


@SERVICE.route("POST", "/v1/messages", body=message_create_params.MessageCreateParamsNonStreaming, paced=True)
def create(call: Call) -> Any:
    asked = call.json
    if MODELS.get(asked["model"], ("", "retired"))[1] == "retired":
        raise Problem(404, f"model: {asked['model']}")
    roles = [each["role"] for each in asked["messages"]]
    if roles[0] != "user" or any(one == other for one, other in pairwise(roles)):
        raise Problem(400, "messages: roles must alternate, beginning with user")
    drawn = answer(call.world, asked["model"], asked["messages"])
    given = token_count(words_of(asked["messages"])) + token_count(str(asked.get("system", "")))
    made = min(token_count(drawn.text), asked["max_tokens"])
    call.charge((1.0 * given + 5.0 * made) / 1e6)
    message = {
        "id": call.world.new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
        "content": [{"type": "text", "text": drawn.text, "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": given, "output_tokens": made},
    }
    reset = {"anthropic-ratelimit-requests-reset": "2020-01-01T00:00:00Z"}
    return Answer(message, headers={"anthropic-ratelimit-requests-remaining": "49", **reset})
