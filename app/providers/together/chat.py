"""Questions to Together: one by one, or as a batch for the models that it serves to everybody. Used by this folder."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app import errors
from app.providers import _openai_batch as shape
from app.providers._base import Batch
from app.providers._openai_chat import ChatRequest, ask_chat, chat_body
from app.providers._shapes import (
    BatchAnswer,
    Decoding,
    KeyCheck,
    Pace,
    Phase,
    Question,
    RemoteBatch,
    Reply,
)
from app.providers.together.hosts import inference, listed, whoami
from app.providers.together.jobs import send_file
from app.service_http import Api
from app.service_json import mapping, moment, number, rows, text

TOP_LOGPROBS = 20
ENDPOINT = "/v1/chat/completions"
PHASES = {
    "VALIDATING": Phase.WAITING,
    "IN_PROGRESS": Phase.RUNNING,
    "COMPLETED": Phase.DONE,
    "EXPIRED": Phase.DONE,  # what was answered in time is there
    "FAILED": Phase.FAILED,
    "CANCELLED": Phase.CANCELLED,
}


def body(model: str, question: Question, decoding: Decoding) -> dict[str, Any]:
    """What one question sends: here `logprobs` is the number of likely tokens wanted."""
    asked = chat_body(model, question, decoding)
    if top := asked.pop("top_logprobs", 0):
        asked["logprobs"] = top
    return asked


def request(api: Api, model: str, question: Question, decoding: Decoding) -> ChatRequest:
    """What asking sends."""
    return ChatRequest(inference(api), body(model, question, decoding))


def ask(api: Api, model: str, question: Question, decoding: Decoding) -> Reply:
    """One answer of a model that Together serves, or of an endpoint by its name."""
    return ask_chat(inference(api), body(model, question, decoding), pace=pace_of)


def pace_of(headers: Mapping[str, str]) -> Pace:
    """Together's own names of what is left of its limits."""

    def count(name: str) -> int | None:
        found = number(headers, name)
        return None if found is None else int(found)

    reset = number(headers, "x-ratelimit-reset")
    tokens = count("x-tokenlimit-remaining")
    return Pace(count("x-ratelimit-remaining"), reset, tokens, reset if tokens is not None else None)


def check_key(api: Api) -> KeyCheck:
    """Whose key it is; where the address knows no version 3, the list of jobs says whether it works."""
    try:
        found = whoami(api)
    except errors.Gone:
        return KeyCheck(
            "", f"It works: the account has {len(rows(api.get('fine-tunes'), 'data'))} trainings."
        )
    project, organization = mapping(found, "project"), mapping(found, "organization")
    note = (
        f"Project {text(project, 'name')}." if project else "The key belongs to no project: it cannot deploy."
    )
    return KeyCheck(text(organization, "name") or text(organization, "id"), note)


def line(model: str, question: Question, decoding: Decoding) -> Mapping[str, Any]:
    """One line of a batch."""
    return {"custom_id": question.key, "body": body(model, question, decoding)}


def submit_batch(api: Api, path: Path, model: str, decoding: Decoding, launch_key: str) -> RemoteBatch:
    """Uploads the questions under the launch key's name, then sends the one create call."""
    marked = _marked(path, launch_key)
    try:
        file = send_file(api, marked, f"{launch_key}.jsonl", "batch-api")
    except errors.Unclear as error:
        # Nothing was created yet, and content that is there already is found.
        raise errors.Busy(error.message, error.hint, wait=5.0) from error
    finally:
        marked.unlink()
    asked = {"input_file_id": file.id, "endpoint": ENDPOINT, "completion_window": "24h", "model_id": model}
    api.creating()
    return batch_of(api, mapping(api.post("batches", json=asked), "job"), launch_key)


def _marked(path: Path, launch_key: str) -> Path:
    """A copy whose questions carry the launch key. Together keeps equal files once, under the name that came first:
    the name finds the batch only where no other has the same questions."""
    marked = path.with_name(f".{path.stem}.{launch_key}.jsonl")
    with path.open("rb") as lines, marked.open("w", encoding="ascii") as file:
        for each in lines:
            asked = json.loads(each)
            file.write(json.dumps({**asked, "custom_id": f"{launch_key}:{asked['custom_id']}"}) + "\n")
    return marked


def read_batch(api: Api, batch: RemoteBatch, folder: Path) -> Iterator[BatchAnswer]:
    """Every answer and every error, by the questions' own keys."""
    for answer in shape.read(api, batch, folder):
        yield replace(answer, key=answer.key.partition(":")[2])


def find_batch(api: Api, launch_key: str) -> list[RemoteBatch]:
    """The batches whose questions were uploaded under the launch key: a batch itself carries no name."""
    files = {text(each, "id"): text(each, "filename") for each in listed(api, api.get("files"))}
    return [
        batch_of(api, raw, launch_key)
        for raw in listed(api, {"data": api.get("batches")})
        if files.get(text(raw, "input_file_id")) == f"{launch_key}.jsonl"
    ]


def poll_batch(api: Api, id: str) -> RemoteBatch:
    """The batch as it stands. Raises errors.Unclear for an answer about another one."""
    return api.about(batch_of(api, mapping(api.get(f"batches/{id}"))), id)


def batch_of(api: Api, raw: Mapping[str, Any], launch_key: str = "") -> RemoteBatch:
    """A batch object. It counts no questions, only a percentage. Raises errors.Unclear where it has no id."""
    if not text(raw, "id"):
        raise api.unclear("sent no batch id")
    return RemoteBatch(
        id=text(raw, "id"),
        state=text(raw, "status"),
        phase=PHASES.get(text(raw, "status"), Phase.STRANGE),
        launch_key=launch_key,
        message=text(raw, "error"),
        created_at=moment(raw, "created_at"),
        raw=raw,
    )


BATCH = Batch(
    line=line,
    most_lines=50_000,
    most_bytes=100 * 10**6,
    # A deployment answers batches too, without any discount: its questions are asked one by one.
    for_tuned=False,
    submit=submit_batch,
    find=find_batch,
    poll=poll_batch,
    cancel=shape.cancel,
    read=read_batch,
    says_creating=True,
)
