"""Asks a hosted service or an endpoint, in a thread: its stream is passed on where it speaks OpenAI's chat, else its
whole answer is one piece. Nothing of a service's JSON crosses but the fields written here. Called by answer.py.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

from app.door.chat_body import ChatBody, refuse
from app.door.shapes import Delta, Usage, token_json
from app.door.target import Service, Target
from app.door.threads import CALLS, in_thread
from app.errors import TunebookError
from app.log import hidden
from app.providers._openai_chat import tokens_of
from app.providers._openai_stream import stream_chat, whole_chat
from app.providers._shapes import Decoding, Question
from app.service_http import Api
from app.service_json import mapping, rows, text, whole

# The bound on an answer where the caller sets none: something must be, since it is reserved.
MOST_TOKENS = 4096
SAID = ("content", "refusal")


def most_tokens(body: ChatBody) -> int:
    """The most tokens of one choice."""
    return body.most_tokens or MOST_TOKENS


def check_hosted(target: Target, body: ChatBody) -> None:
    """Raises Invalid, with the parameter's name, for what this service cannot be asked."""
    chat = _service(target).provider.chat
    assert chat is not None
    label = _service(target).access.label
    if body.top_logprobs > chat.top_logprobs or (body.logprobs and not chat.top_logprobs):
        most = f"at most {chat.top_logprobs}" if chat.top_logprobs else "no"
        raise refuse("top_logprobs", f"{label} gives {most} likely tokens.")
    if chat.request is not None:
        return
    wrong = [name for name in ("stop", "top_p", "tool_choice") if getattr(body, name) is not None]
    wrong += [name for name, asked in (("n", body.n > 1), ("response_format", body.wants_json)) if asked]
    for name in [*wrong, *body.passed_on]:
        raise refuse(name, f"{label} is asked in its own way, which has no {name!r} here.")


async def ask_hosted(target: Target, body: ChatBody, usage: Usage) -> AsyncGenerator[Delta, None]:
    """The pieces of the answer as they come; `usage` is complete at the end where the service tells it. Raises what the
    service says is wrong. Closing the iterator ends the call at its next piece."""
    if not body.stream:
        for piece in await in_thread(CALLS, _all, target, body, usage):
            yield piece
        return
    loop, queue, stop = (
        asyncio.get_running_loop(),
        asyncio.Queue[Delta | TunebookError | None](),
        threading.Event(),
    )

    def run() -> None:
        last: TunebookError | None = None
        try:
            for piece in _pieces(target, body, usage):
                if stop.is_set():
                    return
                loop.call_soon_threadsafe(queue.put_nowait, piece)
        except TunebookError as error:
            last = error
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(queue.put_nowait, last)

    work = asyncio.ensure_future(in_thread(CALLS, run))
    try:
        while (found := await queue.get()) is not None:
            if isinstance(found, TunebookError):
                raise found
            yield found
        await work
    finally:
        stop.set()


def _service(target: Target) -> Service:
    assert target.service is not None
    return target.service


def _all(target: Target, body: ChatBody, usage: Usage) -> list[Delta]:
    return list(_pieces(target, body, usage))


def _pieces(target: Target, body: ChatBody, usage: Usage) -> Iterator[Delta]:
    service = _service(target)
    chat = service.provider.chat
    assert chat is not None
    decoding = Decoding(
        temperature=_temperature(service, body),
        max_tokens=most_tokens(body),
        seed=body.seed,
        top_logprobs=body.top_logprobs,
        schema=body.schema,
    )
    question = Question("door", body.messages, body.tools)
    with service.open() as api:
        if chat.request is not None:
            request = chat.request(api, service.model, question, decoding)
            complete(request.body, service, body)
            yield from _relayed(
                stream_chat(request) if body.stream else iter([whole_chat(request)]), usage, api
            )
        else:
            yield from _asked(chat.ask(api, service.model, question, decoding), usage)


def _temperature(service: Service, body: ChatBody) -> float:
    """A tuned model answers greedily, as in its run's predictions, unless told otherwise; others as OpenAI's default."""
    return (0.0 if service.tuned else 1.0) if body.temperature is None else body.temperature


def complete(asked: dict[str, Any], service: Service, body: ChatBody) -> None:
    """Adds to what a service is asked the parameters that Decoding has no place for."""
    if body.temperature is None and not service.tuned:
        del asked["temperature"]
    if body.logprobs and "logprobs" not in asked:
        asked["logprobs"] = True
    if body.stops:
        asked["stop"] = body.stops
    if body.wants_json:
        asked["response_format"] = {"type": "json_object"}
    elif body.schema is not None:
        asked["response_format"] = body.response_format
    for name in ("top_p", "tool_choice"):
        if getattr(body, name) is not None:
            asked[name] = getattr(body, name)
    if body.n > 1:
        asked["n"] = body.n
    asked |= body.passed_on


def _asked(reply: Any, usage: Usage) -> Iterator[Delta]:
    """A reply of a service with an own way of chat, as one piece."""
    usage.add(reply.input_tokens, reply.output_tokens)
    tokens = [token_json(top[0][0], top[0][1], top) for top in reply.top_logprobs or [] if top]
    yield Delta(0, {"content": hidden(reply.text)}, tokens or None)
    yield Delta(
        0, {}, None, "length" if "length" in reply.finish.lower() or reply.finish == "MAX_TOKENS" else "stop"
    )


def _relayed(chunks: Iterator[Any], usage: Usage, api: Api) -> Iterator[Delta]:
    """Chunks or a whole chat.completion of a service, as pieces."""
    found = False
    for chunk in chunks:
        told = mapping(chunk, "usage")
        if told:
            usage.input_tokens = whole(told, "prompt_tokens")
            usage.output_tokens = whole(told, "completion_tokens")
        for choice in rows(chunk, "choices"):
            found = True
            yield _delta(choice)
    if not found:
        raise api.unclear("sent an answer without a choice")


def _delta(choice: Mapping[str, Any]) -> Delta:
    said = mapping(choice, "delta") or mapping(choice, "message")
    delta: dict[str, Any] = {name: hidden(str(said[name])) for name in SAID if said.get(name)}
    calls = [_call(at, each) for at, each in enumerate(rows(said, "tool_calls"))]
    if calls:
        delta["tool_calls"] = calls
    finish = text(choice, "finish_reason") or None
    if finish not in (None, "stop", "length", "tool_calls", "content_filter"):
        finish = "length" if finish in ("max_tokens", "model_length") else "stop"
    return Delta(whole(choice, "index") or 0, delta, _tokens(choice), finish)


def _call(at: int, raw: Mapping[str, Any]) -> dict[str, Any]:
    function = mapping(raw, "function")
    arguments = function.get("arguments")
    made: dict[str, Any] = {"index": whole(raw, "index") if "index" in raw else at, "type": "function"}
    if raw.get("id"):
        made["id"] = str(raw["id"])
    made["function"] = {"arguments": hidden(arguments) if isinstance(arguments, str) else ""}
    if function.get("name"):
        made["function"]["name"] = str(function["name"])
    return made


def _tokens(choice: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The tokens with their log-probabilities, also of a service that writes them in the older shape."""
    written = rows(mapping(choice, "logprobs"), "content")
    names = [text(each, "token") for each in written]
    found = tokens_of(choice)
    if not names:
        older = mapping(choice, "logprobs").get("tokens")
        names = [str(each) for each in older] if isinstance(older, list) else []
    if not found or len(names) != len(found):
        return None
    return [token_json(name, own, top) for name, (own, top) in zip(names, found, strict=True)]
