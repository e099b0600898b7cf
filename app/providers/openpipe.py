"""OpenPipe's API v1: data sets with `split`, models, chat. The service has ended; what speaks its protocol still works.

The launch key is the model's slug, which we choose.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from app import errors, preferences
from app.hyperparameters import Hyperparameter
from app.providers import _rows
from app.providers._base import Chat, Provider, Repeat, Training
from app.providers._openai_chat import ChatRequest, ask_chat, chat_body
from app.providers._shapes import (
    Decoding,
    Estimate,
    Example,
    KeyCheck,
    Offer,
    Phase,
    Question,
    RemoteFile,
    RemoteJob,
    Reply,
    TunedModel,
    TuningJob,
)
from app.service_http import Api
from app.service_json import mapping, moment, rows, text, whole

NOTICE = (
    "OpenPipe stopped new training and answers on 30 July 2026 and moved to W&B Serverless SFT. This client is for "
    "servers that still speak its API: set their address as the base URL."
)
PHASES = {
    "PENDING": Phase.WAITING,
    "QUEUED": Phase.WAITING,
    "PROVISIONING": Phase.WAITING,
    "TRAINING": Phase.RUNNING,
    "DEPLOYED": Phase.DONE,
    "PENDING_DEPRECATION": Phase.DONE,
    "DEPRECATED": Phase.DONE,
    "ERROR": Phase.FAILED,
}
NAMES = {
    "epochs": "num_epochs",
    "batch_size": "batch_size",
    "learning_rate_multiplier": "learning_rate_multiplier",
}
# What a model says of its preference training.
PREFERENCE_NAMES = {
    "epochs": "preference_tuning_num_epochs",
    "learning_rate_multiplier": "preference_tuning_learning_rate_multiplier",
    "dpo_beta": "preference_tuning_training_beta",
}
PREFIX = "openpipe:"
ENTRIES_AT_ONCE = 100
OFFERS = tuple(
    Offer(model, can_train=True, can_chat=False)
    for model in (
        "meta-llama/Meta-Llama-3.1-8B-Instruct",
        "Qwen/Qwen2.5-7B-Instruct",
        "Qwen/Qwen2.5-14B-Instruct",
        "Qwen/Qwen3-8B",
        "Qwen/Qwen3-14B",
        "meta-llama/Llama-3.2-1B-Instruct",
        "meta-llama/Llama-3.2-3B-Instruct",
        "google/gemma-3-4b-it",
        "google/gemma-3-12b-it",
    )
)


def check_key(api: Api) -> KeyCheck:
    """Lists the models: free, and refused for a wrong key."""
    return KeyCheck("", f"{len(rows(api.get('models'), 'data'))} models in the project.")


def list_models(api: Api) -> list[Offer]:
    """The base models that its description names: the list holds only what was trained."""
    return list(OFFERS)


def list_tuned(api: Api) -> list[TunedModel]:
    """What was trained in the project and still answers."""
    found = [
        each
        for each in rows(api.get("models"), "data")
        if _status(each) in ("DEPLOYED", "PENDING_DEPRECATION")
    ]
    return [
        TunedModel(
            PREFIX + _slug(each),
            text(mapping(each, "openpipe"), "baseModel"),
            moment(each, "created"),
            raw=each,
        )
        for each in found
    ]


def hyperparameters(offer: Offer) -> tuple[Hyperparameter, ...]:
    """The values that a training takes."""
    return (
        *preferences.fields(),
        Hyperparameter("epochs", "Epochs", "int", 3, minimum=1, maximum=50, simple=True),
        Hyperparameter(
            "batch_size", "Batch size", "int", 8, "Items for each step.", minimum=1, maximum=1024, only="sft"
        ),
        Hyperparameter(
            "learning_rate_multiplier", "Learning rate multiplier", "float", 1.0,
            "Times a learning rate that the service does not disclose.", minimum=0.0001, maximum=100,
        ),
    )  # fmt: skip


def suggest(offer: Offer, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Three epochs; small batches for small data."""
    items = max(int(facts.get("train_items") or 0), 1)
    values = {"epochs": 3, "batch_size": min(max(items // 100, 1), 32), "learning_rate_multiplier": 1.0}
    return {**{field.name: field.default for field in preferences.fields()}, **values}


def problems(job: TuningJob) -> list[str]:
    """What would be refused."""
    return [] if job.counts.get("train") else ["The training part has no items."]


def estimate(job: TuningJob) -> Estimate:
    """The API tells no price of training."""
    tokens = job.tokens.get("train", 0) * int(job.hyperparameters["epochs"])
    return Estimate(None, f"about {tokens:,} tokens; the API names no price of training")


def render(example: Example, job: TuningJob) -> Mapping[str, Any]:
    """One entry; the split is always written, since a row without one is split by a rule that has changed. Raises
    errors.Invalid for preference training on an item without a rejected reply."""
    entry: dict[str, Any] = {"messages": [*example.messages, example.reply], "split": "TRAIN"}
    if example.tools:
        entry["tools"] = list(example.tools)
    if job.method == "dpo":
        entry["rejected_message"] = _rows.unwanted(example)
    return entry


def upload(api: Api, path: Path, part: str, job: TuningJob) -> RemoteFile:
    """Makes a data set of the training part. What an upload that was cut left behind is removed first."""
    if part != "train":
        return RemoteFile("not sent", raw={"note": "the service gives no validation curve"})
    for old in rows(api.get("datasets"), "data"):
        if text(old, "name") == job.launch_key:
            api.call("DELETE", f"datasets/{text(old, 'id')}")
    made = mapping(api.post("datasets", {"name": job.launch_key}))
    id = text(made, "id")
    if not id:
        raise api.unclear("sent no data set id")
    with path.open("rb") as file:
        entries = (api.decode(line) for line in file if line.strip())
        sent = 0
        while some := list(islice(entries, ENTRIES_AT_ONCE)):
            error = _send(api, id, some, sent)
            if error:
                return RemoteFile(id, error=error, raw=made)
            sent += len(some)
    return RemoteFile(id, raw=made)


def _send(api: Api, id: str, entries: list[Any], start: int) -> str:
    """Sends some entries; what the service says of the first that it did not take, "" for none."""
    answer = mapping(api.post(f"datasets/{id}/entries", {"entries": entries}))
    wrong = rows(mapping(answer, "errors"), "data")
    if wrong:
        line = start + (whole(wrong[0], "entry_index") or 0) + 1
        return (
            f"{len(wrong)} of {len(entries)} entries were not taken; line {line}: {text(wrong[0], 'message')}"
        )
    if whole(answer, "entries_created") != len(entries):
        return f"{whole(answer, 'entries_created')} of {len(entries)} entries were taken, without a word on the others"
    return ""


def submit(api: Api, job: TuningJob, files: Mapping[str, str]) -> RemoteJob:
    """The one create call."""
    config = {"provider": "openpipe", "baseModel": job.model, **_course(job)}
    body = {
        "datasetId": files["train"],
        "slug": job.launch_key,
        "pruningRuleIds": [],
        "trainingConfig": config,
    }
    return job_of(api, api.post("models", body))


def _course(job: TuningJob) -> dict[str, Any]:
    """Which of its two trainings runs, with the values of that one. DPO has no batch size there."""
    sent = job.hyperparameters
    if job.method != "dpo":
        values = {theirs: sent[ours] for ours, theirs in NAMES.items()}
        return {"enable_sft": True, "enable_preference_tuning": False, "sft_hyperparameters": values}
    values = {theirs: sent[ours] for ours, theirs in NAMES.items() if ours in sent}
    values |= {"variant": "DPO", "training_beta": sent["dpo_beta"]}
    return {"enable_sft": False, "enable_preference_tuning": True, "preference_hyperparameters": values}


def find(api: Api, launch_key: str) -> list[RemoteJob]:
    """The model of this slug."""
    try:
        return [poll(api, launch_key)]
    except errors.Gone:
        return []


def list_jobs(api: Api) -> Iterator[RemoteJob]:
    """Every model of the project."""
    return (job_of(api, raw) for raw in rows(api.get("models"), "data"))


def poll(api: Api, id: str) -> RemoteJob:
    """The model as it stands; its id is its slug. Raises errors.Unclear for an answer about another one."""
    return api.about(job_of(api, api.get(f"models/{id}")), id)


def job_of(api: Api, raw: Any) -> RemoteJob:
    """A model as a RemoteJob. Raises errors.Unclear where it has no name."""
    slug, inner = _slug(mapping(raw)), mapping(raw, "openpipe")
    if not slug:
        raise api.unclear("sent no model's name")
    state, said = text(inner, "status"), mapping(inner, "hyperparameters")
    preferring = said.get("is_preference_tuning_enabled") is True
    names = PREFERENCE_NAMES if preferring else NAMES
    known: dict[str, Any] = {
        ours: said[theirs] for ours, theirs in names.items() if isinstance(said.get(theirs), int | float)
    }
    if said:
        known["objective"] = "dpo" if preferring else "sft"
    return RemoteJob(
        id=slug,
        state=state,
        phase=PHASES.get(state, Phase.STRANGE),
        launch_key=slug if slug.startswith("tb-") else "",
        model=PREFIX + slug,
        message=text(inner, "errorMessage"),
        resolved=known,
        created_at=moment(raw, "created"),
        raw=raw,
    )


def _slug(raw: Mapping[str, Any]) -> str:
    return text(raw, "name").removeprefix(PREFIX)


def _status(raw: Mapping[str, Any]) -> str:
    return text(mapping(raw, "openpipe"), "status")


def ask(api: Api, model: str, question: Question, decoding: Decoding) -> Reply:
    """One answer of a tuned model ("openpipe:<slug>")."""
    return ask_chat(api, chat_body(model, question, decoding))


PROVIDER = Provider(
    name="openpipe",
    label="OpenPipe",
    description="The API of OpenPipe, for servers that still speak it; the service itself has ended.",
    base_url="https://api.openpipe.ai/api/v1",
    key_help="https://app.openpipe.ai/settings",
    docs_url="https://docs.openpipe.ai/api-reference",
    ends_on="2026-07-30",
    notice=NOTICE,
    undisclosed=("base learning rate", "optimiser", "adapter type and rank", "seed", "loss curves"),
    connect=Api,
    check_key=check_key,
    list_models=list_models,
    offers=OFFERS,
    training=Training(
        methods=("sft", "dpo"),
        identity="the model's slug, which is the launch key",
        repeat=Repeat.OWN_ID,
        list_note="A model is looked up by its slug.",
        hyperparameters=hyperparameters,
        suggest=suggest,
        problems=problems,
        estimate=estimate,
        render=render,
        upload=upload,
        submit=submit,
        find=find,
        list_jobs=list_jobs,
        poll=poll,
        list_tuned=list_tuned,
    ),
    chat=Chat(ask=ask, request=lambda api, *asked: ChatRequest(api, chat_body(*asked))),
)
