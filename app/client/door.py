"""Asking a model through the OpenAI-compatible door. Made by client.py."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from .errors import Answered

if TYPE_CHECKING:
    from .client import Client

Messages = str | Sequence[Mapping[str, Any]]
PATH = "/v1/chat/completions"


@dataclass(frozen=True)
class Answer:
    """What a model said. `top` are the likeliest first tokens with their probabilities, where they were asked for."""

    text: str
    model: str
    finish: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    # For each token of the answer: {token: probability}, the likeliest first.
    tokens: tuple[dict[str, float], ...] = field(default=(), repr=False)

    @property
    def top(self) -> dict[str, float]:
        """The likeliest first tokens with their probabilities; of a baseline these are its classes."""
        return self.tokens[0] if self.tokens else {}

    def __str__(self) -> str:
        return self.text


def ask(lab: "Client", model: str, messages: Messages, top: int, options: Mapping[str, Any]) -> Answer:
    """One question, one answer."""
    return answer_of(lab.wire.change("POST", PATH, _body(model, messages, top, options)))


def stream(lab: "Client", model: str, messages: Messages, options: Mapping[str, Any]) -> Iterator[str]:
    """The answer's pieces as they come; closing the iterator ends the generation."""
    body = {**_body(model, messages, 0, options), "stream": True}
    headers = {"content-type": "application/json"}
    with lab.wire.streamed("POST", PATH, content=msgspec.json.encode(body), headers=headers) as answer:
        for line in answer.iter_lines():
            if not line.startswith("data:"):
                continue
            said = line.removeprefix("data:").strip()
            if said == "[DONE]":
                return
            yield from _pieces(msgspec.json.decode(said))


def _pieces(chunk: Mapping[str, Any]) -> Iterator[str]:
    if error := chunk.get("error"):
        raise Answered(str(error.get("message") or error), "Ask again.")
    for choice in chunk.get("choices") or ():
        if piece := (choice.get("delta") or {}).get("content"):
            yield piece


def _body(model: str, messages: Messages, top: int, options: Mapping[str, Any]) -> dict[str, Any]:
    chat = (
        [{"role": "user", "content": messages}]
        if isinstance(messages, str)
        else [dict(one) for one in messages]
    )
    more = {"logprobs": True, "top_logprobs": top} if top else {}
    return {"model": model, "messages": chat, **more, **options}


def answer_of(values: Mapping[str, Any]) -> Answer:
    """A chat completion in OpenAI's shape."""
    choice, usage = values["choices"][0], values.get("usage") or {}
    content = ((choice.get("logprobs") or {}).get("content")) or ()
    tokens = tuple(
        {one["token"]: math.exp(one["logprob"]) for one in token.get("top_logprobs") or ()}
        for token in content
    )
    return Answer(
        choice["message"].get("content") or "",
        values.get("model", ""),
        choice.get("finish_reason") or "",
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
        tokens,
    )
