"""/v1/batches: files checked line by line, answers kept one by one, and nothing asked twice."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update
from sqlmodel import col, select

from app.clock import in_seconds
from app.db import session_scope
from app.door.batch_journal import INDEX, OUTPUT, Journal, answered
from app.door.batch_lines import Line
from app.door.ids import new_id
from app.door.shapes import ChatAnswer, Usage
from app.errors import Busy, Invalid, OverBudget, Unclear
from app.storage import door_batch
from app.tables import DoorBatch
from tests.door.strict import by_openai, strictly
from tests.door.test_tuning import found, send

pytestmark = pytest.mark.laptop
Asked = list[str]


def lines(count: int, **more: Any) -> bytes:
    """Questions q0, q1, ... to one model."""
    rows = [
        {
            "custom_id": f"q{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "run-1", "messages": [{"role": "user", "content": f"q{number}"}], **more},
        }
        for number in range(count)
    ]
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


@pytest.fixture
def trouble() -> dict[str, list[Exception]]:
    """{a question: what it meets first, one after another}."""
    return {}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, trouble: dict[str, list[Exception]]) -> Asked:
    """Every question that was put to the model, which says it again."""
    seen: Asked = []

    async def answer(actor: Any, body: Any, *, batch_id: int | None = None) -> ChatAnswer:
        said = body.messages[-1]["content"]
        seen.append(said)
        if trouble.get(said):
            raise trouble[said].pop(0)
        message = {"role": "assistant", "content": said, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return ChatAnswer(new_id("chatcmpl-"), 1, body.model, [choice], Usage(3, 2), [None])

    monkeypatch.setattr("app.door.batch_ask.answer", answer)
    return seen


@pytest.fixture
def step(sent: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> Callable[..., DoorBatch]:
    """Takes `times` steps of the newest batch as a worker does, also when it should wait, and gives its row."""
    from workers.door import work_batch

    monkeypatch.setattr("workers.door.send", lambda *_: None)

    def take(times: int = 1) -> DoorBatch:
        for _ in range(times):
            work_batch(found(select(DoorBatch.id).order_by(col(DoorBatch.id)))[-1])
        row: DoorBatch = found(select(DoorBatch).order_by(col(DoorBatch.id)))[-1]
        return row

    return take


def make(client: TestClient, data: bytes, **more: Any) -> Any:
    """A batch on that file."""
    body = {"endpoint": "/v1/chat/completions", "completion_window": "24h", **more}
    answer = client.post("/v1/batches", json={"input_file_id": send(client, data, "batch"), **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def content(client: TestClient, batch: Any, name: str) -> list[Any]:
    """The lines of one of its files, [] where there is none."""
    shown = client.get(f"/v1/batches/{batch['id']}").json()
    if name not in shown:
        return []
    text = client.get(f"/v1/files/{shown[name]}/content").text
    return [json.loads(line) for line in text.splitlines()]


def test_openais_client_reads_a_batch(
    client: TestClient, asked: Asked, step: Any, trouble: dict[str, list[Exception]]
) -> None:
    trouble["q3"] = [Invalid("That is too long.", "Shorten it.", {"messages": "too long"})]

    async def create(api: openai.AsyncOpenAI) -> Any:
        file = await api.files.create(file=("q.jsonl", lines(40)), purpose="batch")
        made = strictly(
            await api.batches.create(
                input_file_id=file.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={"paper": "two"},
            )
        )
        assert (made.status, made.metadata) == ("validating", {"paper": "two"})
        return made

    made = by_openai(client, create)
    assert step().state == "in_progress"
    assert step().state == "completed"

    async def read(api: openai.AsyncOpenAI) -> None:
        done = strictly(await api.batches.retrieve(made.id))
        assert done.request_counts.model_dump() == {"completed": 39, "failed": 1, "total": 40}
        assert (done.usage.input_tokens, done.usage.total_tokens, done.model) == (117, 195, "run-1")
        rows = [json.loads(each) for each in (await api.files.content(done.output_file_id)).text.splitlines()]
        assert {each["custom_id"] for each in rows} == {f"q{number}" for number in range(40)} - {"q3"}
        for each in rows:
            assert each["response"]["body"]["choices"][0]["message"]["content"] == each["custom_id"]
        wrong = json.loads((await api.files.content(done.error_file_id)).text)
        assert (wrong["custom_id"], wrong["response"]["status_code"]) == ("q3", 400)
        assert wrong["response"]["body"]["error"]["param"] == "messages"
        assert strictly(await api.files.retrieve(done.output_file_id)).purpose == "batch_output"
        assert [strictly(each).id async for each in api.batches.list()] == [made.id]
        with pytest.raises(openai.ConflictError, match="completed already"):
            await api.batches.cancel(made.id)

    by_openai(client, read)
    assert sorted(asked) == sorted(f"q{number}" for number in range(40))


def test_a_file_is_checked_line_by_line(client: TestClient, asked: Asked, step: Any) -> None:
    good: dict[str, Any] = json.loads(lines(1))
    wrong: list[tuple[Any, str]] = [
        ("[1]", "invalid_json_line"),
        ({**good, "custom_id": ""}, "missing_required_parameter"),
        (good, "duplicate_custom_id"),
        ({**good, "custom_id": "a", "method": "GET"}, "invalid_method"),
        ({**good, "custom_id": "b", "url": "/v1/embeddings"}, "mismatched_endpoint"),
        ({**good, "custom_id": "c", "body": {"messages": []}}, "missing_required_parameter"),
        ({**good, "custom_id": "d", "body": {**good["body"], "stream": True}}, "invalid_request"),
    ]
    text = "\n".join(
        [json.dumps(good), *(row if isinstance(row, str) else json.dumps(row) for row, _ in wrong)]
    )
    made = make(client, text.encode())
    assert step().state == "failed"
    errors = client.get(f"/v1/batches/{made['id']}").json()["errors"]["data"]
    assert [(each["code"], each["line"]) for each in errors] == [
        (code, number) for number, (_, code) in enumerate(wrong, 2)
    ]
    make(client, b"\n\n")
    assert step().errors[0]["code"] == "empty_file"
    assert asked == []
    file = send(client, b"{}", "batch")
    for body, param in [
        ({"endpoint": "/v1/embeddings"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"input_file_id": "file-none"}, "input_file_id"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, "output_expires_after.seconds"),
    ]:
        asks = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h", **body}
        answer = client.post("/v1/batches", json=asks)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_what_is_busy_is_asked_again_and_what_never_answers_is_given_up(
    client: TestClient, asked: Asked, step: Any, trouble: dict[str, list[Exception]]
) -> None:
    trouble["q1"] = [Busy("Too many calls.", wait=3.0)] * 7
    trouble["q2"] = [Unclear("No answer.")] * 99
    made = make(client, lines(3))
    waits = step(2)
    assert (waits.state, waits.completed) == ("in_progress", 1)
    assert waits.due_at
    assert waits.due_at > in_seconds(1)
    done = step(7)
    assert (done.state, done.completed, done.failed) == ("completed", 2, 1)
    assert asked.count("q0") == 1
    assert asked.count("q2") == 5
    [wrong] = content(client, made, "error_file_id")
    assert (wrong["custom_id"], wrong["response"]["status_code"]) == ("q2", 502)


def test_the_end_of_a_budget_ends_the_batch(
    client: TestClient, asked: Asked, step: Any, trouble: dict[str, list[Exception]]
) -> None:
    over = OverBudget("The budget of the token is used up.")
    # What others had reserved meanwhile is no reason to give up: q1 is asked once more, by itself.
    trouble |= {"q1": [over], **{f"q{number}": [over] * 3 for number in range(5, 40)}}
    made = make(client, lines(40))
    assert step(2).state == "completed"
    assert {each["custom_id"] for each in content(client, made, "output_file_id")} == {
        f"q{n}" for n in range(5)
    }
    wrong = content(client, made, "error_file_id")
    assert len(wrong) == 35
    assert sum(each["error"] is not None for each in wrong) == 34
    assert {each["error"]["code"] for each in wrong if each["error"]} == {"insufficient_quota"}
    assert len(asked) < 30


def test_a_batch_is_cancelled_or_expires_with_what_was_answered(
    client: TestClient, asked: Asked, step: Any, trouble: dict[str, list[Exception]]
) -> None:
    trouble["q2"] = [Busy("Too many calls.")] * 9
    made = make(client, lines(3))
    step(2)
    shown = client.post(f"/v1/batches/{made['id']}/cancel").json()
    assert shown["status"] == "cancelling"
    assert step().state == "cancelled"
    assert len(content(client, made, "output_file_id")) == 2
    assert content(client, made, "error_file_id") == []
    late = make(client, lines(3))
    step(2)
    with session_scope() as session:
        session.execute(update(DoorBatch).values(expires_at=in_seconds(-1)))
    assert step().state == "expired"
    [wrong] = content(client, late, "error_file_id")
    assert (wrong["custom_id"], wrong["error"]["code"]) == ("q2", "batch_expired")


def test_what_a_kill_left_behind_is_not_asked_again(client: TestClient, asked: Asked, step: Any) -> None:
    made = make(client, lines(12))
    id = step().id or 0
    journal = Journal(door_batch(id))
    for number in range(1, 8):
        journal.add(Line(number, f"q{number - 1}", {}), answered("x", {"usage": {}}))
    journal.flush()
    folder: Path = journal.folder
    # The index was not written to its end, and neither was one more answer.
    marks = (folder / INDEX).read_bytes().splitlines(keepends=True)
    os.truncate(folder / INDEX, len(b"".join(marks[:4])) + 3)
    with (folder / OUTPUT).open("ab") as file:
        file.write(b'{"id": "x", "custom_id": "q7", "resp')
    done = step()
    assert (done.state, done.completed) == ("completed", 12)
    assert sorted(asked) == sorted(f"q{number}" for number in range(7, 12))
    ids = [each["custom_id"] for each in content(client, made, "output_file_id")]
    assert sorted(ids) == sorted(f"q{number}" for number in range(12))


def test_one_idempotency_key_makes_one_batch(client: TestClient, sent: list[Any]) -> None:
    file = send(client, lines(1), "batch")
    body = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    ids = {
        client.post("/v1/batches", json=body, headers={"Idempotency-Key": "once"}).json()["id"] for _ in "ab"
    }
    assert len(ids) == 1
    assert client.delete(f"/v1/files/{file}").status_code == 409
