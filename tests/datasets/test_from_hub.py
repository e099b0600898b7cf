"""Data sets fetched from a stand-in of the Hugging Face Hub."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from app.config import settings
from app.datasets.from_hub import choose_files, part_of
from app.errors import Invalid
from app.tables import Dataset
from tests.emulator.hub import Hub, Repo, serve
from tests.stack import rule_rows

NAME = "lab/rule"


@pytest.fixture(autouse=True)
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The stand-in with a cache of the test's own; no broker is asked."""
    monkeypatch.setattr("app.queue.send", lambda task, row_id: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub-cache"))
    with serve() as made:
        monkeypatch.setenv("TUNEBOOK_HF_ENDPOINT", made.base)
        settings.cache_clear()
        made.repos["dataset", NAME] = Repo(False, commits=["a" * 40, "b" * 40])
        yield made
    settings.cache_clear()


def rows(count: int, key: str = "split") -> list[dict[str, Any]]:
    return [{k: v for k, v in json.loads(line).items() if k != key} for line in rule_rows(count).splitlines()]


def lines(some: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in some).encode()


def fetched(client: TestClient, **asked: str) -> dict[str, Any]:
    from workers.datasets import check

    answer = client.post("/api/v1/datasets/from-hub", json={"repo": NAME, **asked})
    assert answer.status_code == 202, answer.text
    assert answer.json()["state"] == "queued"
    check(answer.json()["id"])
    return dict(client.get(f"/api/v1/datasets/{answer.json()['id']}").json())


def test_one_file_is_taken_as_it_is_and_its_commit_is_named(hub: Hub, client: TestClient) -> None:
    hub.repos["dataset", NAME].files = {"README.md": b"x", "all.jsonl": rule_rows(30).encode()}
    found = fetched(client)
    assert (found["state"], found["problems"]) == ("ready", [])
    assert found["origin"] == f"From the Hugging Face data set {NAME} at commit {'b' * 40}: all.jsonl."
    assert client.get(f"/api/v1/datasets/{found['id']}/file").content == rule_rows(30).encode()
    assert found["name"] == "rule"
    page = client.get("/datasets").text
    assert ", sample" not in page


def test_parts_become_one_file_with_a_split(hub: Hub, client: TestClient) -> None:
    some = rows(30)
    hub.repos["dataset", NAME].files = {
        "train.jsonl": lines(some[:20]),
        "dev.jsonl": lines(some[20:24]),
        "test.jsonl": lines(some[24:]),
    }
    found = fetched(client)
    assert (found["state"], found["splits"]) == ("ready", {"train": 20, "validation": 4, "test": 6})


def test_parquet_parts_are_joined(hub: Hub, client: TestClient) -> None:
    files = {}
    for part, start, end in (("train", 0, 20), ("test", 20, 30)):
        held = io.BytesIO()
        chosen = rows(30)[start:end]
        pq.write_table(
            pa.table(
                {
                    "prompt": [r["messages"][0]["content"] for r in chosen],
                    "completion": [r["messages"][1]["content"] for r in chosen],
                }
            ),
            held,
        )
        files[f"data/{part}-00000-of-00001.parquet"] = held.getvalue()
    hub.repos["dataset", NAME].files = files
    found = fetched(client)
    assert (found["state"], found["problems"]) == ("ready", [])
    assert (found["splits"]["train"] + found["splits"]["validation"], found["splits"]["test"]) == (20, 10)


@pytest.mark.parametrize(
    ("files", "asked", "said", "hint"),
    [
        ({"a.csv": b"x"}, {}, "no .jsonl or .parquet file", "It holds: a.csv."),
        ({"a.jsonl": b"", "b.jsonl": b""}, {}, "which to take is not clear", "Name one: a.jsonl, b.jsonl."),
        ({"a.jsonl": b""}, {"file": "c.jsonl"}, "no file 'c.jsonl'", "Its files: a.jsonl."),
        ({"a.jsonl": b""}, {"revision": "v9"}, "no revision 'v9'", "a commit"),
        ({"a.jsonl": b""}, {"repo": "lab/none"}, "no repository lab/none", "Check its name"),
    ],
)
def test_what_cannot_be_taken_is_told(
    hub: Hub, client: TestClient, files: dict[str, bytes], asked: dict[str, str], said: str, hint: str
) -> None:
    hub.repos["dataset", NAME].files = files
    found = fetched(client, **asked)
    assert found["state"] == "refused"
    (problem,) = found["problems"]
    assert said in problem["message"]
    assert hint in problem["hint"]


def test_a_gated_repository_is_told(hub: Hub, client: TestClient) -> None:
    hub.repos["dataset", NAME].gated = True
    (problem,) = fetched(client)["problems"]
    assert "gated" in problem["message"]
    assert "TUNEBOOK_HF_TOKEN" in problem["hint"]


def test_what_is_in_the_cache_needs_no_network(
    hub: Hub, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos["dataset", NAME].files = {"all.jsonl": rule_rows(30).encode()}
    first = fetched(client)
    monkeypatch.setenv("TUNEBOOK_HF_ENDPOINT", "http://127.0.0.1:9")
    settings.cache_clear()
    again = fetched(client, revision="b" * 40)
    assert (again["state"], again["problems"]) == ("ready", [])
    assert (again["sha256"], again["origin"]) == (first["sha256"], first["origin"])


def test_the_form_shows_what_is_wrong(client: TestClient, session: Any) -> None:
    answer = client.post("/datasets/from-hub", data={"repo": "no owner"})
    assert answer.status_code == 422
    assert "is no name of a repository" in answer.text
    good = client.post("/datasets/from-hub", data={"repo": NAME}, follow_redirects=False)
    assert good.status_code == 303
    assert session.get_one(Dataset, int(good.headers["location"].rpartition("/")[2])).source["repo"] == NAME


def test_parts_by_file_name() -> None:
    assert part_of("data/test-00000-of-00001.parquet") == "TEST"
    assert part_of("valid.jsonl") == "VALIDATION"
    assert part_of("latest.jsonl") is None
    assert part_of("train-test.jsonl") is None
    with pytest.raises(Invalid, match="several kinds"):
        choose_files("a/b", ["train.jsonl", "test.parquet"])
