"""Mistral: chat and batches; fine-tuning for accounts that still have it, and the models that were tuned there."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx

from app.providers._base import Chat, Provider, Repeat, Training
from app.providers._openai_chat import ChatRequest, pace_of, reply_of
from app.providers._shapes import Decoding, KeyCheck, Offer, Price, Question, Reply, TunedModel
from app.providers.mistral import training as jobs
from app.providers.mistral.batch import BATCH, chat_body
from app.service_http import Access, Api
from app.service_json import mapping, moment, rows, text, whole

NOTICE = (
    "Mistral calls its fine-tuning deprecated and no longer supported; a new job may be refused. Weights cannot be "
    "downloaded. A job costs at least $4.00 and keeping its model $2.00 a month, as its documentation last said. Of the "
    "validation part it takes a twentieth of the training file's size: Tunebook sends the first rows that fit."
)
READ = "Mistral's documentation of deprecated fine-tuning, 2026-08-21, read 2026-11-24; token prices are not published"
TRAINED = Price(READ, batch_share=0.5, minimum=4.0, monthly=2.0)
# What the last documentation of fine-tuning named.
OFFERS = tuple(
    Offer(model, can_train=True, price=TRAINED)
    for model in ("open-mistral-7b", "mistral-small-latest", "codestral-latest", "open-mistral-nemo", "mistral-large-latest")
)  # fmt: skip


def connect(access: Access, client: httpx.Client) -> Api:
    """The paths stand below /v1, whether or not the base URL was written with it."""
    base = access.base_url.removesuffix("/v1") + "/v1"
    return Api(replace(access, base_url=base), client)


def check_key(api: Api) -> KeyCheck:
    """Lists the models: free, and refused for a wrong key."""
    models = rows(api.get("models"), "data")
    tuned = sum(text(each, "type") == "fine-tuned" for each in models)
    return KeyCheck("", f"{len(models)} models, {tuned} of them fine-tuned.")


def list_models(api: Api) -> list[Offer]:
    """The base models that answer chat."""
    found = rows(api.get("models"), "data")
    return [
        _offer(each) for each in found if text(each, "type") != "fine-tuned" and _can(each, "completion_chat")
    ]


def _can(raw: Mapping[str, Any], what: str) -> bool:
    return mapping(raw, "capabilities").get(what) is True


def _offer(raw: Mapping[str, Any]) -> Offer:
    trains = _can(raw, "fine_tuning")
    return Offer(
        text(raw, "id"),
        text(raw, "name") if text(raw, "name") != text(raw, "id") else "",
        context_tokens=whole(raw, "max_context_length"),
        can_train=trains,
        price=TRAINED if trains else None,
        ends_on=text(raw, "deprecation")[:10],
        raw=raw,
    )


def list_tuned(api: Api) -> list[TunedModel]:
    """The fine-tuned models that still answer."""
    found = [each for each in rows(api.get("models"), "data") if text(each, "type") == "fine-tuned"]
    return [
        TunedModel(
            text(each, "id"),
            text(each, "root"),
            moment(each, "created"),
            text(each, "deprecation")[:10],
            each,
        )
        for each in found
        if each.get("archived") is not True
    ]


def request(api: Api, model: str, question: Question, decoding: Decoding) -> ChatRequest:
    """What asking sends."""
    return ChatRequest(api, {"model": model, **chat_body(question, decoding)})


def ask(api: Api, model: str, question: Question, decoding: Decoding) -> Reply:
    """One answer; a tuned model answers by its own name, nothing has to be deployed."""
    started = time.monotonic()
    answer = api.send("POST", "chat/completions", json={"model": model, **chat_body(question, decoding)})
    milliseconds = (time.monotonic() - started) * 1000
    return reply_of(api, api.decode(answer.content), milliseconds, pace_of(answer.headers))


PROVIDER = Provider(
    name="mistral",
    label="Mistral",
    description="Chat and batches of Mistral models; its fine-tuning is closing, what was tuned there still answers.",
    base_url="https://api.mistral.ai/v1",
    key_help="https://console.mistral.ai/api-keys",
    docs_url="https://docs.mistral.ai/api",
    notice=NOTICE,
    undisclosed=jobs.UNDISCLOSED,
    connect=connect,
    check_key=check_key,
    list_models=list_models,
    offers=OFFERS,
    training=Training(
        identity="the model's suffix (the launch key without its first letters)",
        repeat=Repeat.FREE_CREATE,
        list_note="The list filters by suffix. A like job that waits or runs is refused with 409.",
        hyperparameters=jobs.hyperparameters,
        suggest=jobs.suggest,
        problems=jobs.problems,
        estimate=jobs.estimate,
        render=jobs.render,
        upload=jobs.upload,
        submit=jobs.submit,
        start=jobs.start,
        find=jobs.find,
        list_jobs=jobs.list_jobs,
        poll=jobs.poll,
        cancel=jobs.cancel,
        logs=jobs.logs,
        metrics=jobs.metrics,
        list_tuned=list_tuned,
    ),
    chat=Chat(ask=ask, request=request),
    batch=BATCH,
)
