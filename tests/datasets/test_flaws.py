"""Every way a file can be bad, through the API and the worker: a clear answer each, and nothing is kept."""

import gzip
import io
import zipfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.datasets.lines import LINE_CAP
from tests.datasets.checked import chat, jsonl, send, warned

GOOD = jsonl(chat("a", "b"))


def zipped(*names: str) -> bytes:
    """A zip archive with files of these names."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return file.getvalue()


BAD_LINES = {
    "bad-json": b'{"messages": [}',
    "utf-8": b'{"messages": "\xff"}',
    "nul": b'{"messages": [{"role": "user", "content": "a\\u0000"}]}',
    "lone-surrogate": rb'{"messages": [{"role": "user", "content": "\ud83d"}]}',
    "not-a-number": b'{"messages": [], "x": NaN}',
    "not-a-number ": b'{"messages": [], "x": 1e400}',
    "duplicate-key": b'{"messages": [{"role": "user", "role": "user", "content": "a"},'
    b' {"role": "assistant", "content": "b"}]}',
    "too-deep": b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "not-an-object": b'["a"]',
    "missing-key": b'{"message": []}',
    "wrong-type": b'{"messages": "a"}',
    "unknown-role": b'{"messages": [{"role": "robot", "content": "a"}]}',
    "no-answer": b'{"messages": [{"role": "user", "content": "a"}]}',
    "no-prompt": b'{"messages": [{"role": "assistant", "content": "a"}]}',
    "empty-content": b'{"messages": [{"role": "user", "content": " "}, {"role": "assistant", "content": "a"}]}',
    "bad-split": jsonl(chat("c", "d", split="exam")).strip(),
    "mixed-formats": b'{"prompt": "a", "completion": "b"}',
    "line-too-long": b'{"messages": "' + b"a" * (LINE_CAP + 1) + b'"}',
}


@pytest.mark.parametrize("code", BAD_LINES)
def test_a_bad_line_is_named_and_nothing_is_kept(client: TestClient, home: Path, code: str) -> None:
    found = send(client, GOOD + BAD_LINES[code] + b"\n" + GOOD)
    assert found["state"] == "refused"
    assert [(problem["line"], problem["code"]) for problem in found["problems"]] == [(2, code.strip())]
    problem = found["problems"][0]
    assert set(problem) == {"line", "where", "code", "message", "hint"}
    assert problem["message"].endswith(".")
    assert problem["hint"]
    assert not list((home / "datasets").iterdir())
    assert client.get(f"/api/v1/datasets/{found['id']}/items").status_code == 422
    assert client.get(f"/api/v1/datasets/{found['id']}/file").status_code == 404


WHOLE_FILES = {
    "empty": (b"", "empty-file", "empty"),
    "blank": (b"\n \n", "blank-file", "blank"),
    "zip": (zipped("data.jsonl"), "wrong-kind", "zip archive"),
    "xlsx": (zipped("xl/workbook.xml"), "wrong-kind", "Excel"),
    "docx": (zipped("word/document.xml"), "wrong-kind", "Word"),
    "broken zip": (b"PK\x03\x04 and no more", "wrong-kind", "damaged zip"),
    "gzip": (gzip.compress(GOOD), "wrong-kind", "gzip"),
    "pdf": (b"%PDF-1.7 ...", "wrong-kind", "PDF"),
    "utf-16": (GOOD.decode().encode("utf-16"), "utf-16", "UTF-16"),
    "utf-16 without mark": (GOOD.decode().encode("utf-16-le"), "utf-16", "UTF-16"),
    "utf-32": (GOOD.decode().encode("utf-32"), "utf-16", "UTF-32"),
    "web page": (b"<!DOCTYPE html><html>", "wrong-kind", "web page"),
    "json list": (b'[{"messages": []}]', "not-json-lines", "one JSON list"),
    "pretty json": (b'{\n  "messages": []\n}\n', "not-json-lines", "several lines"),
    "truncated parquet": (b"PAR1 and no more", "bad-parquet", "Parquet"),
}


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_a_file_of_another_kind_is_told_what_it_is(client: TestClient, name: str) -> None:
    data, code, said = WHOLE_FILES[name]
    found = send(client, data)
    assert found["state"] == "refused"
    assert found["problems"][0]["code"] == code
    assert said in found["problems"][0]["message"]
    assert found["problems"][0]["hint"]
    assert found["problems"][0]["line"] == 0


def test_first_problems_are_shown_and_all_are_counted(client: TestClient) -> None:
    found = send(client, GOOD + b"bad\n" * 120)
    assert (len(found["problems"]), found["problem_count"]) == (50, 120)
    assert [problem["line"] for problem in found["problems"]] == list(range(2, 52))


def test_one_line_of_64_mb_is_refused_at_its_size(client: TestClient) -> None:
    found = send(client, b'{"messages": "' + b"a" * 64_000_000)
    assert [(problem["line"], problem["code"]) for problem in found["problems"]] == [(1, "line-too-long")]


def test_odd_but_readable_files_are_warned_about(client: TestClient) -> None:
    rows = jsonl(chat("a", "b"), chat("c", "d")).replace(b"\n", b"\r\n\r\n")
    found = send(client, b"\xef\xbb\xbf" + rows)
    assert found["state"] == "ready"
    assert found["items"] == 2
    assert warned(found)["bom"] == (1, [1])
    assert warned(found)["blank-lines"] == (2, [2, 4])
    assert "crlf" in warned(found)


def test_line_separators_inside_text_do_not_cut_a_row(client: TestClient) -> None:
    found = send(client, jsonl(chat("a\u2028b\u2029c\u0085d", "e")))
    assert (found["state"], found["items"]) == ("ready", 1)


def test_answers_that_teach_nothing_are_warned_about(client: TestClient) -> None:
    rows = [chat(f"q{n}", "yes") for n in range(20)]
    rows[4]["messages"][1]["content"] = ""
    rows[7]["messages"][1]["weight"] = 0
    rows[9]["messages"][1]["content"] = "no " * 50
    rows[11]["messages"][0]["content"] = "word " * 5000
    odd = warned(send(client, jsonl(*rows)))
    assert odd["empty-answer"] == (1, [5])
    assert odd["weight-zero"] == (1, [8])
    assert odd["long-answer"] == (1, [10])
    assert odd["long-row"] == (1, [12])
