"""One question to an OpenAI-compatible endpoint (POST /chat/completions), with every way it can fail told apart."""

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

import httpx
import msgspec

from app.outside import Refused

LARGEST_ANSWER = 1_000_000
# From the first byte sent to the last received; a server that drips bytes is cut off.
DEADLINE_SECONDS = 120.0


class Trouble(StrEnum):
    """What an error means for the caller."""

    BUSY = "busy"  # 429 or 503 with a time to wait
    AGAIN = "again"  # may pass: network, 5xx, an answer that was cut
    ITEM = "item"  # this question will never be answered
    ALL = "all"  # no question will: key, model or address are wrong


class ChatError(Exception):
    """The endpoint did not answer; `message` is for people, without the key. `wait` in seconds, if it said so."""

    def __init__(self, trouble: Trouble, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.trouble, self.message, self.wait = trouble, message, wait


@dataclass(frozen=True)
class Target:
    """Where to ask, and as whom."""

    base_url: str
    model: str
    key: str = ""

    def __repr__(self) -> str:
        return f"Target({self.base_url!r}, {self.model!r})"


@dataclass(frozen=True)
class Reply:
    """What came back; tokens are None where the endpoint does not count them."""

    text: str
    input_tokens: int | None
    output_tokens: int | None
    latency_ms: float


def ask(
    client: httpx.Client, target: Target, messages: list[dict[str, str]], decoding: dict[str, Any]
) -> Reply:
    """Asks once, and once more where the endpoint names another spelling of a decoding parameter; raises ChatError."""
    payload = {"model": target.model, "messages": messages, "stream": False, **decoding}
    try:
        return _post(client, target, payload)
    except ChatError as error:
        adapted = _adapted(payload, error)
        if adapted is None:
            raise
        return _post(client, target, adapted)


def _adapted(payload: dict[str, Any], error: ChatError) -> dict[str, Any] | None:
    """Newer models take max_completion_tokens in the place of max_tokens, and no temperature."""
    if error.trouble != Trouble.ITEM:
        return None
    adapted = dict(payload)
    if "max_completion_tokens" in error.message and "max_tokens" in adapted:
        adapted["max_completion_tokens"] = adapted.pop("max_tokens")
    if "temperature" in error.message:
        adapted.pop("temperature", None)
    return adapted if adapted != payload else None


def _post(client: httpx.Client, target: Target, payload: dict[str, Any]) -> Reply:
    headers = {"authorization": f"Bearer {target.key}"} if target.key else {}
    start = time.monotonic()
    try:
        with client.stream(
            "POST", f"{target.base_url}/chat/completions", json=payload, headers=headers
        ) as answer:
            body = _read(answer, start + DEADLINE_SECONDS)
    except Refused as error:
        raise ChatError(Trouble.ALL, f"The address is refused: {error}.") from error
    except httpx.TimeoutException as error:
        raise ChatError(Trouble.AGAIN, "The endpoint did not answer in time.") from error
    except httpx.HTTPError as error:
        raise ChatError(Trouble.AGAIN, f"The connection failed: {_safe(str(error), target)}.") from error
    if answer.status_code != 200:
        raise _refusal(answer, body, target)
    kind = answer.headers.get("content-type", "")
    if "json" not in kind:
        raise ChatError(Trouble.AGAIN, f"The endpoint answered {_safe(kind, target) or 'nothing'}, not JSON.")
    return _reply(body, (time.monotonic() - start) * 1000)


def _read(answer: httpx.Response, deadline: float) -> bytes:
    body = bytearray()
    for piece in answer.iter_bytes():
        body += piece
        if len(body) > LARGEST_ANSWER:
            raise ChatError(Trouble.ITEM, "The answer is larger than 1 MB.")
        if time.monotonic() > deadline:
            raise ChatError(Trouble.AGAIN, "The endpoint did not finish its answer in time.")
    return bytes(body)


def _reply(body: bytes, latency_ms: float) -> Reply:
    try:
        read = msgspec.json.decode(body)
        text = read["choices"][0]["message"]["content"]
        if isinstance(text, list):  # parts, as some servers write it
            text = "".join(part["text"] for part in text if part.get("type") == "text")
        if text is not None and not isinstance(text, str):
            raise TypeError(text)
        usage = read.get("usage") or {}
        counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    except (
        msgspec.DecodeError,
        UnicodeDecodeError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
    ) as error:
        raise ChatError(Trouble.AGAIN, "The answer is not a chat completion, or was cut.") from error
    counted = [n if isinstance(n, int) and 0 <= n < 10**9 else None for n in counts]
    return Reply(text or "", counted[0], counted[1], latency_ms)


def _refusal(answer: httpx.Response, body: bytes, target: Target) -> ChatError:
    status, said = answer.status_code, _safe(_said(body), target)
    sentence = f"The endpoint answered {status}" + (f": {said}" if said else ".")
    if 300 <= status < 400:
        where = _safe(answer.headers.get("location", "elsewhere"), target)
        return ChatError(Trouble.ALL, f"The endpoint sends on to {where}; enter that address.")
    if status in (401, 402, 403, 404) or (status == 429 and "quota" in said.lower()):
        return ChatError(Trouble.ALL, sentence)
    wait = retry_after(answer.headers.get("retry-after", ""))
    if status == 429 or (status == 503 and wait is not None):
        return ChatError(Trouble.BUSY, sentence, wait)
    if status >= 500 or status in (408, 409, 425):
        return ChatError(Trouble.AGAIN, sentence, wait)
    return ChatError(Trouble.ITEM, sentence)


def _said(body: bytes) -> str:
    try:
        error = msgspec.json.decode(body).get("error")
        return str(error.get("message", "") if isinstance(error, dict) else error or "")
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError):
        return ""


def _safe(text: str, target: Target) -> str:
    """One line of at most 300 characters, without the key: some endpoints repeat it."""
    if target.key:
        text = text.replace(target.key, "[key]")
    return "".join(c if c.isprintable() else " " for c in text)[:300].strip()


def retry_after(header: str) -> float | None:
    """Seconds to wait of a Retry-After header, a number or a date; None when it says nothing usable."""
    header = header.strip()
    try:
        seconds = float(header)
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
        except (TypeError, ValueError):
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None
