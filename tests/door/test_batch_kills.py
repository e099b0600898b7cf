"""kill -9 of the workers in the middle of a batch, in a Tunebook that runs: every line answered, none twice."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.door.test_official_client import question, rows
from tests.stack import Stack, part_of, running_stack, wait_for

pytestmark = pytest.mark.slow
LINES, KILLS = 2000, 3


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A Tunebook of the test's own."""
    yield from running_stack(tmp_path)


def test_a_killed_worker_asks_no_answered_line_again(stack: Stack) -> None:
    stack.call("GET", "/datasets")
    client = openai.OpenAI(api_key=stack.token, base_url=f"{stack.base}/v1", max_retries=4)
    file = client.files.create(file=("rule.jsonl", rows(90)), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(model="baseline/tfidf-linear", training_file=file.id)
    wait_for(lambda: client.fine_tuning.jobs.retrieve(job.id).status == "succeeded", 90)
    questions = client.files.create(file=("questions.jsonl", lines("run-1")), purpose="batch")
    batch = client.batches.create(
        input_file_id=questions.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    began, kills, seen = time.monotonic(), 0, 0
    while (now := client.batches.retrieve(batch.id)).status in ("validating", "in_progress"):
        answered = now.request_counts.completed if now.request_counts else 0
        if kills < KILLS and answered > seen:
            seen, kills = answered, kills + kill_workers(stack)
        assert time.monotonic() - began < 240, now
        time.sleep(0.05)
    print(f"{LINES} lines in {time.monotonic() - began:.1f} s with {kills} kills")
    assert now.status == "completed"
    assert kills == KILLS
    text = client.files.content(str(now.output_file_id)).text
    ids = [json.loads(line)["custom_id"] for line in text.splitlines()]
    assert len(ids) == len(set(ids)) == LINES


def kill_workers(stack: Stack) -> int:
    """Kills the worker with its forks; 1 where there was one."""
    found = [child for child in stack.children() if part_of(child) == "worker"]
    for child in found:
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
    return int(bool(found))


def lines(model: str) -> bytes:
    """Many questions to one model."""
    body: dict[str, Any] = {"model": model, "messages": question(4)}
    common = {"method": "POST", "url": "/v1/chat/completions", "body": body}
    return "".join(f"{json.dumps({'custom_id': f'q{n}', **common})}\n" for n in range(LINES)).encode()
