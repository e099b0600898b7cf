"""Whatever a service answers, as long as it is JSON: a provider reads it or says what is wrong, and never breaks."""

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import ProviderError
from app.providers import providers
from app.providers._base import Provider
from app.providers._shapes import Decoding, Deployment, Phase, RemoteBatch, RemoteJob
from app.service_http import Access, Api
from tests.providers.scenario import questions

WORDS = [
    "id",
    "name",
    "status",
    "state",
    "object",
    "data",
    "jobs",
    "models",
    "files",
    "events",
    "items",
    "results",
    "output",
    "choices",
    "message",
    "content",
    "text",
    "usage",
    "error",
    "errors",
    "created_at",
    "createTime",
    "finished_at",
    "metadata",
    "metrics",
    "step",
    "loss",
    "train_loss",
    "training_loss",
    "level",
    "type",
    "logprobs",
    "top_logprobs",
    "token",
    "logprob",
    "prompt_tokens",
    "next_page_token",
    "nextPageToken",
    "has_more",
    "hyperparameters",
    "method",
    "supervised",
    "seed",
    "fine_tuned_model",
    "request_counts",
    "completed",
    "total",
    "candidates",
    "parts",
    "role",
    "url",
    "urls",
    "latest_version",
    "version",
    "openapi_schema",
    "owned_by",
    "pricing",
    "context_length",
    "endpoints",
    "deployments",
    "supported",
    "cost",
    "price",
    "progress",
]
NUMBERS = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([2**31, 2**63, 2**64, -(2**63), 1e308, -1e308, 1e-9, 4102444800, 10**15]),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    st.text(max_size=6),
    st.sampled_from(["ft:a", "running", "2027-01-01T00:00:00Z"]),
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    ),
    max_leaves=25,
)
JOB = RemoteJob("tb-1:job-1", "running", Phase.RUNNING, "tb-1", "model-1")


def reads(provider: Provider, folder: Path) -> Iterable[Callable[[Api], Any]]:
    """Every call that only reads."""
    yield provider.check_key
    yield provider.list_models
    if training := provider.training:
        yield lambda api: training.poll(api, JOB.id)
        yield lambda api: training.find(api, "tb-0123456789abcdef")
        yield lambda api: list(training.list_jobs(api))
        for read in (training.logs, training.metrics):
            if read:
                yield lambda api, read=read: read(api, JOB, "")
        if training.look_at_file:
            yield lambda api: training.look_at_file(api, "file-1")
        if training.list_tuned:
            yield training.list_tuned
        if training.fetch_records:
            yield lambda api: training.fetch_records(api, JOB, folder)
    if provider.chat:
        yield lambda api: provider.chat.ask(api, "model-1", questions(1)[0], Decoding(top_logprobs=2))
    if batch := provider.batch:
        yield lambda api: batch.poll(api, "batch-1")
        yield lambda api: batch.find(api, "tb-1")
        yield lambda api: list(batch.read(api, RemoteBatch("b", "done", Phase.DONE), folder))
    if deploy := provider.deploy:
        yield lambda api: deploy.poll(api, "project/endpoint/deployment-1")
        yield lambda api: deploy.find(api, "tb-1")
        yield deploy.list_running
        yield lambda api: deploy.stop(
            api, Deployment("project/endpoint/deployment-1", "running", Phase.RUNNING)
        )


@pytest.mark.parametrize("name", sorted(providers()))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answers=st.lists(JSON, min_size=1, max_size=3))
def test_no_answer_breaks_a_provider(name: str, answers: list[Any], tmp_path: Path) -> None:
    provider = providers()[name]
    given_out = 0

    def answer(_request: httpx.Request) -> httpx.Response:
        nonlocal given_out
        given_out += 1
        assert given_out < 5000, "it asks for ever"
        return httpx.Response(200, content=msgspec.json.encode(answers[given_out % len(answers)]))

    access = Access(provider.label, "https://example.org/v1", "key", {f.name: "x" for f in provider.fields})
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        api = provider.connect(access, client)
        for read in reads(provider, tmp_path):
            with contextlib.suppress(ProviderError):
                msgspec.to_builtins(read(api), enc_hook=str)
