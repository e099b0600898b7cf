"""W&B Serverless SFT (public preview), the successor of OpenPipe: LoRA adapters on three open models, trained on data
in a W&B artifact and served at once."""

from collections.abc import Mapping
from typing import Any

from app import errors
from app.hyperparameters import Hyperparameter
from app.providers import _rows
from app.providers._base import Chat, Field, Provider, Training
from app.providers._openai_chat import ChatRequest, ask_chat, chat_body
from app.providers._shapes import Decoding, Estimate, KeyCheck, Offer, Price, Question, Reply, TuningJob
from app.providers.wandb import jobs
from app.providers.wandb.hosts import BASE, inference_api, query
from app.service_http import Api
from app.service_json import mapping, rows, text

VIEWER = "query Viewer { viewer { id entity username email teams { edges { node { name } } } } }"
# What answering costs is on its price page alone, which was not read.
PRICE = Price(
    source="docs.wandb.ai/serverless-training/usage-limits, 2026-09-30: training is free during the public preview",
    train=0.0,
)
OFFERS = tuple(
    Offer(model, can_train=True, price=PRICE)
    for model in (
        "meta-llama/Llama-3.1-8B-Instruct",
        "OpenPipe/Qwen3-14B-Instruct",
        "Qwen/Qwen3-30B-A3B-Instruct-2507",
    )
)
NOTICE = (
    "In public preview: training is free, answers and storage are paid. The service lists no jobs and cannot "
    "cancel one. It has no epochs: Tunebook sends the data once for each epoch, each time in another seeded order. "
    "Nobody has tried this client on the service itself."
)


def check_key(api: Api) -> KeyCheck:
    """Whose key it is: free, and refused for a wrong one."""
    viewer = mapping(query(api, VIEWER, {}), "viewer")
    if not viewer:
        raise errors.KeyRefused(f"{api.access.label} knows nobody by this key.", "Enter a working key.")
    teams = [text(mapping(edge, "node"), "name") for edge in rows(mapping(viewer, "teams"), "edges")]
    note = f"The entity may be {', '.join(team for team in teams if team)}." if any(teams) else ""
    return KeyCheck(text(viewer, "email") or text(viewer, "username"), note)


def list_models(api: Api) -> list[Offer]:
    """The base models that can be trained, then those that can only be asked."""
    try:
        listed = api.get("preview/base-models")
    except errors.Gone:  # an older server
        listed = [offer.model for offer in OFFERS]
    names = [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
    asked = [text(each, "id") for each in rows(inference_api(api).get("models"), "data")]
    trained = [
        Offer(name, can_train=True, can_chat=name in asked, price=PRICE) for name in dict.fromkeys(names)
    ]
    return [*trained, *(Offer(name) for name in dict.fromkeys(asked) if name and name not in names)]


def hyperparameters(offer: Offer) -> tuple[Hyperparameter, ...]:
    """What a training takes, and the epochs, which Tunebook makes itself."""
    return (
        Hyperparameter(
            "epochs", "Epochs", "int", 3, "How often the data stands in the file that is sent.",
            minimum=1, maximum=50, simple=True,
        ),
        Hyperparameter(
            "learning_rate", "Learning rate", "float", 5e-5, "The same for every step.",
            minimum=1e-8, maximum=1.0, simple=True,
        ),
        Hyperparameter("batch_size", "Batch size", "int", 8, "Items for each step.", minimum=1, maximum=1024),
    )  # fmt: skip


def suggest(offer: Offer, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Three epochs at the learning rate of its SDK; small batches for small data."""
    items = max(int(facts.get("train_items") or 0), 1)
    values = {field.name: field.default for field in hyperparameters(offer)}
    return {**values, "batch_size": 8 if items >= 200 else 2}


def problems(job: TuningJob) -> list[str]:
    """What would be refused."""
    if job.method != "sft":
        return [f"W&B Serverless SFT takes supervised examples only, not {job.method!r}."]
    return [] if job.counts.get("train") else ["The training part has no items."]


def estimate(job: TuningJob) -> Estimate:
    """Nothing, as long as the preview lasts."""
    tokens = job.tokens.get("train", 0) * int(job.hyperparameters["epochs"])
    return Estimate(0, f"about {tokens:,} tokens; {PRICE.source}")


def request(api: Api, model: str, question: Question, decoding: Decoding) -> ChatRequest:
    """What asking sends: an adapter answers at the training host, a base model at the inference host."""
    where = api if model.startswith("wandb-artifact:") else inference_api(api)
    return ChatRequest(where, chat_body(model, question, decoding))


def ask(api: Api, model: str, question: Question, decoding: Decoding) -> Reply:
    """One answer."""
    asked = request(api, model, question, decoding)
    return ask_chat(asked.api, asked.body)


PROVIDER = Provider(
    name="wandb",
    label="W&B Serverless SFT",
    description="LoRA adapters on open models, trained from a W&B artifact and served at once; in public preview.",
    base_url=BASE,
    key_help="https://wandb.ai/settings",
    docs_url="https://docs.wandb.ai/serverless-training",
    fields=(
        Field("entity", "Entity", "The team (or person) that the project belongs to."),
        Field("project", "Project", "Models, runs and artifacts are kept there."),
    ),
    notice=NOTICE,
    undisclosed=(
        "LoRA rank",
        "LoRA alpha",
        "optimiser",
        "learning rate schedule",
        "seed",
        "sequence handling",
    ),
    returns_weights=True,
    connect=Api,
    check_key=check_key,
    list_models=list_models,
    offers=OFFERS,
    training=Training(
        identity="the model's name, which is the launch key, once its adapter is there",
        list_note=(
            "The service lists no jobs: one that was made without an answer is found only when it has ended and left "
            "its adapter. If you know its id, write the launch key, a colon and the id."
        ),
        lists_jobs=False,
        hyperparameters=hyperparameters,
        suggest=suggest,
        problems=problems,
        estimate=estimate,
        render=_rows.render,
        upload=jobs.upload,
        submit=jobs.submit,
        find=jobs.find,
        list_jobs=jobs.list_jobs,
        poll=jobs.poll,
        logs=jobs.logs,
        metrics=jobs.metrics,
        fetch_weights=jobs.fetch_weights,
    ),
    chat=Chat(ask=ask, request=request),
)
