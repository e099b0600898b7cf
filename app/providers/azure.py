"""Azure OpenAI: the OpenAI shape at a resource's own address, with its own key header, byte order mark and deployments.

A tuned model answers only once it is deployed. Deployments belong to Azure's control plane, which takes a token of the
tenant's directory instead of the resource's key: a person makes them, under the name that the paused run says.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from app import errors
from app.providers import _openai as shape
from app.providers import _openai_training as rules
from app.providers import _rows
from app.providers._base import Chat, Provider, Training
from app.providers._openai_chat import ChatRequest, ask_chat, chat_body
from app.providers._shapes import (
    Decoding,
    KeyCheck,
    Offer,
    Price,
    Question,
    RemoteFile,
    Reply,
    TunedModel,
    TuningJob,
)
from app.service_http import Access, Api
from app.service_json import mapping, moment, rows, text

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
PATH = "/openai/v1"
TOP_LOGPROBS = 20
HOSTING = Price(
    "Microsoft's azure-ai-docs, read 2026-11-24: hosting; token prices differ by region", hourly=1.7
)
NOTICE = (
    "Azure trains for existing customers. After training it serves the model only once you have deployed it: the run "
    "pauses and says under which name. A Standard deployment costs $1.70 an hour until you delete it; a Developer one "
    "costs nothing by the hour and is deleted after 24 hours. Tunebook neither starts nor stops it. Base models are "
    "asked by the names of their deployments."
)
DEPLOY = (
    "Deploy it in the Azure portal, or with `az cognitiveservices account deployment create`, under exactly the name "
    "{name} (a Developer deployment costs nothing by the hour), then let the run go on."
)


def _offer(model: str, label: str) -> Offer:
    return Offer(model, label, can_train=True, can_chat=False, price=HOSTING)


OFFERS = (
    _offer("gpt-4.1-mini-2025-04-14", "GPT-4.1 mini"),
    _offer("gpt-4.1-2025-04-14", "GPT-4.1"),
    _offer("gpt-4o-mini-2024-07-18", "GPT-4o mini"),
    _offer("gpt-4o-2024-08-06", "GPT-4o"),
)
KNOWN = {offer.model: offer for offer in OFFERS}


def connect(access: Access, client: httpx.Client) -> Api:
    """The resource's address may be written with or without /openai/v1."""
    bare = urlsplit(access.base_url).path.strip("/") == ""
    whole = replace(access, base_url=access.base_url.rstrip("/") + PATH) if bare else access
    return Api(whole, client, {"api-key": access.key})


def check_key(api: Api) -> KeyCheck:
    """Lists the models: free, and refused for a wrong key."""
    models = rows(api.get("models"), "data")
    able = sum(mapping(each, "capabilities").get("fine_tune") is True for each in models)
    resource = (urlsplit(api.access.base_url).hostname or "").partition(".")[0]
    return KeyCheck(resource, f"{len(models)} models, {able} of them can be tuned in this resource's region.")


def list_models(api: Api) -> list[Offer]:
    """The models that can be tuned here. What can be asked are deployments, which this key cannot list."""
    return [
        replace(
            KNOWN.get(
                text(each, "id"), Offer(text(each, "id"), can_train=True, can_chat=False, price=HOSTING)
            ),
            ends_on=_date(mapping(each, "deprecation"), "fine_tune"),
            raw=each,
        )
        for each in rows(api.get("models"), "data")
        if mapping(each, "capabilities").get("fine_tune") is True and not is_tuned(each)
    ]


def is_tuned(raw: Mapping[str, Any]) -> bool:
    """Whether a listed model is one that the account made."""
    return ".ft-" in text(raw, "id")


def list_tuned(api: Api) -> list[TunedModel]:
    """Every fine-tuned model of the resource, the newest first."""
    found = [
        TunedModel(
            text(each, "id"),
            text(each, "id").partition(".ft-")[0],
            moment(each, "created_at") or moment(each, "created"),
            _date(mapping(each, "deprecation"), "inference"),
            each,
        )
        for each in rows(api.get("models"), "data")
        if is_tuned(each)
    ]
    return sorted(found, key=lambda each: -(each.created_at or 0))


def _date(raw: Mapping[str, Any], name: str) -> str:
    seconds = moment(raw, name)
    try:
        return datetime.fromtimestamp(seconds, UTC).date().isoformat() if seconds else ""
    except (ValueError, OverflowError, OSError):
        return ""


def upload(api: Api, path: Path, part: str, job: TuningJob) -> RemoteFile:
    """Sends one part, unless it is larger or smaller than the service takes."""
    shape.too_large(path, api.access.label, rules.LEAST_ROWS, rules.MOST_BYTES, part)
    return shape.upload(api, path, part, job)


def request(api: Api, model: str, question: Question, decoding: Decoding) -> ChatRequest:
    """What asking sends."""
    return ChatRequest(api, chat_body(model, question, decoding, "max_completion_tokens"))


def ask(api: Api, model: str, question: Question, decoding: Decoding) -> Reply:
    """One answer of a deployment. Raises errors.KeyRefused, which pauses the run, while there is none of that name."""
    try:
        return ask_chat(api, chat_body(model, question, decoding, "max_completion_tokens"))
    except errors.Gone as gone:
        raise errors.KeyRefused(
            f"Azure has no deployment named {model}, so that the model cannot answer yet.",
            DEPLOY.format(name=model),
            code=gone.code,
        ) from gone


PROVIDER = Provider(
    name="azure",
    label="Azure OpenAI",
    description="Supervised fine-tuning of GPT-4.1 and GPT-4o models in a resource of your own.",
    # Each resource has its own: https://<resource>.openai.azure.com/openai/v1
    base_url="",
    key_help="Azure portal: your resource, Keys and Endpoint. Its address is https://<resource>.openai.azure.com",
    docs_url="https://learn.microsoft.com/azure/ai-foundry/openai/how-to/fine-tuning",
    notice=NOTICE,
    undisclosed=(*rules.UNDISCLOSED, "training tier"),
    connect=connect,
    check_key=check_key,
    list_models=list_models,
    offers=OFFERS,
    training=Training(
        methods=("sft", "dpo"),
        identity="metadata.tunebook, and the model's suffix",
        list_note="The list filters by metadata; how soon a new job stands in it is not published.",
        hyperparameters=rules.hyperparameters,
        suggest=rules.suggest,
        problems=rules.problems,
        estimate=rules.estimate,
        render=_rows.render,
        file_start=BYTE_ORDER_MARK,
        upload=upload,
        look_at_file=shape.look_at_file,
        submit=shape.submit,
        find=shape.find,
        list_jobs=shape.list_jobs,
        poll=shape.poll,
        cancel=shape.cancel,
        logs=shape.logs,
        metrics=shape.metrics,
        fetch_records=shape.fetch_records,
        list_tuned=list_tuned,
    ),
    chat=Chat(ask=ask, top_logprobs=TOP_LOGPROBS, request=request),
)
