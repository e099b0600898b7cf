"""Asks the inference process: a body in OpenAI's words becomes its question, its lines become pieces of an answer.
Called by answer.py.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from app.door.chat_body import ChatBody, refuse
from app.door.ids import new_id
from app.door.inference import ask_inference
from app.door.shapes import Delta, Usage, called_tools, token_json
from app.door.target import BASELINE, Target


def question_of(target: Target, body: ChatBody, choice: int = 0) -> dict[str, Any]:
    """What the inference process is asked for one choice. What the caller leaves open is as the run made its own
    predictions: greedily, one of the labels where it was trained so. Raises Invalid for what no model here can do."""
    check_local(target, body)
    seed = body.seed
    if body.n > 1:
        seed = (0 if seed is None else seed) + choice
    return {
        "model": target.weights,
        "messages": body.messages,
        "tools": None if body.tool_choice == "none" else body.tools,
        "max_tokens": body.most_tokens,
        "temperature": body.temperature or 0.0,
        "top_p": 1.0 if body.top_p is None else body.top_p,
        "seed": seed,
        "stop": body.stops,
        "logprobs": body.logprobs,
        "top_logprobs": body.top_logprobs,
        "labels": None,
        "choose": None,
        "schema": body.schema,
        "json_object": body.wants_json,
        "stream": body.stream,
    }


def check_local(target: Target, body: ChatBody) -> None:
    """Raises Invalid, with the parameter's name, for what a local model cannot do."""
    for name in body.passed_on:
        raise refuse(
            name, f"{target.model} does not know the parameter {name!r}, and it would change the answer."
        )
    if body.tool_choice not in (None, "auto", "none"):
        raise refuse("tool_choice", f"{target.model} chooses by itself: tool_choice may be auto or none.")
    if target.kind == BASELINE:
        if body.tools:
            raise refuse(
                "tools", f"{target.model} is a classical model: it answers a label and calls no tools."
            )
        if body.schema is not None or body.wants_json:
            raise refuse(
                "response_format", f"{target.model} is a classical model: it answers a label, no JSON."
            )


async def ask_local(target: Target, body: ChatBody, usage: Usage) -> AsyncGenerator[Delta, None]:
    """The pieces of all choices as they come; `usage` is complete at the end."""
    if body.n == 1:
        async with aclosing(_choice(target, body, 0, usage)) as pieces:
            async for piece in pieces:
                yield piece
        return
    queue: asyncio.Queue[Delta | None] = asyncio.Queue()
    tasks = [asyncio.create_task(_into(queue, target, body, choice, usage)) for choice in range(body.n)]
    try:
        left = body.n
        while left:
            found = await queue.get()
            if found is None:
                left -= 1
            else:
                yield found
        for task in tasks:
            await task
    finally:
        for task in tasks:
            task.cancel()


async def _into(
    queue: asyncio.Queue[Delta | None], target: Target, body: ChatBody, choice: int, usage: Usage
) -> None:
    try:
        async with aclosing(_choice(target, body, choice, usage)) as pieces:
            async for piece in pieces:
                queue.put_nowait(piece)
    finally:
        queue.put_nowait(None)


async def _choice(target: Target, body: ChatBody, choice: int, usage: Usage) -> AsyncGenerator[Delta, None]:
    names = {each["function"]["name"] for each in body.tools or []} if body.tool_choice != "none" else set()
    said: list[str] = []
    async with aclosing(ask_inference(question_of(target, body, choice))) as lines:
        async for line in lines:
            if "text" in line or "tokens" in line:
                # An answer that may be a call of tools is told apart at its end.
                if names:
                    said.append(line.get("text") or "")
                    yield Delta(choice, {}, _tokens(line))
                else:
                    yield Delta(choice, {"content": line.get("text") or ""}, _tokens(line))
            if "finish" in line:
                usage.add(line.get("prompt_tokens"), line.get("completion_tokens"))
                finish = line["finish"]
                if names:
                    text, calls = called_tools("".join(said), names)
                    yield Delta(choice, _with_calls(text, calls))
                    finish = "tool_calls" if calls else finish
                yield Delta(choice, {}, None, finish, line.get("p"))


def _tokens(line: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        token_json(each["token"], each["logprob"], [(name, value) for name, value in each.get("top") or []])
        for each in line.get("tokens") or []
    ]


def _with_calls(text: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
    if not calls:
        return {"content": text}
    made = [
        {"index": at, "id": new_id("call_"), "type": "function", "function": call}
        for at, call in enumerate(calls)
    ]
    return {"content": text or None, "tool_calls": made}
