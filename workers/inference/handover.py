"""Hands questions over to vLLM, llama-server or Ollama where one of them serves the very run. Used by server.py.

A run is theirs when their list of models has its name (`run-12`, as the API calls it) and its answers are free text: one
that chooses among labels, or tells their probabilities, is answered here as its own predictions were made.
"""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from workers.training.files import read_json

from .asked import Asked
from .refusals import Refusal, bad, busy

# A list of models is believed so long, also that there is none; and a server has so long to tell it.
LIST_SECONDS, ASK_SECONDS = 30.0, 2.0
SILENCE_SECONDS = 300.0
Line = dict[str, Any]


class Handover:
    """The servers by their addresses, each an OpenAI-compatible base URL such as http://127.0.0.1:8000/v1."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self._addresses = addresses
        self._known: dict[str, tuple[float, dict[str, str]]] = {}

    async def find(self, asked: Asked) -> tuple[str, str] | None:
        """(address, the run's name there); None where it is answered here."""
        if not self._addresses or not _free(asked):
            return None
        for address in self._addresses:
            name = (await self._models(address)).get(asked.model.id)
            if name:
                return address, name
        return None

    async def _models(self, address: str) -> dict[str, str]:
        """{name without Ollama's version: name}; {} where the server is not there."""
        until, found = self._known.get(address, (0.0, {}))
        if until > time.monotonic():
            return found
        import httpx

        found = {}
        try:
            async with httpx.AsyncClient(timeout=ASK_SECONDS, trust_env=False) as client:
                listed = (await client.get(f"{address}/models")).json()["data"]
            found = {str(each["id"]).removesuffix(":latest"): str(each["id"]) for each in listed}
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
            pass
        self._known[address] = (time.monotonic() + LIST_SECONDS, found)
        return found

    async def lines(self, asked: Asked, address: str, name: str) -> AsyncIterator[Line]:
        """The answer as the other server makes it. Raises Refusal."""
        import httpx

        timeout = httpx.Timeout(SILENCE_SECONDS, connect=ASK_SECONDS)
        try:
            async with (
                httpx.AsyncClient(timeout=timeout, trust_env=False) as client,
                client.stream("POST", f"{address}/chat/completions", json=_body(asked, name)) as answer,
            ):
                if answer.status_code != 200:
                    raise _refused(
                        address, answer.status_code, (await answer.aread()).decode(errors="replace")
                    )
                async for line in _read(answer.aiter_lines()):
                    yield line
        except (httpx.HTTPError, ValueError, KeyError, TypeError, IndexError) as error:
            self._known.pop(address, None)
            raise busy(
                f"The model server at {address} broke off: {str(error)[:200] or type(error).__name__}"
            ) from error


def _free(asked: Asked) -> bool:
    """Whether nothing about the answer needs the run's own way."""
    if asked.labels or asked.choose or asked.tools or asked.model.bundle is None:
        return False
    config = read_json(Path(asked.model.bundle) / "config.json")
    values = config.get("hyperparameters") or {}
    return config.get("kind") not in ("baseline", None) and not config.get("labels") and (
        values.get("decoding", "free") == "free"
    )  # fmt: skip


def _body(asked: Asked, name: str) -> dict[str, Any]:
    bundle = asked.model.bundle
    own = read_json(Path(bundle) / "config.json").get("max_new_tokens") if bundle else None
    body: dict[str, Any] = {
        "model": name,
        "messages": asked.messages,
        "max_tokens": asked.max_tokens or own or 1024,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if asked.seed is not None:
        body["seed"] = asked.seed
    if asked.stop:
        body["stop"] = list(asked.stop)
    if asked.logprobs:
        body |= {"logprobs": True, "top_logprobs": asked.top_logprobs}
    if asked.schema is not None:
        form = {"name": "answer", "schema": asked.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    return body


async def _read(events: AsyncIterator[str]) -> AsyncIterator[Line]:
    """Server-sent events in OpenAI's form as lines of ours."""
    finish, usage = "stop", dict[str, Any]()
    async for event in events:
        data = event.removeprefix("data:").strip()
        if not event.startswith("data:") or data == "[DONE]":
            continue
        told = json.loads(data)
        usage = told.get("usage") or usage
        for choice in told.get("choices") or ():
            finish = choice.get("finish_reason") or finish
            text = (choice.get("delta") or {}).get("content") or ""
            tokens = [_token(each) for each in (choice.get("logprobs") or {}).get("content") or ()]
            if text or tokens:
                yield {"text": text, "tokens": tokens}
    yield {
        "finish": "length" if finish == "length" else "stop",
        "prompt_tokens": usage.get("prompt_tokens"),
        "completion_tokens": usage.get("completion_tokens"),
        "p": None,
    }


def _token(told: dict[str, Any]) -> dict[str, Any]:
    top = [[each["token"], each["logprob"]] for each in told.get("top_logprobs") or ()]
    return {"token": told["token"], "logprob": told["logprob"], "top": top}


def _refused(address: str, status: int, said: str) -> Refusal:
    message = f"The model server at {address} answers {status}: {said[:300]}"
    if status in (400, 413, 422):
        return bad(message, "Mend what it names.")
    if status in (408, 409, 425, 429) or status >= 500:
        return busy(message)
    return Refusal(
        "broken", message, "Look at that server's log, or take it out of TUNEBOOK_INFERENCE_SERVERS."
    )
