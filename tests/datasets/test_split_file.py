"""/datasets/{id}/splits/{split}.jsonl: a split as a file that other tools and Tunebook itself read."""

import json
from typing import Any

from fastapi.testclient import TestClient

from tests.datasets.checked import colours, jsonl, send

PARTS = ("TRAIN", "TEST", "VALIDATION", "TRAIN")


def parted(count: int) -> list[dict[str, Any]]:
    """Rows whose parts come in turn."""
    return [{**row, "split": PARTS[number % 4]} for number, row in enumerate(colours(count))]


def test_it_holds_every_part_and_is_read_again_as_the_same_split(client: TestClient) -> None:
    made = send(client, jsonl(*parted(40)))
    split = made["all_splits"][0]["id"]
    answer = client.get(f"/api/v1/datasets/{made['id']}/splits/{split}.jsonl")
    name = f"dataset-{made['id']}-split-{split}.jsonl"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    found = [json.loads(line) for line in answer.text.splitlines()]
    assert [row["split"] for row in found] == ["TRAIN"] * 20 + ["VALIDATION"] * 10 + ["TEST"] * 10
    assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, parted(40)))
    assert client.get(f"/datasets/{made['id']}/splits/{split}.jsonl").text == answer.text
    again = send(client, answer.content, "again.jsonl")
    assert again["splits"] == made["splits"] == {"train": 20, "validation": 10, "test": 10}


def test_another_dataset_s_split_is_refused(client: TestClient) -> None:
    first, second = send(client, jsonl(*parted(20))), send(client, jsonl(*parted(24)))
    answer = client.get(f"/api/v1/datasets/{first['id']}/splits/{second['all_splits'][0]['id']}.jsonl")
    assert answer.status_code == 422
    assert "another dataset" in answer.text
    assert client.get("/api/v1/datasets/99/splits/1.jsonl").status_code == 404
