"""Google's Gemini API: models and generateContent, with log-probabilities. Answers parse with google-genai's types."""

from typing import Any

from tests.emulator._answers import Drawn, answer, token_count
from tests.emulator._service import Call, Problem, Service

MODELS = {"gemini-3.5-flash": ["generateContent", "countTokens"], "gemini-embedding-001": ["embedContent"]}
STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
}
TEXT = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}
PARTS = {"type": "array", "items": TEXT, "minItems": 1}
CONTENT = {
    "type": "object",
    "properties": {"role": {"enum": ["user", "model"]}, "parts": PARTS},
    "required": ["parts"],
    "additionalProperties": False,
}
CONFIG = {
    "type": "object",
    "properties": {
        "temperature": {"type": "number", "minimum": 0, "maximum": 2},
        "maxOutputTokens": {"type": "integer", "minimum": 1},
        "seed": {"type": "integer"},
        "responseLogprobs": {"type": "boolean"},
        "logprobs": {"type": "integer", "minimum": 0, "maximum": 20},
        "responseMimeType": {"enum": ["text/plain", "application/json"]},
        "responseJsonSchema": {"type": "object"},
        "topP": {"type": "number"},
        "topK": {"type": "number"},
        "stopSequences": {"type": "array", "items": {"type": "string"}},
        "candidateCount": {"type": "integer"},
    },
    "additionalProperties": False,
}
REQUEST = {
    "type": "object",
    "properties": {
        "contents": {"type": "array", "items": CONTENT, "minItems": 1},
        "systemInstruction": CONTENT,
        "generationConfig": CONFIG,
    },
    "required": ["contents"],
    "additionalProperties": False,
}


def error(status: int, message: str, code: str) -> Any:
    """{"error": {"code", "message", "status"}}."""
    return {"error": {"code": status, "message": message, "status": STATUS.get(status, "INTERNAL")}}


SERVICE = Service(
    "gemini", "/v1beta", error=error, key_of=lambda call: call.headers.get("x-goog-api-key") or ""
)


@SERVICE.route("GET", "/v1beta/models", query=("pageSize", "pageToken"))
def models(call: Call) -> Any:
    names = list(MODELS)
    start = int(call.query.get("pageToken") or 0)
    stop = start + int(call.query.get("pageSize", 50))
    more = {"nextPageToken": str(stop)} if stop < len(names) else {}
    return {"models": [_model(name) for name in names[start:stop]], **more}


def _model(name: str) -> dict[str, Any]:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name.replace("-", " ").title(),
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": MODELS[name],
    }


@SERVICE.route("POST", "/v1beta/models/{name}:generateContent", body=REQUEST, paced=True)
def generate(call: Call) -> Any:
    if "generateContent" not in MODELS.get(call.params["name"], []):
        raise Problem(404, f"models/{call.params['name']} is not found for API version v1beta")
    config = call.json.get("generationConfig", {})
    if config.get("logprobs") and not config.get("responseLogprobs"):
        raise Problem(400, "logprobs needs responseLogprobs")
    drawn = answer(call.world, call.params["name"], [_message(each) for each in call.json["contents"]])
    given, made = token_count(str(call.json["contents"])), token_count(drawn.text)
    call.charge((1.5 * given + 9.0 * made) / 1e6)
    candidate: dict[str, Any] = {
        "content": {"role": "model", "parts": [{"text": drawn.text}]},
        "finishReason": "STOP",
        "index": 0,
    }
    if config.get("responseLogprobs"):
        candidate["logprobsResult"] = _logprobs(drawn, config.get("logprobs", 0))
    usage = {"promptTokenCount": given, "candidatesTokenCount": made, "totalTokenCount": given + made}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": call.params["name"]}


def _message(content: dict[str, Any]) -> dict[str, str]:
    role = "assistant" if content.get("role") == "model" else "user"
    return {"role": role, "content": "".join(part["text"] for part in content["parts"])}


def _logprobs(drawn: Drawn, top: int) -> dict[str, Any]:
    tokens = drawn.tokens(top)
    chosen = [{"token": each["token"], "logProbability": each["logprob"]} for each in tokens]
    likely = [
        {"candidates": [{"token": token, "logProbability": value} for token, value in each["top"]]}
        for each in tokens
    ]
    return {"chosenCandidates": chosen, "topCandidates": likely}
