"""Hugging Face Inference Providers: prompting of open models through one router that speaks OpenAI's chat."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.providers._base import Chat, Provider
from app.providers._openai_chat import ChatRequest, ask_chat, chat_body
from app.providers._shapes import Decoding, KeyCheck, Offer, Price, Question, Reply
from app.service_http import Api
from app.service_json import mapping, number, rows, text, whole

ROUTER, HUB = "https://router.huggingface.co/v1", "https://huggingface.co"


def hub(api: Api) -> Api:
    """The Hub itself, which knows whose key it is; below the base URL where that was changed."""
    if api.access.base_url != ROUTER:
        return api
    return Api(replace(api.access, base_url=HUB), api.client)


def check_key(api: Api) -> KeyCheck:
    """Asks the Hub whose token it is: free, and refused for a wrong one."""
    found = mapping(hub(api).get("api/whoami-v2"))
    role = text(mapping(found, "auth", "accessToken"), "role")
    note = (
        f"A token with the role {role}; it needs the permission to call Inference Providers." if role else ""
    )
    return KeyCheck(text(found, "name"), note)


def list_models(api: Api) -> list[Offer]:
    """Every model that some provider behind the router serves, with the cheapest one's price."""
    return [_offer(each) for each in rows(api.get("models"), "data") if _live(each)]


def _live(raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in rows(raw, "providers") if text(each, "status") in ("live", "")]


def _offer(raw: Mapping[str, Any]) -> Offer:
    live = _live(raw)
    priced = [pair for each in live if (pair := _pair(each)) is not None]
    lengths = [length for each in live if (length := whole(each, "context_length"))]
    names = ", ".join(text(each, "provider") for each in live)
    price = None
    if priced:
        source = f"the router's list of models, the cheapest of {names}; {{name}}:cheapest asks for that one"
        price = Price(source.replace("{name}", text(raw, "id")), None, *min(priced, key=sum))
    return Offer(text(raw, "id"), context_tokens=max(lengths, default=None), price=price, raw=raw)


def _pair(raw: Mapping[str, Any]) -> tuple[float, float] | None:
    pricing = mapping(raw, "pricing")
    asked, answered = number(pricing, "input"), number(pricing, "output")
    return None if asked is None or answered is None else (asked, answered)


def request(api: Api, model: str, question: Question, decoding: Decoding) -> ChatRequest:
    """What asking sends."""
    return ChatRequest(api, chat_body(model, question, decoding))


def ask(api: Api, model: str, question: Question, decoding: Decoding) -> Reply:
    """One answer. `model` may name the provider that serves it: owner/name:provider."""
    return ask_chat(api, chat_body(model, question, decoding))


PROVIDER = Provider(
    name="huggingface",
    label="Hugging Face",
    description="Open models by prompting, served by Inference Providers behind one router; nothing is trained.",
    base_url=ROUTER,
    key_help="https://huggingface.co/settings/tokens",
    docs_url="https://huggingface.co/docs/inference-providers",
    notice="Which provider answers may change between two questions unless the name ends in :provider.",
    undisclosed=("quantisation of the served weights",),
    connect=Api,
    check_key=check_key,
    list_models=list_models,
    chat=Chat(ask=ask, top_logprobs=5, request=request),
)
