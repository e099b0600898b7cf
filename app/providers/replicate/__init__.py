"""Replicate: any trainer by its version, with a form made from its schema; the tuned version answers predictions."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app import errors
from app.providers._base import Chat, Field, Provider, Training
from app.providers._shapes import Decoding, KeyCheck, Offer, Question, Reply, TuningJob
from app.providers.replicate import form, jobs
from app.service_http import Api
from app.service_json import mapping, number, rows, text

COLLECTION = "collections/trainable-language-models"
WAIT_SECONDS, LOOK_SECONDS = 60, 1.0
# A model that is cold takes minutes to its first answer.
LONGEST_SECONDS = 900.0
MOST_TOKENS = ("max_new_tokens", "max_tokens", "max_length")


def check_key(api: Api) -> KeyCheck:
    """Whose token it is: free, and refused for a wrong one."""
    return KeyCheck(text(mapping(api.get("account")), "username"), "The token may read the account.")


def list_models(api: Api) -> list[Offer]:
    """The trainers of language models that the service collects; empty where it has none any more."""
    try:
        listed = rows(api.get(COLLECTION), "models")
    except errors.Gone:
        return []
    return [
        _offer(each, mapping(each, "latest_version"))
        for each in listed
        if text(mapping(each, "latest_version"), "id")
    ]


def _offer(model: Mapping[str, Any], version: Mapping[str, Any]) -> Offer:
    schema = form.training_schema(version)
    named = mapping(version, "openapi_schema", "components", "schemas")
    enums = {
        name: mapping(named, name).get("enum")
        for name in named
        if isinstance(mapping(named, name).get("enum"), list)
    }
    name = f"{text(model, 'owner')}/{text(model, 'name')}"
    return Offer(
        f"{name}:{text(version, 'id')}",
        label=name,
        can_train=bool(form.data_field(Offer("", limits=schema))),
        can_chat=False,
        limits={**schema, "enums": enums} if schema else {},
        raw={"model": {key: model.get(key) for key in ("owner", "name", "description", "visibility", "url")}},
    )  # fmt: skip


def look_at_model(api: Api, offer: Offer) -> Offer:
    """Reads the version's form; without a version, that of the newest. Raises errors.Refused where nothing can be
    trained."""
    name, _, version = offer.model.partition(":")
    owner, _, short = name.partition("/")
    if not owner or not short:
        raise errors.Refused(
            f"{offer.model!r} is no trainer's name.", "Write owner/name or owner/name:version."
        )
    if not version:
        version = text(mapping(api.get(f"models/{name}"), "latest_version"), "id")
        if not version:
            raise errors.Refused(f"{name} has no version that can be used.", "Choose another trainer.")
    found = _offer({"owner": owner, "name": short}, mapping(api.get(f"models/{name}/versions/{version}")))
    if not found.limits:
        raise errors.Refused(
            f"{name}:{version[:12]} trains nothing: its schema has no training input.", "Choose another."
        )
    return replace(found, price=offer.price)


def check(api: Api, job: TuningJob, files: Mapping[str, str]) -> None:
    """Raises errors.Refused where the version is gone or trains nothing."""
    try:
        look_at_model(api, job.offer)
    except errors.Gone as gone:
        raise errors.Refused(
            f"Replicate has no trainer {job.model}: {gone.message}", "Choose another version."
        ) from gone


def ask(api: Api, model: str, question: Question, decoding: Decoding) -> Reply:
    """One answer of a version ("owner/name:version" or its id); waits while the model starts."""
    started = time.monotonic()
    body = {"version": model.rpartition(":")[2], "input": _input(question, decoding)}
    raw = api.post(
        "predictions", json=body, headers={"prefer": f"wait={WAIT_SECONDS}"}, seconds=WAIT_SECONDS + 30
    )
    while text(mapping(raw), "status") in ("starting", "processing"):
        if time.monotonic() - started > LONGEST_SECONDS:
            raise api.unclear("did not answer in time")
        time.sleep(LOOK_SECONDS)
        raw = api.get(f"predictions/{text(raw, 'id')}")
    return _reply(api, mapping(raw), (time.monotonic() - started) * 1000)


def _input(question: Question, decoding: Decoding) -> dict[str, Any]:
    # A model ignores names that its schema lacks; language models know one of these.
    given: dict[str, Any] = {
        "prompt": form.prompt_of(question.messages),
        "temperature": max(decoding.temperature, 0.01),
    }
    given |= dict.fromkeys(MOST_TOKENS, decoding.max_tokens)
    return given if decoding.seed is None else {**given, "seed": decoding.seed}


def _reply(api: Api, raw: Mapping[str, Any], latency_ms: float) -> Reply:
    state, said = text(raw, "status"), raw.get("output")
    if state != "succeeded":
        raise errors.Refused(
            f"Replicate gave no answer ({state or 'no state'}): {api.safe(text(raw, 'error'))}"
        )
    counted = mapping(raw, "metrics")
    pair = [
        None if (value := number(counted, name)) is None else int(value)
        for name in ("input_token_count", "output_token_count")
    ]
    whole = "".join(map(str, said)) if isinstance(said, list) else str(said if said is not None else "")
    return Reply(whole, pair[0], pair[1], latency_ms, state)


PROVIDER = Provider(
    name="replicate",
    label="Replicate",
    description="Any trainer by its version, with a form made from its schema; the tuned version answers predictions.",
    base_url="https://api.replicate.com/v1",
    key_help="https://replicate.com/account/api-tokens",
    docs_url="https://replicate.com/docs/reference/http",
    fields=(
        Field("owner", "Owner", "The user or organisation that owns what is trained; empty: the token's own.", required=False),
        Field("hardware", "Hardware", "The SKU that the tuned model runs on; empty: gpu-l40s.", required=False),
    ),
    notice=(
        "Most trainers there make images. Name a version of one that takes text; Tunebook reads its form. Training and "
        "answers are billed by the second of the hardware."
    ),
    undisclosed=("price before it runs", "hardware of the training", "what the trainer does beside its inputs"),
    returns_weights=True,
    connect=Api,
    check_key=check_key,
    list_models=list_models,
    look_at_model=look_at_model,
    training=Training(
        identity="the name of the training data, which the training repeats",
        list_note="The list has no filter; all trainings are read.",
        hyperparameters=form.hyperparameters,
        suggest=form.suggest,
        problems=form.problems,
        estimate=form.estimate,
        render=form.render,
        upload=jobs.upload,
        check=check,
        submit=jobs.submit,
        find=jobs.find,
        list_jobs=jobs.list_jobs,
        poll=jobs.poll,
        cancel=jobs.cancel,
        logs=jobs.logs,
        metrics=jobs.metrics,
        fetch_weights=jobs.fetch_weights,
    ),
    chat=Chat(ask=ask),
)  # fmt: skip
