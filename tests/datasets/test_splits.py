"""Splits of stored datasets through the API: the file's own, seeded, grouped; leaks, balance, freezing."""

import hashlib
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.datasets import make_split
from app.datasets.queries import find_split, splits_of
from app.datasets.split import split_hash
from app.datasets.stored import part_items
from app.lab.actor import Actor
from app.tables import Dataset
from tests.datasets.checked import chat, colours, jsonl, look, send, warned


def ask(client: TestClient, dataset_id: int, status: int = 201, **asked: Any) -> dict[str, Any]:
    """Makes a split, or is refused with `status`."""
    answer = client.post(f"/api/v1/datasets/{dataset_id}/splits", json=asked)
    assert answer.status_code == status, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_file_split_in_any_case(client: TestClient) -> None:
    rows = [
        chat(
            f"{n}",
            "x" if n % 2 else "y",
            split=("TRAIN", "train", "Validation", "dev", "TEST", "test")[n % 6],
        )
        for n in range(60)
    ]
    found = send(client, jsonl(*rows))
    assert found["splits"] == {"train": 20, "validation": 20, "test": 20}
    (split,) = found["all_splits"]
    assert (split["kind"], split["default"]) == ("file", True)
    assert split["labels"]["train"] == {"x": 10, "y": 10}


def test_file_without_validation_gets_none_and_says_so(client: TestClient) -> None:
    found = send(client, jsonl(*colours(8, split="TRAIN"), chat("t", "red", split="TEST"), chat("u", "red")))
    assert found["splits"] == {"train": 9, "validation": 0, "test": 1}
    assert warned(found)["some-without-split"] == (1, [10])
    assert "no-validation-part" in warned(found)


def test_file_that_names_only_train_gets_a_seeded_split(client: TestClient) -> None:
    found = send(client, jsonl(*colours(50, split="TRAIN")))
    assert found["all_splits"][0]["kind"] == "seeded"
    assert found["splits"] == {"train": 40, "validation": 5, "test": 5}
    assert "no-test-part" in warned(found)


def test_default_seeded_split_is_stratified_and_hashed(client: TestClient) -> None:
    found = send(client, jsonl(*colours(300)))
    (split,) = found["all_splits"]
    assert split["counts"] == {"train": 240, "validation": 30, "test": 30, "unused": 0}
    assert split["labels"]["test"] == {"blue": 10, "green": 10, "red": 10}
    assert found["sha256"] == hashlib.sha256(jsonl(*colours(300))).hexdigest()
    other = send(client, jsonl(*colours(300)))
    assert other["all_splits"][0]["sha256"] == split["sha256"]


def test_more_splits_are_named_and_frozen(client: TestClient, session: Session, actor: Actor) -> None:
    found = send(client, jsonl(*colours(100)))
    made = ask(client, found["id"], name="small", seed=7, test=0.2, validation=0)
    assert made["counts"] == {"train": 80, "validation": 0, "test": 20, "unused": 0}
    assert "another name" in ask(client, found["id"], 409, name="small")["hint"]
    assert look(client, found["id"])["splits"]["test"] == 10
    for wanted in (made["id"], str(made["id"]), "small"):
        assert find_split(session, actor, found["id"], wanted).id == made["id"]
    first = find_split(session, actor, found["id"])
    assert first.id == splits_of(session, actor, found["id"])[0].id == found["all_splits"][0]["id"]
    assert split_hash(found["sha256"], first.parts) == first.sha256


def test_part_items_come_in_order_with_their_texts(
    client: TestClient, session: Session, actor: Actor
) -> None:
    found = send(client, jsonl(*colours(1300)))
    dataset, split = session.get_one(Dataset, found["id"]), find_split(session, actor, found["id"])
    train = list(part_items(session, dataset, split, "train"))
    assert len(train) == 1040
    assert [item.number for item in train] == [n for n, part in enumerate(split.parts) if part == 0]
    assert all(item.input == f"thing {item.number}" for item in train)
    assert all(item.line == item.number + 1 for item in train)
    assert train[0].answer == train[0].answer_message["content"]


def test_seeded_split_keeps_same_prompts_together(client: TestClient) -> None:
    rows = [chat(f"Thing {n % 40}" if n % 3 else f"thing  {n % 40}\n", "yn"[n % 2]) for n in range(400)]
    found = send(client, jsonl(*rows))
    (split,) = found["all_splits"]
    assert (split["leaks"]["exact"], split["leaks"]["near"]) == (0, 0)
    assert any("repeat the prompt" in remark for remark in split["remarks"])
    assert split["counts"]["test"] > 0


def test_leaks_of_the_files_split_are_told_apart(client: TestClient) -> None:
    rows = [
        *colours(20, split="TRAIN"),
        chat("thing 3", "red", split="TEST"),
        chat("THING  4", "red", split="TEST"),
        chat("fresh", "red", split="TEST"),
    ]
    found = send(client, jsonl(*rows))
    assert warned(found)["leak"] == (2, [4, 21])
    assert warned(found)["near-leak"] == (2, [5, 22])
    leaks = found["all_splits"][0]["leaks"]
    assert (leaks["exact"], leaks["near"]) == (2, 2)


FAMILIES = [
    chat(f"extract {'UPT'[n % 3]} with acid {n}", "abc"[n % 3], family=f"f{n % 5}") for n in range(100)
]


def test_groups_by_metadata_key(client: TestClient) -> None:
    found = send(client, jsonl(*FAMILIES))
    assert found["facts"]["metadata_keys"] == ["family"]
    made = ask(
        client, found["id"], kind="grouped", key="family", test_groups=["f1"], validation_groups=["f2"]
    )
    assert made["counts"] == {"train": 60, "validation": 20, "test": 20, "unused": 0}
    assert sorted(made["groups"]) == ["f0", "f1", "f2", "f3", "f4"]
    items = client.get(f"/api/v1/datasets/{found['id']}/items", params={"split": made["id"], "part": "test"})
    assert {item["group"] for item in items.json()["items"]} == {"f1"}
    assert items.json()["total"] == 20


def test_groups_by_pattern_drawn_by_seed(client: TestClient) -> None:
    found = send(client, jsonl(*FAMILIES))
    made = ask(client, found["id"], kind="grouped", pattern=r"extract (\w)", test=0.3, validation=0)
    assert sorted(made["groups"]) == ["P", "T", "U"]
    assert made["counts"]["test"] in (33, 34)
    assert "by seed 1" in made["remarks"][0]


BAD_SPLITS: dict[str, dict[str, Any]] = {
    "kind": {"kind": "folds"},
    "share": {"test": 1.5},
    "seed": {"seed": -1},
    "no file split": {"kind": "file"},
    "neither": {"kind": "grouped"},
    "both": {"kind": "grouped", "key": "family", "pattern": "a"},
    "no such key": {"kind": "grouped", "key": "color"},
    "one group": {"kind": "grouped", "pattern": "extract"},
    "no such group": {"kind": "grouped", "key": "family", "test_groups": ["f9"]},
    "pattern": {"kind": "grouped", "pattern": "("},
}


@pytest.mark.parametrize("name", BAD_SPLITS)
def test_a_bad_split_is_explained(client: TestClient, name: str) -> None:
    found = send(client, jsonl(*FAMILIES))
    said = ask(client, found["id"], 422, **BAD_SPLITS[name])
    assert said["detail"]
    assert said["hint"]
    assert len(look(client, found["id"])["all_splits"]) == 1


def test_no_pattern_can_hang_the_server(client: TestClient) -> None:
    # An engine that tries all ways through the text would take longer than the universe has been there.
    found = send(client, jsonl(*[chat("a" * 60 + f"! {n}", "x") for n in range(4)]))
    said = ask(client, found["id"], 422, kind="grouped", pattern=r"^(a|a)+$")
    assert "no group at all" in said["detail"]


@pytest.mark.laptop
def test_a_draw_that_takes_too_long_is_stopped(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_split, "PATTERN_SECONDS", -1.0)
    found = send(client, jsonl(*FAMILIES))
    said = ask(client, found["id"], 422, kind="grouped", pattern="f.")
    assert said["fields"] == {"pattern": "too slow"}
