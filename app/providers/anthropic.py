"""Anthropic: prompting of Claude models through the Messages API. Nothing is trained, no log-probabilities."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from app.providers._base import Chat, Provider
from app.providers._shapes import Decoding, KeyCheck, Offer, Pace, Price, Question, Reply
from app.service_http import Access, Api
from app.service_json import mapping, moment, rows, text, whole

VERSION = "2026-10-21"
READ = "price guides of January to March 2026, read 2026-11-25; later models: see anthropic.com/pricing"
PRICES = {
    "claude-opus-4-6": (5.0, 25.0),
    "claude-opus-4-5": (5.0, 25.0),
    "claude-sonnet-4-6": (3.0, 15.0),
    "claude-sonnet-4-5": (3.0, 15.0),
    "claude-haiku-4-5": (1.0, 5.0),
}
PAGE = 100


def connect(access: Access, client: httpx.Client) -> Api:
    """With the version of the protocol, whose requests take neither a temperature nor a seed."""
    return Api(access, client, {"authorization": f"Bearer {access.key}", "anthropic-version": VERSION})


def check_key(api: Api) -> KeyCheck:
    """Lists one model: free, and refused for a wrong key."""
    api.get("models", params={"limit": 1})
    return KeyCheck("", "The key may list models. Whose account it is, the service does not say.")


def list_models(api: Api) -> list[Offer]:
    """Every model that answers."""
    found: list[Offer] = []
    after: dict[str, str] = {}
    while True:
        page = mapping(api.get("models", params={"limit": PAGE, **after}))
        found += [_offer(each) for each in rows(page, "data") if text(each, "lifecycle") != "retired"]
        if page.get("has_more") is not True or text(page, "last_id") in ("", after.get("after_id")):
            return found
        after = {"after_id": text(page, "last_id")}


def _offer(raw: Mapping[str, Any]) -> Offer:
    name = text(raw, "id")
    return Offer(
        name,
        text(raw, "display_name"),
        context_tokens=whole(raw, "max_input_tokens"),
        price=price_of(name),
        ends_on=text(raw, "retires_at")[:10],
        raw=raw,
    )


def price_of(model: str) -> Price | None:
    """The list price where it is known to us."""
    for name, (asked, answered) in PRICES.items():
        if model == name or model.startswith(name + "-20"):
            return Price(READ, None, asked, answered)
    return None


def body(model: str, question: Question, decoding: Decoding) -> dict[str, Any]:
    """What is sent: the system messages in their own field, thinking off. The API has no temperature any more."""
    said = [each for each in question.messages if each.get("role") not in ("system", "developer")]
    system = "\n\n".join(str(each.get("content") or "") for each in question.messages if each not in said)
    asked: dict[str, Any] = {
        "model": model,
        "max_tokens": decoding.max_tokens,
        "messages": _turns(said),
        "thinking": {"type": "disabled"},
    }
    if system:
        asked["system"] = system
    if decoding.schema is not None:
        asked["output_config"] = {"format": {"type": "json_schema", "schema": dict(decoding.schema)}}
    return asked


def _turns(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """User and assistant by turns: neighbours of one role become one message."""
    turns: list[dict[str, str]] = []
    for each in messages:
        role = "assistant" if each.get("role") == "assistant" else "user"
        content = str(each.get("content") or "")
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += "\n\n" + content
        else:
            turns.append({"role": role, "content": content})
    return turns


def ask(api: Api, model: str, question: Question, decoding: Decoding) -> Reply:
    """One answer. Raises errors.Unclear where it holds no content."""
    started = time.monotonic()
    answer = api.send("POST", "messages", json=body(model, question, decoding))
    milliseconds = (time.monotonic() - started) * 1000
    raw = mapping(api.decode(answer.content))
    if "content" not in raw:
        raise api.unclear("sent an answer without content")
    usage = mapping(raw, "usage")
    return Reply(
        "".join(text(each, "text") for each in rows(raw, "content") if text(each, "type") == "text"),
        whole(usage, "input_tokens"),
        whole(usage, "output_tokens"),
        milliseconds,
        text(raw, "stop_reason"),
        pace=_pace(answer.headers),
    )


def _pace(headers: Mapping[str, str]) -> Pace:
    def count(name: str) -> int | None:
        found = headers.get(f"anthropic-ratelimit-{name}-remaining", "")
        return int(found) if found.isdigit() else None

    def reset(name: str) -> float | None:
        found = moment(headers, f"anthropic-ratelimit-{name}-reset")
        return None if found is None else max(found - time.time(), 0.0)

    return Pace(count("requests"), reset("requests"), count("tokens"), reset("tokens"))


PROVIDER = Provider(
    name="anthropic",
    label="Anthropic",
    description="Claude models by prompting, zero-shot or with examples; nothing is trained.",
    base_url="https://api.anthropic.com/v1",
    key_help="https://platform.claude.com/settings/keys",
    docs_url="https://platform.claude.com/docs/en/api/messages",
    notice="The API takes no temperature and no seed, so two runs can differ.",
    undisclosed=("log-probabilities", "sampling temperature"),
    connect=connect,
    check_key=check_key,
    list_models=list_models,
    chat=Chat(ask=ask),
)
