"""Each format becomes the same chats, and is told apart from the others."""

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from tests.datasets.checked import chat, jsonl, look, send, warned
from workers.datasets import check

TURNS = [
    {"from": "system", "value": "Be brief."},
    {"from": "human", "value": "Hi"},
    {"from": "gpt", "value": "Ho"},
]
FORMATS: dict[str, dict[str, Any]] = {
    "openai-chat": {"messages": [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": "Ho"}]},
    "openpipe": {"split": "TEST", "messages": [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Ho"}]},
    "prompt-completion": {"completion": "Ho", "prompt": [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]},
    "alpaca": {"system": "Be brief.", "instruction": "Hi", "input": "", "output": "Ho"},
    "sharegpt": {"conversations": TURNS},
}  # fmt: skip
CHAT = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Ho")]


def items(client: TestClient, dataset_id: int, **query: Any) -> list[dict[str, Any]]:
    """The dataset's items by the API."""
    answer = client.get(f"/api/v1/datasets/{dataset_id}/items", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def chats(client: TestClient, dataset_id: int) -> list[list[tuple[str, str]]]:
    """Every item's messages as (role, text)."""
    return [
        [(message["role"], message["content"]) for message in item["messages"]]
        for item in items(client, dataset_id)
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_each_json_lines_format_becomes_the_same_chat(client: TestClient, name: str) -> None:
    found = send(client, jsonl(FORMATS[name]))
    assert (found["state"], found["format"]) == ("ready", name)
    assert chats(client, found["id"]) == [CHAT]


def test_the_same_prompt_has_one_identity_in_every_format(client: TestClient) -> None:
    identities = {items(client, send(client, jsonl(row))["id"])[0]["item"] for row in FORMATS.values()}
    assert len(identities) == 1


def test_tools_and_calls_are_kept(client: TestClient) -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    reply = {"role": "assistant", "content": None, "tool_calls": [call]}
    found = send(client, jsonl({"messages": [{"role": "user", "content": "a"}, reply], "tools": tools}))
    (item,) = items(client, found["id"])
    assert item["tools"] == tools
    assert item["messages"][-1]["tool_calls"][0]["function"]["name"] == "look"
    assert "look" in item["answer"]


CSVS = {
    "comma": b'question,label\n"Hi, you",Ho\nA,B\n',
    "semicolon": b'question;label\n"Hi, you";Ho\nA;B\n',
    "tab": b"question\tlabel\nHi, you\tHo\nA\tB\n",
    "bom and crlf": b'\xef\xbb\xbfquestion,label\r\n"Hi, you",Ho\r\nA,B\r\n',
    "all quoted": b'"question","label"\n"Hi, you","Ho"\n"A","B"\n',
}


@pytest.mark.parametrize("name", CSVS)
@pytest.mark.parametrize("file_name", ["data.csv", "data"])
def test_csv_in_each_shape(client: TestClient, name: str, file_name: str) -> None:
    found = send(client, CSVS[name], file_name)
    assert (found["state"], found["format"]) == ("ready", "csv")
    assert found["mapping"] == {"prompt": "question", "answer": "label"}
    assert chats(client, found["id"]) == [
        [("user", "Hi, you"), ("assistant", "Ho")],
        [("user", "A"), ("assistant", "B")],
    ]
    assert [item["line"] for item in items(client, found["id"])] == [2, 3]
    assert client.get(f"/api/v1/datasets/{found['id']}/file").content == CSVS[name]


def test_csv_with_all_columns(client: TestClient) -> None:
    data = (
        b'system,prompt,completion,split,family\nBe brief.,"two\nlines",x,train,f1\nBe brief.,b,y,TEST,f2\n'
    )
    found = send(client, data, "data.csv")
    assert found["splits"] == {"train": 1, "validation": 0, "test": 1}
    assert found["facts"]["metadata_keys"] == ["metadata.family"]
    assert chats(client, found["id"])[0] == [
        ("system", "Be brief."),
        ("user", "two\nlines"),
        ("assistant", "x"),
    ]


def test_csv_whose_columns_are_not_clear_is_kept_for_a_mapping(client: TestClient) -> None:
    data = b"molecule,toxic,note\nCCO,no,a\nCCCl,yes,b\n"
    found = send(client, data, "data.csv")
    assert (found["state"], found["problems"][0]["code"]) == ("refused", "unmapped-columns")
    assert "'molecule', 'toxic', 'note'" in found["problems"][0]["message"]
    assert found["columns"] == ["molecule", "toxic", "note"]
    address = f"/api/v1/datasets/{found['id']}/mapping"
    assert client.post(address, json={"mapping": {"robot": "toxic"}}).status_code == 422
    client.post(address, json={"mapping": {"prompt": "molecule", "answer": "poison"}})
    check(found["id"])
    assert "'poison'" in look(client, found["id"])["problems"][0]["message"]
    answer = client.post(address, json={"mapping": {"prompt": "molecule", "answer": "toxic"}})
    assert answer.json()["state"] == "queued"
    check(found["id"])
    ready = look(client, found["id"])
    assert (ready["state"], ready["items"], ready["problems"]) == ("ready", 2, [])
    assert client.post(address, json={"mapping": {"prompt": "molecule"}}).status_code == 409


def test_mapping_with_the_upload(client: TestClient) -> None:
    mapping = json.dumps({"prompt": "b", "answer": "a"})
    found = send(client, b"a,b\nx,y\n", "data.csv", mapping=mapping)
    assert chats(client, found["id"]) == [[("user", "y"), ("assistant", "x")]]
    for wrong in ("[1]", "{", '{"prompt": 3}', '{"what": "a"}'):
        answer = client.post(
            "/api/v1/datasets", files={"file": ("a.csv", b"a,b\nx,y\n")}, data={"mapping": wrong}
        )
        assert answer.status_code == 422
        assert "mapping" in answer.json()["fields"]


BAD_CSVS = {
    "fields": (b"prompt,answer\na,b\na,b,c\n", 3, "bad-csv"),
    "quote": (b'prompt,answer\na,b\n"a,b\n', 3, "bad-csv"),
    "bytes": (b"prompt,answer\na,b\n\xff,b\n", 3, "utf-8"),
    "nul": (b"prompt,answer\na,b\na\x00,b\n", 3, "nul"),
    "no prompt": (b"prompt,answer\na,b\n,b\n", 3, "empty-content"),
    "split": (b"prompt,answer,split\na,b,train\na,b,exam\n", 3, "bad-split"),
    "header": (b"prompt,prompt\na,b\n", 0, "bad-header"),
    "long": (b"prompt,answer\na,b\n" + b"x" * 9_000_000 + b",b\n", 3, "line-too-long"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_CSVS)
def test_a_bad_row_of_a_csv_is_named(client: TestClient, name: str) -> None:
    data, line, code = BAD_CSVS[name]
    found = send(client, data, "data.csv")
    assert found["state"] == "refused"
    assert (found["problems"][0]["line"], found["problems"][0]["code"]) == (line, code)


def test_blank_rows_of_a_csv_keep_the_row_numbers(client: TestClient) -> None:
    found = send(client, b"prompt,answer\na,b\n\n,\nc,d\n", "data.csv")
    assert [item["line"] for item in items(client, found["id"])] == [2, 5]
    assert warned(found)["blank-lines"] == (2, [3, 4])


def parquet(table: dict[str, Any]) -> bytes:
    """A Parquet file of columns."""
    file = io.BytesIO()
    pq.write_table(pa.table(table), file)
    return file.getvalue()


def test_parquet_with_text_and_number_columns(client: TestClient) -> None:
    data = parquet({"text": ["a", "b"], "label": [1, 2], "when": [1.5, None], "split": ["train", "test"]})
    found = send(client, data, "data.parquet")
    assert (found["state"], found["format"], found["mapping"]["prompt"]) == ("ready", "parquet", "text")
    assert chats(client, found["id"]) == [
        [("user", "a"), ("assistant", "1")],
        [("user", "b"), ("assistant", "2")],
    ]
    assert [item["line"] for item in items(client, found["id"])] == [1, 2]
    assert client.get(f"/api/v1/datasets/{found['id']}/file").content == data


def test_parquet_with_a_messages_column(client: TestClient) -> None:
    found = send(client, parquet({"messages": [FORMATS["openpipe"]["messages"]], "family": ["x"]}))
    assert (found["state"], found["facts"]["metadata_keys"]) == ("ready", ["family"])
    assert chats(client, found["id"]) == [CHAT]


def test_parquet_rows_that_are_no_text_are_named(client: TestClient) -> None:
    found = send(client, parquet({"prompt": ["a", None], "answer": ["b", "c"]}))
    assert [(problem["line"], problem["code"]) for problem in found["problems"]] == [(2, "empty-content")]
    assert send(client, parquet({"prompt": [], "answer": []}))["problems"][0]["code"] == "empty-file"


def test_a_prompt_and_answer_chat_reads_the_same_from_csv_and_jsonl(client: TestClient) -> None:
    one = items(client, send(client, jsonl(chat("a", "b")))["id"])[0]
    other = items(client, send(client, b"prompt,answer\na,b\n", "x.csv")["id"])[0]
    assert one["item"] == other["item"]
