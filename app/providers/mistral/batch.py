"""Mistral's batches: a file of questions, one create with the launch key in its metadata, files of answers."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from app import errors
from app.providers._base import Batch
from app.providers._openai_chat import reply_of
from app.providers._shapes import BatchAnswer, Decoding, Phase, Question, RemoteBatch
from app.providers.mistral.training import pages, send_file
from app.service_http import Api
from app.service_json import mapping, moment, rows, text, whole

KEY = "tunebook"
PHASES = {
    "QUEUED": Phase.WAITING,
    "RUNNING": Phase.RUNNING,
    "CANCELLATION_REQUESTED": Phase.RUNNING,
    "SUCCESS": Phase.DONE,
    "TIMEOUT_EXCEEDED": Phase.DONE,  # what was answered in time is there
    "FAILED": Phase.FAILED,
    "CANCELLED": Phase.CANCELLED,
}


def chat_body(question: Question, decoding: Decoding) -> dict[str, Any]:
    """What one question sends, without the model's name."""
    body: dict[str, Any] = {
        "messages": list(question.messages),
        "temperature": decoding.temperature,
        "max_tokens": decoding.max_tokens,
    }
    if decoding.seed is not None:
        body["random_seed"] = decoding.seed
    if question.tools:
        body["tools"] = list(question.tools)
    if decoding.schema is not None:
        shape = {"name": "answer", "schema": dict(decoding.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": shape}
    return body


def line(model: str, question: Question, decoding: Decoding) -> Mapping[str, Any]:
    """One line of the input file; the model stands in the batch."""
    return {"custom_id": question.key, "body": chat_body(question, decoding)}


def submit(api: Api, path: Path, model: str, decoding: Decoding, launch_key: str) -> RemoteBatch:
    """Uploads the questions, then sends the one create call."""
    try:
        file = send_file(api, path, "batch")
    except errors.Unclear as error:
        # Nothing was created yet, and a second upload costs nothing.
        raise errors.Busy(error.message, error.hint, wait=5.0) from error
    body = {
        "input_files": [file.id],
        "endpoint": "/v1/chat/completions",
        "model": model,
        "metadata": {KEY: launch_key},
        "timeout_hours": 24,
    }
    api.creating()
    return batch_of(api, api.post("batch/jobs", json=body))


def find(api: Api, launch_key: str) -> list[RemoteBatch]:
    """Every batch that carries the launch key."""
    found = (batch_of(api, raw) for raw in pages(api, "batch/jobs", {}))
    return [batch for batch in found if batch.launch_key == launch_key]


def poll(api: Api, id: str) -> RemoteBatch:
    """The batch as it stands. Raises errors.Unclear for an answer about another one."""
    return api.about(batch_of(api, api.get(f"batch/jobs/{id}")), id)


def cancel(api: Api, id: str) -> None:
    """Asks the service to stop it; what was answered by then can be read."""
    api.post(f"batch/jobs/{id}/cancel")


def batch_of(api: Api, raw: Any) -> RemoteBatch:
    """A batch job. Raises errors.Unclear where it has no id."""
    if not text(mapping(raw), "id"):
        raise api.unclear("sent no batch id")
    state = text(raw, "status")
    return RemoteBatch(
        id=text(raw, "id"),
        state=state,
        phase=PHASES.get(state, Phase.STRANGE),
        launch_key=text(mapping(raw, "metadata"), KEY),
        done=whole(raw, "completed_requests") or 0,
        total=whole(raw, "total_requests") or 0,
        message="; ".join(text(each, "message") for each in rows(raw, "errors")),
        created_at=moment(raw, "created_at"),
        raw=raw,
    )


def read(api: Api, batch: RemoteBatch, folder: Path) -> Iterator[BatchAnswer]:
    """Every answer of a batch that has ended, in any order."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("output_file", "error_file"):
        id = text(batch.raw, name)
        if id:
            path = folder / f"{name}.jsonl"
            path.unlink(missing_ok=True)
            api.download(f"files/{id}/content", path)
            yield from (_answer(api, row) for row in path.open("rb") if row.strip())


def _answer(api: Api, row: bytes) -> BatchAnswer:
    raw = mapping(api.decode(row))
    key, answered = text(raw, "custom_id"), mapping(raw, "response")
    status, body = whole(answered, "status_code"), mapping(answered, "body")
    if status == 200:
        return BatchAnswer(key, reply_of(api, body))
    said = json.dumps(raw.get("error") or body or "no answer")[:500]
    return BatchAnswer(key, error=api.safe(said), retryable=status is None or status == 429 or status >= 500)


BATCH = Batch(
    line=line,
    most_lines=1_000_000,
    most_bytes=512 * 10**6,
    submit=submit,
    find=find,
    poll=poll,
    cancel=cancel,
    read=read,
    says_creating=True,
)
