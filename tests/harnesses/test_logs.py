"""Logs of harnesses are read back item by item, and broken ones are refused with words."""

import json
import zipfile

import pytest

from app.errors import Invalid
from app.experiments.import_file import ImportedRow, read_rows
from tests.harnesses.logs import (
    inspect_eval,
    inspect_json,
    inspect_sample,
    lm_eval_line,
    promptfoo_json,
    promptfoo_result,
)


def lines(*items: str) -> bytes:
    return "\n".join(json.dumps(lm_eval_line(item, f"to {item}")) for item in items).encode() + b"\n"


def answers(rows: list[ImportedRow]) -> dict[str | None, str | None]:
    return {row.item: row.answer for row in rows}


def test_each_log_gives_the_answer_of_every_item() -> None:
    samples = [inspect_sample(item, f"to {item}") for item in ("i1", "i2")]
    logs = [
        inspect_json(*samples),
        inspect_eval(*samples),
        inspect_eval(*samples, compression=zipfile.ZIP_DEFLATED),
        lines("i1", "i2"),
        promptfoo_json(promptfoo_result("i1", "to i1"), promptfoo_result("i2", "to i2")),
    ]
    for log in logs:
        assert answers(read_rows(log)) == {"i1": "to i1", "i2": "to i2"}


def test_the_wanted_answer_comes_as_the_item_has_it() -> None:
    assert read_rows(promptfoo_json(promptfoo_result("i1", "b")))[0].expected == "{{a}}"
    assert read_rows(lines("i1"))[0].expected == "a"


def test_inspect_takes_the_first_epoch_and_no_answer_from_an_error() -> None:
    log = inspect_eval(
        inspect_sample("i1", "first"),
        inspect_sample("i1", "second", epoch=2),
        inspect_sample("i2", "half", error={"message": "the connection was lost"}),
        inspect_sample("i3", "attachment://ab12", attachments={"ab12": "a long answer"}),
    )
    assert answers(read_rows(log)) == {"i1": "first", "i2": None, "i3": "a long answer"}


def test_predictions_that_are_no_log_are_read_as_before() -> None:
    assert answers(read_rows(b'{"item": "i1", "answer": "a"}\n')) == {"i1": "a"}
    assert answers(read_rows(b"item,answer\ni1,a\n")) == {"i1": "a"}


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (inspect_eval(inspect_sample("i1", "a"))[:-30], "The Inspect log is damaged"),
        (inspect_eval(inspect_sample("i1", "a")).replace(b"\x28\xb5\x2f\xfd", b"\0\0\0\0"), "damaged"),
        (inspect_json({"epoch": 1}), "A sample of the Inspect log has no id"),
        (lines("i1") + b'{"doc_id": 1}\n', "Line 2 of the lm-evaluation-harness log cannot be read"),
        (b'{"evalId": "x", "results": {}}', "The promptfoo results cannot be read"),
        (
            promptfoo_json(promptfoo_result("i1", "a"), promptfoo_result("i1", "a", "openai:chat:run-2")),
            "hold 2 models",
        ),
    ],
)
def test_a_broken_log_is_refused_with_words(log: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        read_rows(log)
    assert refused.value.hint


def test_a_zip_that_is_no_log_is_refused() -> None:
    with pytest.raises(Invalid):
        read_rows(b"PK\x05\x06" + b"\0" * 18)
