"""Predibase: data by a presigned address, a repository for each run, jobs, adapters, LoRAX-style answers. Unverified:
its SDK has stood still since October 2025.

The launch key is the repository's name, which we choose; its first version is the run's adapter.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app import errors
from app.hyperparameters import Hyperparameter
from app.providers import _predibase_stream as stream
from app.providers._base import Chat, Field, Provider, Training
from app.providers._openai_chat import ChatRequest, ask_chat, chat_body
from app.providers._shapes import (
    Decoding,
    Estimate,
    Example,
    KeyCheck,
    Offer,
    Page,
    Phase,
    Question,
    RemoteFile,
    RemoteJob,
    Reply,
    TuningJob,
)
from app.providers._weights import fetch_file, unpack
from app.service_http import Access, Api
from app.service_json import mapping, moment, number, rows, text, whole

BASE, SERVING = "https://api.app.predibase.com", "https://serving.app.predibase.com"
JOBS = "v2/finetuning/jobs"
UPLOAD_SECONDS = 600.0
PHASES = {
    "queued": Phase.WAITING,
    "training": Phase.RUNNING,
    "stopping": Phase.RUNNING,
    "completed": Phase.DONE,
    "stopped": Phase.DONE,  # ended early by hand: the adapter is there
    "errored": Phase.FAILED,
    "canceled": Phase.CANCELLED,
}
NAMES = {
    "epochs": "epochs",
    "learning_rate": "learning_rate",
    "lora_r": "rank",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "warmup_ratio": "warmup_ratio",
    "batch_size": "effective_batch_size",
}
OFFERS = tuple(
    Offer(model, can_train=True)
    for model in ("llama-3-1-8b-instruct", "qwen3-8b", "qwen2-5-7b-instruct", "mistral-7b-instruct-v0-2", "gemma-2-9b")
)  # fmt: skip


def check_key(api: Api) -> KeyCheck:
    """Whose key it is: free, and refused for a wrong one."""
    user = mapping(api.get("users/current"))
    tenant = text(mapping(user, "tenant"), "shortCode")
    return KeyCheck(
        text(user, "email") or text(user, "username"), f"The tenant is {tenant}." if tenant else ""
    )


def list_models(api: Api) -> list[Offer]:
    """Base models are named in its documentation alone; these are those that are deployed and can be asked."""
    deployed = [text(each, "name") for each in rows(api.get("v2/deployments"), "data")]
    known = {offer.model for offer in OFFERS}
    return [*OFFERS, *(Offer(name) for name in deployed if name and name not in known)]


def hyperparameters(offer: Offer) -> tuple[Hyperparameter, ...]:
    """Every value of a supervised training that the job takes."""
    return (
        Hyperparameter("epochs", "Epochs", "int", 3, minimum=1, maximum=100, simple=True),
        Hyperparameter(
            "learning_rate", "Learning rate", "float", 2e-4, minimum=1e-8, maximum=1.0, simple=True
        ),
        Hyperparameter("lora_r", "LoRA rank", "int", 16, minimum=1, maximum=256, simple=True),
        Hyperparameter("lora_alpha", "LoRA alpha", "int", 32, minimum=1, maximum=1024),
        Hyperparameter("lora_dropout", "LoRA dropout", "float", 0.05, minimum=0.0001, maximum=0.9),
        Hyperparameter("warmup_ratio", "Warm-up", "float", 0.03, minimum=0.0001, maximum=1.0),
        Hyperparameter(
            "batch_size", "Batch size", "int", 16, "Items for each step.", minimum=1, maximum=1024
        ),
    )


def suggest(offer: Offer, facts: Mapping[str, Any]) -> dict[str, Any]:
    """LoRA of rank 16 with alpha twice that; small batches for small data."""
    items = max(int(facts.get("train_items") or 0), 1)
    values = {field.name: field.default for field in hyperparameters(offer)}
    return {**values, "batch_size": 16 if items >= 200 else 4}


def problems(job: TuningJob) -> list[str]:
    """What would be refused."""
    if job.method != "sft":
        return [f"Tunebook sends Predibase supervised examples only, not {job.method!r}."]
    return [] if job.counts.get("train") else ["The training part has no items."]


def estimate(job: TuningJob) -> Estimate:
    """The service names a price only once the data is there."""
    tokens = job.tokens.get("train", 0) * int(job.hyperparameters["epochs"])
    return Estimate(None, f"about {tokens:,} tokens; the price is asked for when the data is there")


def render(example: Example, job: TuningJob) -> Mapping[str, Any]:
    """One line of chat data."""
    return {"messages": [*example.messages, example.reply]}


def upload(api: Api, path: Path, part: str, job: TuningJob) -> RemoteFile:
    """Asks for an address, puts the file there, registers it under the launch key's name."""
    if part != "train":
        return RemoteFile(
            "not sent", raw={"note": "the service holds items back itself for its validation loss"}
        )
    name, kind = f"{job.launch_key}-train", "application/jsonl"
    begun = mapping(api.post("v2/datasets/upload", {"fileName": f"{name}.jsonl", "mimeType": kind}))
    address, token = text(begun, "presignedUrl"), text(begun, "uploadToken")
    if not address or not token:
        raise api.unclear("sent no address for the upload")
    headers = {"content-type": kind, **{k: str(v) for k, v in mapping(begun, "requiredHeaders").items()}}
    api.send("PUT", address, content=path.read_bytes(), headers=headers, seconds=UPLOAD_SECONDS)
    api.call("PUT", "v2/datasets/upload", json={"name": name, "uploadToken": token})
    return look_at_file(api, name)


def look_at_file(api: Api, id: str) -> RemoteFile:
    """Whether the data set is connected."""
    found = mapping(api.get(f"v1/datasets/name/{id}", params={"connectionName": "file_uploads"}))
    return RemoteFile(id, text(found, "status") == "connected", text(found, "lastError"), found)


def quote(api: Api, job: TuningJob, files: Mapping[str, str]) -> Estimate:
    """The service's own estimate (a GET with a body, as its SDK sends it)."""
    asked = {
        "baseModel": job.model,
        "datasetName": f"file_uploads/{files['train']}",
        "taskType": "sft",
        "adapterType": "lora",
        "epochs": job.hyperparameters["epochs"],
    }
    dollars = number(mapping(api.call("GET", f"{JOBS}/cost-estimate", json=asked)), "estimatedCost")
    if dollars is None or dollars <= 0:
        return Estimate(None, "the service gave no estimate")
    return Estimate(round(dollars * 1e6), "the service's own estimate")


def submit(api: Api, job: TuningJob, files: Mapping[str, str]) -> RemoteJob:
    """Makes the repository, which costs nothing, then sends the one create call."""
    try:
        api.post("v2/repos", {"name": job.launch_key, "description": job.name[:200], "existsOk": True})
    except errors.Unclear as error:
        raise errors.Busy(error.message, error.hint, wait=5.0) from error
    values = {NAMES[name]: job.hyperparameters[name] for name in NAMES}
    params = {
        "base_model": job.model, "adapter": "lora", "task": "sft", "apply_chat_template": True,
        "enable_early_stopping": False, **values,
    }  # fmt: skip
    body = {
        "params": params,
        "dataset": files["train"],
        "repo": job.launch_key,
        "description": job.launch_key,
    }
    return job_of(api, api.post(JOBS, body))


def find(api: Api, launch_key: str) -> list[RemoteJob]:
    """The jobs of every version of the launch key's repository."""
    try:
        repo = mapping(api.get(f"v2/repos/{launch_key}"))
    except errors.Gone:
        return []
    tags = [tag for each in rows(repo, "versions") if (tag := whole(each, "tag")) is not None]
    versions = [mapping(api.get(f"v2/repos/{launch_key}/version/{tag}")) for tag in tags]
    ids = [text(mapping(each, "finetuningJob"), "uuid") for each in versions]
    return [poll(api, id) for id in ids if id]


def list_jobs(api: Api) -> Iterator[RemoteJob]:
    """The jobs of every repository that a launch key names."""
    for repo in rows(api.get("v2/repos", params={"limit": 1000}), "data"):
        if text(repo, "name").startswith("tb-"):
            yield from find(api, text(repo, "name"))


def poll(api: Api, id: str) -> RemoteJob:
    """The job as it stands. Raises errors.Unclear for an answer about another one."""
    return api.about(job_of(api, api.get(f"{JOBS}/{id}")), id)


def cancel(api: Api, id: str) -> None:
    """Asks the service to stop it; poll() says when it has."""
    api.post(f"{JOBS}/{id}/cancel")


def job_of(api: Api, raw: Any) -> RemoteJob:
    """A job as a RemoteJob. Raises errors.Unclear where it has no id."""
    raw = mapping(raw)
    if not text(raw, "uuid"):
        raise api.unclear("sent no job id")
    state, repo = text(raw, "status"), text(raw, "targetRepoName")
    given = raw.get("params")
    said = mapping(json.loads(given) if isinstance(given, str) else given)
    return RemoteJob(
        id=text(raw, "uuid"),
        state=state,
        phase=PHASES.get(state, Phase.STRANGE),
        launch_key=repo if repo.startswith("tb-") else "",
        model=f"{text(raw, 'baseModel')}#{repo}/{whole(raw, 'targetVersionTag') or 1}",
        message=text(raw, "error"),
        resolved={ours: said[theirs] for ours, theirs in NAMES.items() if isinstance(said.get(theirs), int | float)},
        created_at=moment(raw, "createdAt"),
        raw=raw,
    )  # fmt: skip


def metrics(api: Api, job: RemoteJob, cursor: str) -> Page:
    """The losses at its checkpoints, from the stream, which tells them from the start at every look."""
    return stream.points(api, f"{JOBS}/{job.id}/metrics/stream", cursor)


def fetch_weights(api: Api, job: RemoteJob, folder: Path) -> Sequence[Path]:
    """The adapter, from its zip; only kinds of files that cannot run are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    repo, _, tag = job.model.partition("#")[2].rpartition("/")
    archive = fetch_file(api, f"v2/repos/{repo}/version/{tag}/download", folder / ".adapter.archive")
    written = unpack(api, archive, folder)
    archive.unlink()
    return written


def serving(api: Api, deployment: str) -> str:
    """The address of a deployment's chat: at the serving host, or below the base URL where that was changed."""
    tenant = api.access.fields.get("tenant", "")
    host = SERVING if api.access.base_url == BASE else api.access.base_url
    return f"{host}/{tenant}/deployments/v2/llms/{deployment}/v1"


def request(api: Api, model: str, question: Question, decoding: Decoding) -> ChatRequest:
    """What asking "base#repository/version" sends, in LoRAX's way: the adapter, if any, is named as the model."""
    deployment, _, adapter = model.partition("#")
    # The key goes to the serving host too, which is the service's own.
    access = Access(api.access.label, serving(api, deployment), api.access.key, api.access.fields)
    return ChatRequest(Api(access, api.client), chat_body(adapter, question, decoding))


def ask(api: Api, model: str, question: Question, decoding: Decoding) -> Reply:
    """One answer."""
    asked = request(api, model, question, decoding)
    return ask_chat(asked.api, asked.body)


PROVIDER = Provider(
    name="predibase",
    label="Predibase",
    description="LoRA adapters on open models, served together (LoRAX); whether it still takes new jobs is not known.",
    base_url=BASE,
    key_help="https://app.predibase.com/settings",
    docs_url="https://docs.predibase.com",
    fields=(Field("tenant", "Tenant", "The short code in the address of your deployments."),),
    notice="Unverified: its SDK has stood still since October 2025, and nobody has tried this client on the service.",
    unverified=True,
    undisclosed=("seed", "optimiser", "learning rate schedule", "held-back items", "sequence handling"),
    returns_weights=True,
    connect=Api,
    check_key=check_key,
    list_models=list_models,
    offers=OFFERS,
    training=Training(
        identity="the repository's name, which is the launch key",
        list_note="A repository is looked up by its name.",
        hyperparameters=hyperparameters,
        suggest=suggest,
        problems=problems,
        estimate=estimate,
        render=render,
        upload=upload,
        look_at_file=look_at_file,
        quote=quote,
        submit=submit,
        find=find,
        list_jobs=list_jobs,
        poll=poll,
        cancel=cancel,
        metrics=metrics,
        fetch_weights=fetch_weights,
    ),
    chat=Chat(ask=ask, request=request),
)
