"""Google Gemini: prompting through generateContent, with log-probabilities. Nothing is trained here."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from app.providers._base import Chat, Provider
from app.providers._shapes import Decoding, KeyCheck, Offer, Price, Question, Reply
from app.service_http import Access, Api
from app.service_json import mapping, number, rows, text, whole

READ = "price guides of May 2026, read 2026-11-25; thinking tokens count as output"
PRICES = {"gemini-3.5-flash": (1.5, 9.0), "gemini-3-flash-preview": (0.5, 3.0)}
PAGE = 1000


def connect(access: Access, client: httpx.Client) -> Api:
    """With the key in its own header."""
    return Api(access, client, {"x-goog-api-key": access.key})


def check_key(api: Api) -> KeyCheck:
    """Lists one model: free, and refused for a wrong key."""
    api.get("models", params={"pageSize": 1})
    return KeyCheck("", "The key may list models. Whose project it is, the service does not say.")


def list_models(api: Api) -> list[Offer]:
    """The models that generate content."""
    found: list[Offer] = []
    token = ""
    while True:
        page = mapping(
            api.get("models", params={"pageSize": PAGE, **({"pageToken": token} if token else {})})
        )
        found += [_offer(each) for each in rows(page, "models") if _answers(each)]
        if text(page, "nextPageToken") in ("", token):
            return found
        token = text(page, "nextPageToken")


def _answers(raw: Mapping[str, Any]) -> bool:
    methods = raw.get("supportedGenerationMethods")
    return isinstance(methods, list) and "generateContent" in methods


def _offer(raw: Mapping[str, Any]) -> Offer:
    name = text(raw, "name").removeprefix("models/")
    pair = PRICES.get(name)
    return Offer(
        name,
        text(raw, "displayName"),
        context_tokens=whole(raw, "inputTokenLimit"),
        price=Price(READ, None, *pair) if pair else None,
        raw=raw,
    )


def body(question: Question, decoding: Decoding) -> dict[str, Any]:
    """What is sent: contents by turns, the system messages in their own field."""
    system = [str(each.get("content") or "") for each in question.messages if _is_system(each)]
    config: dict[str, Any] = {"temperature": decoding.temperature, "maxOutputTokens": decoding.max_tokens}
    if decoding.seed is not None:
        config["seed"] = decoding.seed
    if decoding.top_logprobs:
        config |= {"responseLogprobs": True, "logprobs": decoding.top_logprobs}
    if decoding.schema is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": dict(decoding.schema)}
    asked: dict[str, Any] = {
        "contents": [_turn(each) for each in question.messages if not _is_system(each)],
        "generationConfig": config,
    }
    if system:
        asked["systemInstruction"] = {"parts": [{"text": "\n\n".join(system)}]}
    return asked


def _is_system(message: Mapping[str, Any]) -> bool:
    return message.get("role") in ("system", "developer")


def _turn(message: Mapping[str, Any]) -> dict[str, Any]:
    role = "model" if message.get("role") == "assistant" else "user"
    return {"role": role, "parts": [{"text": str(message.get("content") or "")}]}


def ask(api: Api, model: str, question: Question, decoding: Decoding) -> Reply:
    """One answer. A prompt that the service blocks gives an empty text and its reason as `finish`."""
    started = time.monotonic()
    raw = api.post(f"models/{model}:generateContent", body(question, decoding))
    milliseconds = (time.monotonic() - started) * 1000
    candidate = next(iter(rows(raw, "candidates")), None)
    blocked = text(mapping(raw, "promptFeedback"), "blockReason")
    if candidate is None and not blocked:
        raise api.unclear("sent an answer without a candidate")
    candidate, usage = candidate or {}, mapping(raw, "usageMetadata")
    parts = rows(mapping(candidate, "content"), "parts")
    answered, thought = whole(usage, "candidatesTokenCount"), whole(usage, "thoughtsTokenCount")
    likely = mapping(candidate, "logprobsResult")
    return Reply(
        "".join(text(each, "text") for each in parts if each.get("thought") is not True),
        whole(usage, "promptTokenCount"),
        None if answered is None and thought is None else (answered or 0) + (thought or 0),
        milliseconds,
        text(candidate, "finishReason") or blocked,
        _sum(rows(likely, "chosenCandidates")),
        [_top(each) for each in rows(likely, "topCandidates")] or None,
    )


def _sum(chosen: Sequence[Mapping[str, Any]]) -> float | None:
    values = [value for each in chosen if (value := number(each, "logProbability")) is not None]
    return sum(values) if values else None


def _top(raw: Mapping[str, Any]) -> list[tuple[str, float]]:
    return [
        (text(each, "token"), value)
        for each in rows(raw, "candidates")
        if (value := number(each, "logProbability")) is not None
    ]


PROVIDER = Provider(
    name="gemini",
    label="Google Gemini",
    description="Gemini models by prompting, zero-shot or with examples; nothing is trained.",
    base_url="https://generativelanguage.googleapis.com/v1beta",
    key_help="https://aistudio.google.com/apikey",
    docs_url="https://ai.google.dev/api/generate-content",
    notice="Thinking models spend tokens of the answer before they say anything: give them room.",
    undisclosed=("thinking, where the model does it",),
    connect=connect,
    check_key=check_key,
    list_models=list_models,
    chat=Chat(ask=ask, top_logprobs=5),
)
