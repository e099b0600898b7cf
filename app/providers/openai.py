"""OpenAI: supervised fine-tuning (which is closing), batches and chat with log-probabilities."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from app import errors
from app.providers import _openai as shape
from app.providers import _openai_training as rules
from app.providers import _rows
from app.providers._base import Chat, Field, Provider, Training
from app.providers._openai_batch import openai_batch
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

CREATION_ENDS, MODELS_END = "2027-01-06", "2027-01-14"
NOTICE = (
    "OpenAI is closing fine-tuning. Only organisations that used a fine-tuned model lately may still train, nobody "
    "from 6 January 2027. The models named here and everything tuned on them stop answering on 14 January 2027; their "
    "weights cannot be downloaded. Store predictions before."
)
READ = "copies of OpenAI's pricing page kept by others, from 2026-05-07 on, read 2026-11-24"
TOP_LOGPROBS = 20
# Names of models that answer no chat.
NO_CHAT = re.compile(
    r"embedding|moderation|whisper|tts|dall-e|image|audio|realtime|transcribe|davinci|babbage|sora|instruct|search"
    r"|codex|computer-use|deep-research"
)


def _price(train: float, base: tuple[float, float], tuned: tuple[float, float]) -> Price:
    return Price(READ, train, *base, batch_share=0.5, tuned_input=tuned[0], tuned_output=tuned[1])


def _offer(model: str, label: str, context: int, price: Price) -> Offer:
    return Offer(model, label, context_tokens=context, can_train=True, price=price, ends_on=MODELS_END)


OFFERS = (
    _offer("gpt-4.1-mini-2025-04-14", "GPT-4.1 mini", 1_047_576, _price(5, (0.4, 1.6), (0.8, 3.2))),
    _offer("gpt-4.1-2025-04-14", "GPT-4.1", 1_047_576, _price(25, (2, 8), (3, 12))),
    _offer("gpt-4o-mini-2024-07-18", "GPT-4o mini", 128_000, _price(3, (0.15, 0.6), (0.3, 1.2))),
    _offer("gpt-4o-2024-08-06", "GPT-4o", 128_000, _price(25, (2.5, 10), (3.75, 15))),
)
KNOWN = {offer.model: offer for offer in OFFERS}


def connect(access: Access, client: httpx.Client) -> Api:
    """With the organisation and project, where they were entered."""
    headers = {"authorization": f"Bearer {access.key}"}
    for name in ("organization", "project"):
        if access.fields.get(name):
            headers[f"openai-{name}"] = access.fields[name]
    return Api(access, client, headers)


def check_key(api: Api) -> KeyCheck:
    """Lists the models: free, and refused for a wrong key."""
    answer = api.send("GET", "models")
    models = rows(api.decode(answer.content), "data")
    tuned = sum(text(each, "id").startswith("ft:") for each in models)
    note = f"{len(models)} models, {tuned} of them fine-tuned. Whether it may train shows only when it does."
    return KeyCheck(answer.headers.get("openai-organization", ""), note)


def list_models(api: Api) -> list[Offer]:
    """The models that answer chat, with their shutdown dates."""
    return [
        _listed(each)
        for each in rows(api.get("models"), "data")
        if not text(each, "id").startswith("ft:") and not NO_CHAT.search(text(each, "id"))
    ]


def _listed(raw: Mapping[str, Any]) -> Offer:
    known = KNOWN.get(text(raw, "id"))
    ends_on = text(raw, "shutdown_date") or (known.ends_on if known else "")
    return Offer(
        text(raw, "id"),
        label=known.label if known else "",
        context_tokens=known.context_tokens if known else None,
        can_train=known is not None,
        price=known.price if known else None,
        ends_on=ends_on,
        raw=raw,
    )


def list_tuned(api: Api) -> list[TunedModel]:
    """Every fine-tuned model that still answers, whoever made it, the newest first."""
    found = [_tuned(each) for each in rows(api.get("models"), "data") if text(each, "id").startswith("ft:")]
    return sorted(found, key=lambda each: -(each.created_at or 0))


def _tuned(raw: Mapping[str, Any]) -> TunedModel:
    base = text(raw, "id").split(":")[1]
    known = KNOWN.get(base)
    ends_on = text(raw, "shutdown_date") or (known.ends_on if known else "")
    return TunedModel(text(raw, "id"), base, moment(raw, "created"), ends_on, raw)


def problems(job: TuningJob) -> list[str]:
    """What would be refused; the end of training counts from its day on. OpenAI's own names hold no slash: a model with
    one is of another Tunebook, whose address was entered as this service's."""
    found = rules.problems(job)
    if "/" not in job.model and datetime.now(UTC).date().isoformat() >= CREATION_ENDS:
        found.append(f"OpenAI creates no fine-tuning jobs since {CREATION_ENDS}.")
    return found


def upload(api: Api, path: Path, part: str, job: TuningJob) -> RemoteFile:
    """Sends one part, unless it is larger or smaller than the service takes."""
    shape.too_large(path, api.access.label, rules.LEAST_ROWS, rules.MOST_BYTES, part)
    return shape.upload(api, path, part, job)


def check(api: Api, job: TuningJob, files: Mapping[str, str]) -> None:
    """Raises errors.Refused where the account does not have the model any more."""
    try:
        raw = api.get(f"models/{job.model}")
    except errors.Gone as gone:
        raise errors.Refused(
            f"OpenAI does not offer {job.model} to this account: {gone.message}", "Choose another model."
        ) from gone
    ends_on = text(mapping(raw), "shutdown_date")
    if ends_on and ends_on <= datetime.now(UTC).date().isoformat():
        raise errors.Refused(f"OpenAI has shut {job.model} down on {ends_on}.", "Choose another model.")


def body(model: str, question: Question, decoding: Decoding) -> dict[str, Any]:
    """What one question sends; `max_tokens` is out of date here."""
    return chat_body(model, question, decoding, "max_completion_tokens")


def request(api: Api, model: str, question: Question, decoding: Decoding) -> ChatRequest:
    """What asking sends."""
    return ChatRequest(api, body(model, question, decoding))


def ask(api: Api, model: str, question: Question, decoding: Decoding) -> Reply:
    """One answer; a tuned model answers by its own name, nothing has to be deployed."""
    return ask_chat(api, body(model, question, decoding))


PROVIDER = Provider(
    name="openai",
    label="OpenAI",
    description="Supervised fine-tuning of GPT-4.1 and GPT-4o models; chat and batches with log-probabilities.",
    base_url="https://api.openai.com/v1",
    key_help="https://platform.openai.com/api-keys",
    docs_url="https://developers.openai.com/api/docs/guides/supervised-fine-tuning",
    fields=(
        Field("organization", "Organisation", "Only for a key that belongs to several.", required=False),
        Field("project", "Project", "Only for a key that belongs to several.", required=False),
    ),
    ends_on=MODELS_END,
    notice=NOTICE,
    undisclosed=rules.UNDISCLOSED,
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
        problems=problems,
        estimate=rules.estimate,
        render=_rows.render,
        upload=upload,
        look_at_file=shape.look_at_file,
        check=check,
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
    batch=openai_batch(body, most_lines=50_000, most_bytes=200 * 10**6, url="/v1/chat/completions"),
)
