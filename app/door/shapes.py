"""Answers in OpenAI's shape: chat.completion, its chunks, tokens with their log-probabilities. Pure; used by answer.py and
those who ask.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Usage:
    """How many tokens an answer took; None: not told."""

    input_tokens: int | None = None
    output_tokens: int | None = None

    def add(self, input_tokens: int | None, output_tokens: int | None) -> None:
        """One more choice: the prompt is read once."""
        if input_tokens is not None:
            self.input_tokens = max(self.input_tokens or 0, input_tokens)
        if output_tokens is not None:
            self.output_tokens = (self.output_tokens or 0) + output_tokens

    def json(self) -> dict[str, int]:
        """As OpenAI writes it."""
        read, written = self.input_tokens or 0, self.output_tokens or 0
        return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


@dataclass(frozen=True)
class Delta:
    """A piece of one choice. `delta` is OpenAI's: {"content": ...}, {"tool_calls": [...]}; `tokens` are those of the
    piece as token_json() gives them; `finish` ends the choice; `p`: probabilities of the labels."""

    index: int = 0
    delta: Mapping[str, Any] = field(default_factory=dict)
    tokens: list[dict[str, Any]] | None = None
    finish: str | None = None
    p: Mapping[str, float] | None = None


@dataclass(frozen=True)
class ChatAnswer:
    """A whole answer. `model` is what answered; `p`: for each choice the probabilities of the labels, None where answers
    are no closed set."""

    id: str
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: Usage
    p: list[Mapping[str, float] | None]
    latency_ms: float = 0.0

    @property
    def text(self) -> str:
        """What the first choice says."""
        return str(self.choices[0]["message"].get("content") or "") if self.choices else ""

    def json(self) -> dict[str, Any]:
        """The chat.completion."""
        found = {
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": self.choices,
            "usage": self.usage.json(),
            "system_fingerprint": None,
        }
        return {**found, "label_probabilities": self.p[0]} if any(self.p) else found


def token_json(token: str, logprob: float, top: Iterable[tuple[str, float]]) -> dict[str, Any]:
    """One token as OpenAI's logprobs hold it."""
    return {**_token(token, logprob), "top_logprobs": [_token(name, value) for name, value in top]}


def _token(token: str, logprob: float) -> dict[str, Any]:
    # JSON has no infinity; OpenAI writes this for what is next to impossible.
    return {"token": token, "logprob": max(logprob, -9999.0), "bytes": list(token.encode("utf-8", "replace"))}


def chunk_json(id: str, created: int, model: str, delta: Delta, wants_logprobs: bool) -> dict[str, Any]:
    """The chat.completion.chunk of one piece."""
    logprobs = (
        {"content": delta.tokens, "refusal": None} if wants_logprobs and delta.tokens is not None else None
    )
    choice = {
        "index": delta.index,
        "delta": dict(delta.delta),
        "logprobs": logprobs,
        "finish_reason": delta.finish,
    }
    return {
        "id": id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
        "choices": [choice],
        "system_fingerprint": None,
    }


@dataclass
class Gathered:
    """The pieces of one choice put together."""

    texts: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    tokens: list[dict[str, Any]] = field(default_factory=list)
    finish: str = "stop"
    p: Mapping[str, float] | None = None

    def add(self, piece: Delta) -> None:
        """One more piece."""
        self.texts.append(str(piece.delta.get("content") or ""))
        self.refusals.append(str(piece.delta.get("refusal") or ""))
        for call in piece.delta.get("tool_calls") or []:
            _add_call(self.calls, call)
        self.tokens += piece.tokens or []
        self.finish = piece.finish or self.finish
        self.p = piece.p or self.p

    def json(self, index: int, wants_logprobs: bool) -> dict[str, Any]:
        """The choice of a chat.completion."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.texts), "refusal": None}
        if any(self.refusals):
            message["refusal"] = "".join(self.refusals)
        if self.calls:
            message["tool_calls"] = [self.calls[at] for at in sorted(self.calls)]
            message["content"] = message["content"] or None
        logprobs = {"content": self.tokens, "refusal": None} if wants_logprobs else None
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": self.finish}


def _add_call(calls: dict[int, dict[str, Any]], call: Mapping[str, Any]) -> None:
    at = int(call.get("index") or 0)
    empty = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
    found = calls.setdefault(at, empty)
    found["id"] = found["id"] or call.get("id") or ""
    said = call.get("function") or {}
    for name in ("name", "arguments"):
        found["function"][name] += said.get(name) or ""


def called_tools(text: str, names: set[str]) -> tuple[str, list[dict[str, Any]]]:
    """(text before, calls) of an answer that ends with tool calls, as models here are trained to write them: one line of
    JSON, [{"name", "arguments"}]. No calls where it does not."""
    before, _, last = text.rstrip().rpartition("\n")
    try:
        found = json.loads(last)
    except (ValueError, RecursionError):
        return text, []
    calls = found if isinstance(found, list) else [found]
    if not calls or not all(isinstance(each, dict) and each.get("name") in names for each in calls):
        return text, []
    return before, [{"name": each["name"], "arguments": _arguments(each.get("arguments"))} for each in calls]


def _arguments(given: Any) -> str:
    return given if isinstance(given, str) else json.dumps({} if given is None else given, ensure_ascii=False)
