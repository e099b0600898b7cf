"""What a tuned model of Fireworks gives: its weights, and answers by batch without a deployment. Used by this folder."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app import errors
from app.providers._base import Batch, Repeat
from app.providers._openai_chat import ChatRequest, ask_chat, chat_body, reply_of
from app.providers._shapes import (
    BatchAnswer,
    Decoding,
    Phase,
    Question,
    RemoteBatch,
    RemoteJob,
    Reply,
)
from app.providers._weights import fetch_file, kept_name
from app.providers.fireworks import datasets
from app.providers.fireworks.jobs import OURS, phase_of
from app.providers.fireworks.names import account, address, short
from app.service_http import Api
from app.service_json import mapping, moment, text, whole

TOP_LOGPROBS = 5
JOBS = "batchInferenceJobs"
CHAT = "inference/v1/chat/completions"


def fetch_weights(api: Api, job: RemoteJob, folder: Path) -> Sequence[Path]:
    """The adapter's files in the PEFT format; other kinds of files are left away."""
    found = mapping(api.get(address(f"{job.model}:getDownloadEndpoint")), "filenameToSignedUrls")
    named = {kept_name(file): text(found, file) for file in found}
    return [fetch_file(api, url, folder / name) for name, url in named.items() if name and url]


def request(api: Api, model: str, question: Question, decoding: Decoding) -> ChatRequest:
    """What asking sends."""
    return ChatRequest(api, chat_body(model, question, decoding), CHAT)


def ask(api: Api, model: str, question: Question, decoding: Decoding) -> Reply:
    """One answer of a model that Fireworks serves to everybody."""
    return ask_chat(api, chat_body(model, question, decoding), CHAT)


def line(model: str, question: Question, decoding: Decoding) -> Mapping[str, Any]:
    """One line of a batch; the model is named by the job."""
    body = chat_body(model, question, decoding)
    del body["model"]
    return {"custom_id": question.key, "body": body}


def submit_batch(api: Api, path: Path, model: str, decoding: Decoding, launch_key: str) -> RemoteBatch:
    """Uploads the questions, then sends the one create call, with the launch key as the batch's id."""
    file = datasets.send(api, path)
    if file.error:
        raise errors.Refused(f"Fireworks refused the questions: {file.error}")
    if not file.ready:
        raise errors.Busy("Fireworks still reads the questions.", "Tunebook tries again by itself.", wait=2.0)
    body = {
        "displayName": launch_key,
        "model": model,
        "inputDatasetId": file.id,
        "outputDatasetId": f"{account(api)}/datasets/{launch_key}-answers",
        "inferenceParameters": {"maxTokens": decoding.max_tokens, "temperature": decoding.temperature},
    }
    api.creating()
    raw = api.post(address(f"{account(api)}/{JOBS}"), params={"batchInferenceJobId": launch_key}, json=body)
    return batch_of(api, raw)


def find_batch(api: Api, launch_key: str) -> list[RemoteBatch]:
    """The batch whose id is the launch key."""
    try:
        return [poll_batch(api, f"{account(api)}/{JOBS}/{launch_key}")]
    except errors.Gone:
        return []


def poll_batch(api: Api, id: str) -> RemoteBatch:
    """The batch as it stands. Raises errors.Unclear for an answer about another one."""
    return api.about(batch_of(api, api.get(address(id))), id)


def cancel_batch(api: Api, id: str) -> None:
    """Removes the batch, which stops it: there is no other way."""
    api.call("DELETE", address(id))


def batch_of(api: Api, raw: Any) -> RemoteBatch:
    """A batch object. Raises errors.Unclear where it has no name."""
    name = text(mapping(raw), "name")
    if not name:
        raise api.unclear("sent no batch name")
    state, status, counts = text(raw, "state"), mapping(raw, "status"), mapping(raw, "jobProgress")
    done = whole(counts, "totalProcessedRequests") or 0
    return RemoteBatch(
        id=name,
        state=state.removeprefix("JOB_STATE_"),
        # What was answered before it ran out of time is kept.
        phase=Phase.DONE if state == "JOB_STATE_EXPIRED" else phase_of(state),
        launch_key=short(name) if OURS.match(short(name)) else "",
        done=done,
        # The total is what was declared, not what was read.
        total=max(whole(counts, "totalInputRequests") or 0, done),
        message=text(status, "message") if text(status, "code") not in ("", "OK") else "",
        created_at=moment(raw, "createTime"),
        raw=raw,
    )


def read_batch(api: Api, batch: RemoteBatch, folder: Path) -> Iterator[BatchAnswer]:
    """Every answer and every error of an ended batch: two files of its output dataset."""
    try:
        paths = datasets.download(api, text(batch.raw, "outputDatasetId"), folder)
    except errors.Gone:
        return  # a batch that failed as a whole has no output
    for path in paths.values():
        with path.open("rb") as lines:
            yield from (answer_of(api, each) for each in lines if each.strip())


def answer_of(api: Api, raw_line: bytes) -> BatchAnswer:
    """One line of either file."""
    try:
        raw = json.loads(raw_line)
    except ValueError:
        raise api.unclear("sent a batch line that is not JSON") from None
    key, response = text(raw, "custom_id"), mapping(raw, "response")
    if mapping(response, "body"):
        response = mapping(response, "body")
    try:
        return BatchAnswer(key, reply_of(api, response))
    except errors.Unclear:
        problem = mapping(raw, "error") or mapping(response, "error")
        said = text(problem, "message") or text(raw, "error") or "the service gave no answer"
        return BatchAnswer(key, error=api.safe(said))


BATCH = Batch(
    line=line,
    # No bound on the lines is published; more would make a batch that takes too long to begin anew.
    most_lines=100_000,
    most_bytes=10**9,
    repeat=Repeat.OWN_ID,
    submit=submit_batch,
    find=find_batch,
    poll=poll_batch,
    cancel=cancel_batch,
    read=read_batch,
    says_creating=True,
)
