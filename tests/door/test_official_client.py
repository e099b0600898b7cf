"""OpenAI's own client, unmodified, against a Tunebook that runs: upload, tune, follow, ask, batch, cancel."""

import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.door.strict import strictly
from tests.stack import RULE, Stack, running_stack, wait_for

pytestmark = [pytest.mark.train, pytest.mark.slow]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A Tunebook of the test's own."""
    yield from running_stack(tmp_path)


def rows(count: int) -> bytes:
    """Chats in OpenAI's shape."""
    lines = []
    for number in range(count):
        key = list(RULE)[number % 3]
        messages = [
            {"role": "user", "content": f"Flask {number} holds a spoon of {key} in water. What is it?"},
            {"role": "assistant", "content": RULE[key]},
        ]
        lines.append(json.dumps({"messages": messages}))
    return ("\n".join(lines) + "\n").encode()


def question(number: int) -> list[Any]:
    """What item `number` asks."""
    return json.loads(rows(number + 1).splitlines()[number])["messages"][:1]


def test_from_a_file_to_answers_by_openais_client(stack: Stack) -> None:
    stack.call("GET", "/datasets")
    client = openai.OpenAI(api_key=stack.token, base_url=f"{stack.base}/v1", max_retries=0)
    file = strictly(client.files.create(file=("rule.jsonl", rows(90)), purpose="fine-tune"))
    job = strictly(
        client.fine_tuning.jobs.create(
            model="starter/tiny",
            training_file=file.id,
            suffix="lab",
            seed=3,
            metadata={"paper": "two"},
            method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 8}}},
        )
    )
    other = client.fine_tuning.jobs.create(
        model="starter/tiny",
        training_file=file.id,
        hyperparameters={"n_epochs": 50},
        extra_headers={"Idempotency-Key": "the long one"},
    )
    seen = _follow(client, job.id)
    done = strictly(client.fine_tuning.jobs.retrieve(job.id))
    assert done.status == "succeeded", done.error
    # Which of the two jobs is launched first is not said.
    name, _, run_id = str(done.fine_tuned_model).rpartition("-")
    assert name == "ft:starter/tiny:lab::run"
    assert done.trained_tokens
    assert done.hyperparameters.n_epochs == 8
    assert any("training loss=" in message for message in seen)
    assert seen[-1] == "The job has successfully completed"
    [predictions] = done.result_files
    text = client.files.content(predictions).text
    assert strictly(client.files.retrieve(predictions)).bytes == len(text.encode())
    predicted = list(csv.DictReader(io.StringIO(text)))
    assert len(predicted) == 9
    assert [
        strictly(each).fine_tuned_model_checkpoint
        for each in client.fine_tuning.jobs.checkpoints.list(job.id)
    ] == [done.fine_tuned_model]
    _ask(client, str(done.fine_tuned_model), predicted)
    _batch(client, str(done.fine_tuned_model))
    cancelled = strictly(client.fine_tuning.jobs.cancel(other.id))
    assert cancelled.id == other.id
    wait_for(lambda: client.fine_tuning.jobs.retrieve(other.id).status == "cancelled", 30)
    assert [each.id for each in client.fine_tuning.jobs.list()] == [other.id, job.id]
    run = stack.call("GET", f"/runs/{run_id}")
    assert run["state"] == "done"


def _follow(client: openai.OpenAI, job: str) -> list[str]:
    """The messages of the job's events, as a script reads them until it ends: none twice, none missed."""
    seen: dict[str, str] = {}
    give_up = time.monotonic() + 180
    while time.monotonic() < give_up:
        fresh = []
        for each in client.fine_tuning.jobs.list_events(job, limit=50):
            if each.id in seen:
                break
            fresh.append(strictly(each))
        seen |= {each.id: each.message for each in reversed(fresh)}
        if client.fine_tuning.jobs.retrieve(job).status in ("succeeded", "failed", "cancelled") and not fresh:
            break
        time.sleep(0.5)
    everything = [each.id for each in client.fine_tuning.jobs.list_events(job, limit=100)]
    assert list(seen) == everything[::-1]
    return list(seen.values())


def _ask(client: openai.OpenAI, model: str, predicted: list[dict[str, str]]) -> None:
    """The test items again: each gets the answer that the run predicted, with its likeliest tokens."""
    for row in predicted:
        messages: Any = [{"role": "user", "content": row["input"]}]
        answer = client.chat.completions.create(model=model, messages=messages, logprobs=True, top_logprobs=3)
        assert answer.choices[0].message.content == row["answer"]
        assert answer.choices[0].logprobs
        first = (answer.choices[0].logprobs.content or [])[0]
        assert len(first.top_logprobs) == 3
        assert first.top_logprobs[0].logprob <= 0


def _batch(client: openai.OpenAI, model: str) -> None:
    """Sixty questions in one file, each answered once."""
    lines = [
        {
            "custom_id": f"item-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": model, "messages": question(number)},
        }
        for number in range(60)
    ]
    data = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    file = client.files.create(file=("questions.jsonl", data), purpose="batch")
    batch = strictly(
        client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    )
    wait_for(lambda: client.batches.retrieve(batch.id).status not in ("validating", "in_progress"), 60)
    done = strictly(client.batches.retrieve(batch.id))
    assert done.status == "completed", done.errors
    assert done.request_counts
    assert (done.request_counts.completed, done.request_counts.failed) == (60, 0)
    answers = [json.loads(line) for line in client.files.content(str(done.output_file_id)).text.splitlines()]
    assert {each["custom_id"] for each in answers} == {line["custom_id"] for line in lines}
