"""POST /chat/completions in OpenAI's shape, for every service that speaks it: the body, the reply, the limits told."""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.providers._shapes import Decoding, Pace, Question, Reply
from app.service_http import Api
from app.service_json import mapping, number, rows, text, whole

SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

PATH = "chat/completions"


@dataclass(frozen=True)
class ChatRequest:
    """One question as it is sent to a service that speaks OpenAI's chat: where, and what."""

    api: Api
    body: dict[str, Any]
    path: str = PATH


def chat_body(
    model: str, question: Question, decoding: Decoding, most_tokens: str = "max_tokens"
) -> dict[str, Any]:
    """What is sent; `most_tokens` is the service's name for the bound on the answer."""
    body: dict[str, Any] = {
        "model": model,
        "messages": list(question.messages),
        "temperature": decoding.temperature,
        most_tokens: decoding.max_tokens,
    }
    if decoding.seed is not None:
        body["seed"] = decoding.seed
    if question.tools:
        body["tools"] = list(question.tools)
    if decoding.top_logprobs:
        body |= {"logprobs": True, "top_logprobs": decoding.top_logprobs}
    if decoding.schema is not None:
        shape = {"name": "answer", "schema": decoding.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": shape}
    return body


def ask_chat(
    api: Api,
    body: Mapping[str, Any],
    path: str = PATH,
    pace: Callable[[Mapping[str, str]], Pace] | None = None,
) -> Reply:
    """Sends one question; `pace` reads the headers of a service that names its limits in its own way. Raises
    errors.Unclear where the answer holds no choice."""
    started = time.monotonic()
    answer = api.send("POST", path, json=body)
    milliseconds = (time.monotonic() - started) * 1000
    raw = api.decode(answer.content)
    return reply_of(api, raw, milliseconds, (pace or pace_of)(answer.headers))


def reply_of(api: Api, raw: Any, latency_ms: float | None = None, pace: Pace = Pace()) -> Reply:
    """A chat.completion as a Reply. Raises errors.Unclear where it holds no choice."""
    choice = next(iter(rows(raw, "choices")), None)
    if choice is None:
        raise api.unclear("sent an answer without a choice")
    usage, likely = mapping(raw, "usage"), tokens_of(choice)
    return Reply(
        text=message_text(mapping(choice, "message")),
        input_tokens=whole(usage, "prompt_tokens"),
        output_tokens=whole(usage, "completion_tokens"),
        latency_ms=latency_ms,
        finish=text(choice, "finish_reason"),
        logprob=sum(own for own, _top in likely) if likely else None,
        top_logprobs=[top for _own, top in likely] if any(top for _own, top in likely) else None,
        pace=pace,
    )


def message_text(message: Mapping[str, Any]) -> str:
    """What the model said: its text or refusal, then its tool calls as one line of JSON, as the items' own answers
    are written."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(text(part, "text") for part in content if isinstance(part, Mapping))
    said = str(content or text(message, "refusal"))
    calls = [call["function"] for call in rows(message, "tool_calls") if mapping(call, "function")]
    if not calls:
        return said
    written = json.dumps(calls, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return f"{said}\n{written}" if said else written


def tokens_of(choice: Mapping[str, Any]) -> list[tuple[float, list[tuple[str, float]]]]:
    """(log-probability, likeliest tokens) of each token of the answer; [] where the service gives none."""
    found = []
    for each in rows(mapping(choice, "logprobs"), "content"):
        own = number(each, "logprob")
        top = [
            (text(other, "token"), value)
            for other in rows(each, "top_logprobs")
            if (value := number(other, "logprob")) is not None
        ]
        if own is not None:
            found.append((own, top))
    return found or _older_tokens_of(mapping(choice, "logprobs"))


def _older_tokens_of(raw: Mapping[str, Any]) -> list[tuple[float, list[tuple[str, float]]]]:
    """The same from the shape of the older completions: lists side by side, an object of likely tokens for each."""
    own, tops = raw.get("token_logprobs"), raw.get("top_logprobs")
    if not isinstance(own, list):
        return []
    # Together's description has a single object here, which can only be read for a single token.
    tops = [tops] if isinstance(tops, Mapping) and len(own) == 1 else tops
    tops = tops if isinstance(tops, list) and len(tops) == len(own) else [None] * len(own)
    return [
        (value, [(name, each) for name in mapping(top) if (each := number(mapping(top), name)) is not None])
        for place, top in enumerate(tops)
        if (value := number({"": own[place]}, "")) is not None
    ]


def pace_of(headers: Mapping[str, str]) -> Pace:
    """The x-ratelimit headers as OpenAI and many others write them."""

    def count(name: str) -> int | None:
        found = headers.get(f"x-ratelimit-remaining-{name}", "")
        return int(found) if found.isdigit() else None

    return Pace(
        count("requests"),
        span(headers.get("x-ratelimit-reset-requests", "")),
        count("tokens"),
        span(headers.get("x-ratelimit-reset-tokens", "")),
    )


def span(written: str) -> float | None:
    """Seconds of "6m0s", "1.5s", "20ms" or "12"; None for anything else."""
    written = written.strip()
    if re.fullmatch(r"\d+(\.\d+)?", written):
        return float(written)
    found = SPAN.findall(written)
    if not found or "".join(value + unit for value, unit in found) != written:
        return None
    return sum(float(value) * SECONDS[unit] for value, unit in found)
