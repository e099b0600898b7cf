"""Batches of chat completions in OpenAI's shape: a file of questions, one create, files of answers and errors.

A batch has no filter on metadata: it is found again by reading the list. openai_batch() makes the Batch of a service.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from app import errors
from app.providers._base import Batch
from app.providers._openai import KEY, list_all, send_file
from app.providers._openai_chat import reply_of
from app.providers._shapes import BatchAnswer, Decoding, Phase, Question, RemoteBatch
from app.service_http import Api
from app.service_json import mapping, moment, number, rows, text, whole

PHASES = {
    "validating": Phase.WAITING,
    "in_progress": Phase.RUNNING,
    "finalizing": Phase.RUNNING,
    "cancelling": Phase.RUNNING,
    "completed": Phase.DONE,
    "expired": Phase.DONE,  # what was answered in time is there
    "failed": Phase.FAILED,
    "cancelled": Phase.CANCELLED,
}
Body = Callable[[str, Question, Decoding], Mapping[str, Any]]


def openai_batch(body: Body, most_lines: int, most_bytes: int, url: str, **more: Any) -> Batch:
    """The batches of one service: `body` makes what chat would be sent, `url` is what each line names."""

    def line(model: str, question: Question, decoding: Decoding) -> Mapping[str, Any]:
        asked = body(model, question, decoding)
        return {"custom_id": question.key, "method": "POST", "url": url, "body": asked}

    return Batch(
        line=line,
        most_lines=most_lines,
        most_bytes=most_bytes,
        submit=partial(submit, url),
        says_creating=True,
        find=find,
        poll=poll,
        cancel=cancel,
        read=read,
        **more,
    )


def submit(url: str, api: Api, path: Path, model: str, decoding: Decoding, launch_key: str) -> RemoteBatch:
    """Uploads the questions, then sends the one create call."""
    try:
        file = send_file(api, path, "batch")
    except errors.Unclear as error:
        # Nothing was created yet, and a second upload costs nothing.
        raise errors.Busy(error.message, error.hint, wait=5.0) from error
    body = {
        "input_file_id": file.id,
        "endpoint": url,
        "completion_window": "24h",
        "metadata": {KEY: launch_key},
    }
    api.creating()
    return batch_of(api, api.post("batches", json=body))


def find(api: Api, launch_key: str) -> list[RemoteBatch]:
    """Every batch that carries the launch key."""
    found = (batch_of(api, raw) for raw in list_all(api, "batches"))
    return [batch for batch in found if batch.launch_key == launch_key]


def poll(api: Api, id: str) -> RemoteBatch:
    """The batch as it stands. Raises errors.Unclear for an answer about another one."""
    return api.about(batch_of(api, api.get(f"batches/{id}")), id)


def cancel(api: Api, id: str) -> None:
    """Asks the service to stop it; what was answered by then can be read."""
    api.post(f"batches/{id}/cancel")


def batch_of(api: Api, raw: Any) -> RemoteBatch:
    """A batch object. Raises errors.Unclear where it has no id."""
    if not text(mapping(raw), "id"):
        raise api.unclear("sent no batch id")
    counts = mapping(raw, "request_counts")
    wrong = [text(each, "message") for each in rows(mapping(raw, "errors"), "data")]
    return RemoteBatch(
        id=text(raw, "id"),
        state=text(raw, "status"),
        phase=PHASES.get(text(raw, "status"), Phase.STRANGE),
        launch_key=text(mapping(raw, "metadata"), KEY),
        done=(whole(counts, "completed") or 0) + (whole(counts, "failed") or 0),
        total=whole(counts, "total") or 0,
        message="; ".join(each for each in wrong if each)[:1000],
        created_at=moment(raw, "created_at"),
        raw=raw,
    )


def read(api: Api, batch: RemoteBatch, folder: Path) -> Iterator[BatchAnswer]:
    """Every answer and every error of an ended batch, whichever file it stands in."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("output_file_id", "error_file_id"):
        id = text(batch.raw, name)
        if not id:
            continue
        path = folder / f"{id}.jsonl"
        api.download(f"files/{id}/content", path)
        with path.open("rb") as lines:
            for line in lines:
                if line.strip():
                    yield answer_of(api, line)


def answer_of(api: Api, line: bytes) -> BatchAnswer:
    """One line of an output or error file."""
    try:
        raw = json.loads(line)
    except ValueError:
        raise api.unclear("sent a batch line that is not JSON") from None
    key, response = text(raw, "custom_id"), mapping(raw, "response")
    status = number(response, "status_code")
    if status == 200:
        try:
            return BatchAnswer(key, reply_of(api, mapping(response, "body")))
        except errors.Unclear as error:
            return BatchAnswer(key, error=error.message)
    problem = mapping(raw, "error") or mapping(response, "body", "error")
    said = api.safe(text(problem, "message") or text(problem, "code") or f"status {status}")
    return BatchAnswer(key, error=said, retryable=status is None or status == 429 or status >= 500)
