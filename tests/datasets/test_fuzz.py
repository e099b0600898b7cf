"""Whatever bytes come, the answer is ready or refused with a sentence: never a fault of our own."""

import json
import random

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.datasets.checked import chat, jsonl, send
from tests.datasets.test_formats import FORMATS, parquet

LOOSE = settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["messages", "role", "content", "split", "tools", "prompt", "completion", "conversations", "from", "value",
     "instruction", "output", "input", "history", "weight", "tool_calls", "metadata"]
)  # fmt: skip
SEEDS = [
    jsonl(*FORMATS.values()),
    jsonl(chat("a", "b", split="TEST", tools=[{"x": 1}]), chat("é\u2028", "c" * 80)),
    b'question,answer,split\n"a, b",c,train\nd,e,test\n',
    parquet({"prompt": ["a", "b"], "answer": ["c", "d"]}),
]


def fair(client: TestClient, data: bytes, name: str) -> None:
    """The dataset ends ready, or refused with problems that say what, where and how to mend."""
    found = send(client, data, name)
    assert found["state"] in ("ready", "refused")
    for problem in found["problems"]:
        assert problem["code"] != "check-failed", problem
        assert problem["message"]
        assert problem["hint"]
    assert bool(found["problems"]) == (found["state"] == "refused")
    json.dumps(found, allow_nan=False)
    items = client.get(f"/api/v1/datasets/{found['id']}/items")
    assert items.status_code == (200 if found["state"] == "ready" else 422), items.text


@LOOSE
@given(data=st.binary(max_size=200), name=st.sampled_from(["a", "a.csv", "a.jsonl", "a.parquet"]))
def test_random_bytes(client: TestClient, data: bytes, name: str) -> None:
    fair(client, data, name)


@LOOSE
@given(rows=st.lists(st.dictionaries(KEYS, JSON, max_size=4), min_size=1, max_size=4))
def test_random_json_rows(client: TestClient, rows: list[object]) -> None:
    fair(client, "\n".join(json.dumps(row) for row in rows).encode(), "a.jsonl")


@LOOSE
@given(text=st.text(alphabet='ab,;\t"\n\r\x00é', max_size=60))
def test_random_csv(client: TestClient, text: str) -> None:
    fair(client, b"prompt,answer\n" + text.encode(), "a.csv")


@LOOSE
@given(seed=st.integers(0, 2**32))
@pytest.mark.parametrize("which", range(len(SEEDS)))
def test_good_files_with_a_few_bytes_changed(client: TestClient, which: int, seed: int) -> None:
    draw, data = random.Random(seed), bytearray(SEEDS[which])
    for _ in range(draw.randrange(1, 5)):
        place = draw.randrange(len(data))
        how = draw.randrange(3)
        if how == 0:
            data[place] = draw.randrange(256)
        elif how == 1:
            del data[place : place + draw.randrange(1, 9)]
        else:
            data[place:place] = bytes(draw.choices(b'{}[]",:\\\n\x00\xffntu0', k=draw.randrange(1, 5)))
        if not data:
            break
    fair(client, bytes(data), "a")
