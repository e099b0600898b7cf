"""Rows with a rejected answer, in every published format: read, counted, shown, saved again, refused when malformed."""

import io
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.datasets.checked import chat, jsonl, look, send, warned

WANTED = {"role": "assistant", "content": "four"}
UNWANTED = {"role": "assistant", "content": "five"}
ASKED = [{"role": "user", "content": "2 + 2?"}]
SYSTEM = {"role": "system", "content": "Count."}

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "OpenPipe": ("openpipe", {"messages": [*ASKED, WANTED], "rejected_message": UNWANTED}),
    "OpenAI": (
        "preference",
        {"input": {"messages": ASKED}, "preferred_output": [WANTED], "non_preferred_output": [UNWANTED]},
    ),
    "TRL text": ("chosen-rejected", {"prompt": "2 + 2?", "chosen": "four", "rejected": "five"}),
    "TRL chats": ("chosen-rejected", {"prompt": ASKED, "chosen": [WANTED], "rejected": [UNWANTED]}),
    "TRL without prompt": (
        "chosen-rejected",
        {"chosen": [*ASKED, WANTED], "rejected": [*ASKED, UNWANTED], "score": 1},
    ),
    "prompt said twice": (
        "chosen-rejected",
        {"prompt": "2 + 2?", "chosen": [*ASKED, WANTED], "rejected": [*ASKED, UNWANTED]},
    ),
    "chosen said twice": (
        "chosen-rejected",
        {"messages": [*ASKED, WANTED], "chosen": [*ASKED, WANTED], "rejected": [*ASKED, UNWANTED]},
    ),
    "Axolotl": ("chosen-rejected", {"messages": ASKED, "chosen": WANTED, "rejected": UNWANTED}),
    "LLaMA-Factory, ShareGPT": (
        "chosen-rejected",
        {
            "conversations": [{"from": "human", "value": "2 + 2?"}],
            "chosen": {"from": "gpt", "value": "four"},
            "rejected": {"from": "gpt", "value": "five"},
        },
    ),
    "LLaMA-Factory, Alpaca": (
        "chosen-rejected",
        {"instruction": "2 + 2?", "input": "", "chosen": "four", "rejected": "five"},
    ),
}


def _items(client: TestClient, dataset: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/api/v1/datasets/{dataset['id']}/items").json()["items"]
    return found


@pytest.mark.laptop
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_item(client: TestClient, name: str) -> None:
    format_name, row = FORMATS[name]
    found = send(client, jsonl(row, {**row, "split": "TEST"}))
    assert (found["state"], found["format"]) == ("ready", format_name), found["problems"]
    assert found["facts"]["rejected"] == 2
    item = _items(client, found)[0]
    assert item["messages"] == [*ASKED, WANTED]
    assert item["rejected_message"] == UNWANTED


@pytest.mark.laptop
def test_system_and_input_stand_before_both_answers(client: TestClient) -> None:
    row = {"system": "Count.", "instruction": "2 +", "input": "2?", "chosen": "four", "rejected": "five"}
    item = _items(client, send(client, jsonl(row, {**row, "split": "TEST"})))[0]
    assert item["messages"] == [SYSTEM, {"role": "user", "content": "2 +\n\n2?"}, WANTED]


@pytest.mark.laptop
def test_tools_and_calls_of_a_rejected_answer_are_kept(client: TestClient) -> None:
    tools = [{"type": "function", "function": {"name": "add"}}]
    call = {"function": {"name": "add", "arguments": "{}"}, "id": "1", "type": "function"}
    refused = {"role": "assistant", "content": "", "tool_calls": [call]}
    sides = {"preferred_output": [WANTED], "non_preferred_output": [{**refused, "content": None}]}
    row = {"input": {"messages": ASKED, "tools": tools, "parallel_tool_calls": True}, **sides}
    found = send(client, jsonl(row, {**row, "split": "TEST"}))
    item = _items(client, found)[0]
    assert (item["tools"], item["rejected_message"]["content"]) == (tools, "")
    assert item["rejected_message"]["tool_calls"][0]["function"] == {"name": "add", "arguments": "{}"}
    assert "add({})" in client.get(f"/datasets/{found['id']}/items").text


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "two answers": (
        {"input": {"messages": ASKED}, "preferred_output": [WANTED] * 2, "non_preferred_output": [UNWANTED]},
        "bad-pair",
        "preferred_output",
    ),
    "no unwanted answer": (
        {"input": {"messages": ASKED}, "preferred_output": [WANTED], "non_preferred_output": []},
        "bad-pair",
        "non_preferred_output",
    ),
    "a user's answer": (
        {"messages": [*ASKED, WANTED], "rejected_message": {"role": "user", "content": "five"}},
        "bad-pair",
        "rejected_message.role",
    ),
    "no text": (
        {"messages": [*ASKED, WANTED], "rejected_message": {"role": "assistant", "content": None}},
        "empty-content",
        "rejected_message.content",
    ),
    "text for a message": (
        {"messages": [*ASKED, WANTED], "rejected_message": "five"},
        "wrong-type",
        "rejected_message",
    ),
    "no prompt": ({"chosen": "four", "rejected": "five"}, "no-prompt", "prompt"),
    "two prompts": (
        {"chosen": [*ASKED, WANTED], "rejected": [{"role": "user", "content": "2 + 3?"}, UNWANTED]},
        "bad-pair",
        "rejected",
    ),
    "one side": ({"prompt": "2 + 2?", "chosen": "four"}, "missing-key", "rejected"),
    "an unknown speaker": (
        {"prompt": ASKED, "chosen": [{"role": "robot", "content": "four"}], "rejected": [UNWANTED]},
        "unknown-role",
        "chosen[0].role",
    ),
    "ends with the user": (
        {"prompt": ASKED, "chosen": [WANTED], "rejected": [UNWANTED, *ASKED]},
        "bad-pair",
        "rejected[1].role",
    ),
}


@pytest.mark.laptop
@pytest.mark.parametrize("name", BAD)
def test_a_malformed_pair_is_refused_with_its_line_and_how_to_mend_it(client: TestClient, name: str) -> None:
    row, code, where = BAD[name]
    good = next(
        good for _, good in FORMATS.values() if row.keys() <= good.keys() or good.keys() == row.keys()
    )
    found = send(client, jsonl(good, row, good))
    assert found["state"] == "refused"
    problem = found["problems"][0]
    assert (problem["line"], problem["code"], problem["where"]) == (2, code, where)
    assert problem["message"].endswith(".")
    assert problem["hint"]


def _mixed(count: int) -> list[dict[str, Any]]:
    """Every third row has no rejected answer; the parts come in turn."""
    parts = ("TRAIN", "TRAIN", "VALIDATION", "TEST")
    rows = [chat(f"2 + {n}?", str(n + 2), split=parts[n % 4]) for n in range(count)]
    pair = {"role": "assistant", "content": "5"}
    return [{**row, "rejected_message": pair} if n % 3 else row for n, row in enumerate(rows)]


def test_the_report_counts_them_in_all_and_in_each_part(client: TestClient) -> None:
    found = send(client, jsonl(*_mixed(24)))
    assert (found["format"], found["facts"]["rejected"]) == ("openpipe", 16)
    assert warned(found)["some-without-rejected"] == (8, [1, 4, 7, 10, 13, 16, 19, 22])
    assert found["all_splits"][0]["rejected"] == {"train": 8, "validation": 4, "test": 4, "unused": 0}
    made = client.post(f"/api/v1/datasets/{found['id']}/splits", json={"test": 0.25, "seed": 3}).json()
    assert sum(made["rejected"].values()) == 16
    page = client.get(f"/datasets/{found['id']}").text
    assert "with a rejected answer" in page
    assert "Items with a rejected answer: 8 train, 4 validation, 4 test." in page
    items = client.get(f"/datasets/{found['id']}/items").text
    assert items.count('class="turn rejected-turn"') == 16


@pytest.mark.laptop
def test_a_pair_of_equal_answers_is_a_warning(client: TestClient) -> None:
    row = {"prompt": "2 + 2?", "chosen": "four", "rejected": "five"}
    found = send(client, jsonl(row, {**row, "rejected": "four"}, {**row, "split": "TEST"}))
    assert warned(found)["same-as-rejected"] == (1, [2])


def test_a_split_is_saved_with_rejected_messages_and_read_again(client: TestClient) -> None:
    made = send(client, jsonl(*_mixed(24)))
    answer = client.get(f"/api/v1/datasets/{made['id']}/splits/{made['all_splits'][0]['id']}.jsonl")
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert sorted(map(json.dumps, rows)) == sorted(map(json.dumps, _mixed(24)))
    again = send(client, answer.content, "again.jsonl")
    assert again["all_splits"][0]["rejected"] == made["all_splits"][0]["rejected"]


@pytest.mark.laptop
def test_a_table_names_its_column_of_rejected_answers(client: TestClient) -> None:
    table = b"prompt,chosen,rejected\n2 + 2?,four,five\n2 + 3?,five,\n2 + 4?,six,seven\n"
    found = send(client, table, "pairs.csv")
    assert found["mapping"] == {"prompt": "prompt", "answer": "chosen", "rejected": "rejected"}
    assert found["facts"]["rejected"] == 2
    assert [item["rejected_message"] for item in _items(client, found)][:2] == [UNWANTED, None]
    asked = send(client, table.replace(b"rejected", b"worse"), "pairs.csv", mapping='{"rejected": "worse"}')
    assert asked["facts"]["rejected"] == 2
    plain = send(client, table, "pairs.csv", mapping='{"rejected": ""}')
    assert plain["facts"]["rejected"] == 0


@pytest.mark.laptop
def test_parquet_holds_chats_of_both_sides(client: TestClient) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"chosen": [*ASKED, WANTED], "rejected": [*ASKED, UNWANTED]}] * 3
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    found = send(client, file.getvalue(), "pairs.parquet")
    assert (found["state"], found["facts"]["rejected"]) == ("ready", 3), found["problems"]
    assert _items(client, look(client, found["id"]))[0]["rejected_message"] == UNWANTED
