"""The door before the real inference process: a starter and a baseline, many at once, and a kill in the middle."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from app.config import settings
from app.storage import run_path
from tests.bench.inference import make_bundle, messages
from tests.door.conftest import add_run, calls, make_bearer, served
from tests.source import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.train]


def start() -> "subprocess.Popen[bytes]":
    settings().inference_socket.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "INFERENCE_SOCKET": str(settings().inference_socket),
        "INFERENCE_THREADS": "1",
    }
    return subprocess.Popen([sys.executable, "-m", "workers.inference"], cwd=ROOT, env=environment)


def test_many_at_once_and_a_kill_among_them(session, actor):
    run = add_run(session, actor)
    make_bundle(run_path(run.id))
    process = start()
    secret = make_bearer(session, actor)
    try:
        with (
            served() as address,
            openai.OpenAI(api_key=secret, base_url=f"{address}/v1", max_retries=4) as door,
        ):

            def ask(number: int) -> openai.types.chat.ChatCompletion:
                return door.chat.completions.create(
                    model=f"run-{run.id}",
                    messages=messages(number),
                    logprobs=True,
                    top_logprobs=3,
                    max_tokens=8,
                )

            first = ask(1)
            tokens = first.choices[0].logprobs.content
            assert first.usage.completion_tokens >= 1
            assert all(len(each.top_logprobs) == 3 for each in tokens)
            assert first.choices[0].message.content in "".join(each.token for each in tokens)
            streamed = door.chat.completions.create(
                model=f"run-{run.id}", messages=messages(1), stream=True, max_tokens=8
            )
            text = "".join(each.choices[0].delta.content or "" for each in streamed)
            assert text == first.choices[0].message.content
            with ThreadPoolExecutor(32) as pool:
                asked = [pool.submit(ask, number) for number in range(96)]
                asked[10].result()
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                process = start()
                answers = [each.result(timeout=120) for each in asked]
            assert len({each.id for each in answers}) == 96
            assert {each.status for each in calls(session)} <= {200, 503}
    finally:
        process.kill()
        process.wait()
