"""What the tests of this folder share: a file sent through the API and checked by the worker's own function."""

import json
from typing import Any

from fastapi.testclient import TestClient

from workers.datasets import check


def send(client: TestClient, data: bytes, name: str = "data.jsonl", **fields: str) -> dict[str, Any]:
    """Uploads and checks; returns the dataset as the API gives it then."""
    answer = client.post("/api/v1/datasets", files={"file": (name, data)}, data=fields)
    assert answer.status_code == 201, answer.text
    assert answer.json()["state"] == "queued"
    check(answer.json()["id"])
    return look(client, answer.json()["id"])


def look(client: TestClient, dataset_id: int) -> dict[str, Any]:
    """The dataset as the API gives it now."""
    answer = client.get(f"/api/v1/datasets/{dataset_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def chat(prompt: str, answer: str, **keys: Any) -> dict[str, Any]:
    """One row of OpenAI chat."""
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return {"messages": messages, **keys}


def jsonl(*rows: Any) -> bytes:
    """Rows as JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def colours(count: int, **keys: Any) -> list[dict[str, Any]]:
    """Distinct prompts with three labels in turn."""
    return [chat(f"thing {n}", ("red", "green", "blue")[n % 3], **keys) for n in range(count)]


def warned(dataset: dict[str, Any]) -> dict[str, tuple[int, list[int]]]:
    """{code: (count, lines)} of a dataset's warnings."""
    return {found["code"]: (found["count"], found["lines"]) for found in dataset["warnings"]}
