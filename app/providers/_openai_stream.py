"""The answer of a service that speaks OpenAI's chat, whole or as the stream that it sends. Called by app/door/hosted.py."""

import time
from collections.abc import Iterator
from typing import Any

import httpx

from app import errors
from app.outside import Refused as AddressRefused
from app.providers._openai_chat import ChatRequest

SILENCE_SECONDS = 120.0
LONGEST_SECONDS = 540.0
LONGEST_LINE = 8 * 1024 * 1024


def whole_chat(request: ChatRequest) -> Any:
    """The chat.completion as decoded JSON. Raises as Api.call does."""
    return request.api.decode(request.api.send("POST", request.path, json=request.body).content)


def stream_chat(request: ChatRequest) -> Iterator[Any]:
    """The chunks as decoded JSON, as they come. Raises as Api.call does; Unclear where the stream breaks off. Closing the
    iterator ends the call."""
    api = request.api
    url = api.url(request.path)
    body = {**request.body, "stream": True, "stream_options": {"include_usage": True}}
    timeout = httpx.Timeout(SILENCE_SECONDS, connect=10.0)
    try:
        with api.client.stream(
            "POST", url, headers=api.own_headers(url), json=body, timeout=timeout
        ) as answer:
            if answer.status_code >= 400:
                said = httpx.Response(
                    answer.status_code, content=answer.read()[:1_000_000], headers=_plain(answer)
                )
                raise api.failure(said)
            yield from _events(request, answer)
    except AddressRefused as error:
        raise errors.Refused(f"{api.access.label}: the address is refused: {error}.") from error
    except httpx.ConnectError as error:
        raise errors.Busy(
            f"{api.access.label} cannot be reached: {api.safe(str(error))}.", wait=10.0
        ) from error
    except (httpx.HTTPError, httpx.StreamError) as error:
        raise api.unclear(f"broke its answer off ({type(error).__name__})") from error


def _plain(answer: httpx.Response) -> dict[str, str]:
    return {
        name: value for name, value in answer.headers.items() if name in ("retry-after", "retry-after-ms")
    }


def _events(request: ChatRequest, answer: httpx.Response) -> Iterator[Any]:
    api, deadline, ended = request.api, time.monotonic() + LONGEST_SECONDS, False
    if "event-stream" not in answer.headers.get("content-type", ""):
        # A server that streams nothing sends a whole answer.
        yield api.decode(answer.read())
        return
    for line in answer.iter_lines():
        if time.monotonic() > deadline or len(line) > LONGEST_LINE:
            raise api.unclear("did not finish its answer in time")
        name, _, value = line.partition(":")
        if name != "data":
            continue
        if value.strip() == "[DONE]":
            ended = True
            break
        found = api.decode(value.encode())
        if isinstance(found, dict) and found.get("error"):
            raise api.failure(httpx.Response(_status(found), json=found))
        yield found
    if not ended:
        raise api.unclear("broke its answer off")


def _status(found: dict[str, Any]) -> int:
    """The status that an error within a stream names; 500 where it names none."""
    said = str(found["error"].get("code")) if isinstance(found["error"], dict) else ""
    return int(said) if said.isdigit() and 400 <= int(said) < 600 else 500
